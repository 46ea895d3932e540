"""The receiver of what an Asterisk tells of its calls as they end."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from schemas.receiver import ReceiverTable
from schemas.settings_values import VARIABLE_PATTERN, TimeZoneName
from schemas.webhooks import require_one


class AmiReceiver(ReceiverTable):
    """`[[receiver]]` of kind ami: the manager interface of an Asterisk, which tells what happens and keeps nothing."""

    kind: Literal["ami"] = Field(description="Listens to an Asterisk's manager interface.", examples=["ami"])
    host: str = Field(default="127.0.0.1", min_length=1, description="The Asterisk.", examples=["127.0.0.1"])
    port: int = Field(default=5038, ge=1, le=65535, description="Port of its manager interface.", examples=[5038])
    format: Literal["asterisk_cdr", "asterisk_cel"] = Field(
        description="What is asked for: call detail records, or channel events. A receiver asks for one of them.",
        examples=["asterisk_cdr"],
    )
    tls: bool = Field(default=False, description="Whether it is spoken to over TLS.", examples=[True])
    ca_file: str | None = Field(
        default=None,
        min_length=1,
        description="Certificates that are trusted (PEM), where they are not the system's.",
        examples=["acme-ca.pem"],
    )
    username: str = Field(
        pattern=r"^[^\x00-\x1f]+$", description="Name of the section in manager.conf.", examples=["bypassflow"]
    )
    authentication: Literal["md5", "plain"] = Field(
        default="md5",
        description="How the secret is proved: by a challenge, or by sending it, which needs tls.",
        examples=["md5"],
    )
    secret_env: str | None = Field(
        default=None,
        pattern=VARIABLE_PATTERN,
        description="Name of the environment variable that holds its secret; never that itself.",
        examples=["AMI_SECRET"],
    )
    secret_file: str | None = Field(
        default=None,
        min_length=1,
        description="File with the secret alone, relative to the configuration.",
        examples=["ami.secret"],
    )
    timezone: TimeZoneName | None = Field(
        default=None,
        description="IANA time zone of the Asterisk. Default: the company's.",
        examples=["Europe/Helsinki"],
    )
    lookback: int = Field(
        default=1024 * 1024,
        ge=64 * 1024,
        le=64 * 1024 * 1024,
        description="How much is kept of calls that go on, so that the channel events of a call are understood "
        "together; what does not fit is handed on before its end. Unit: bytes.",
        examples=[1_048_576],
    )

    @model_validator(mode="after")
    def _check(self) -> AmiReceiver:
        require_one(self, "secret")
        if self.authentication == "plain" and not self.tls:
            raise PydanticCustomError(
                "inconsistent", "authentication = 'plain' sends the secret in clear; set tls = true"
            )
        return self
