"""The receiver of what an Asterisk tells of its calls as they end."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from schemas.receiver import ReceiverTable
from schemas.settings_values import VARIABLE_PATTERN, TimeZoneName
from schemas.webhooks import require_one


class AmiReceiver(ReceiverTable):
    """`[[receiver]]` of kind ami: the manager interface of an Asterisk, which tells what happens and keeps nothing."""

    kind: Literal["ami"] = Field(description="Listens to an Asterisk's manager interface.", examples=["ami"])
    host: str = Field(default="127.0.0.1", min_length=1, description="The Asterisk.", examples=["127.0.0.1"])
    port: int = Field(default=5038, ge=1, le=65535, description="Port of its manager interface.", examples=[5038])
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
        description="What is remembered of calls that go on, so that their end is understood. Unit: bytes.",
        examples=[1_048_576],
    )

    @model_validator(mode="after")
    def _check(self) -> AmiReceiver:
        require_one(self, "secret")
        return self
