"""`[receive]` and `[[receiver]]`: what `bypassflow receive` listens to, follows or asks, and within which limits.

A configuration names secrets and never holds them: a variable of the environment, or a file.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from schemas.settings_values import SOURCE_NAME_PATTERN, ColumnName, Duration, SettingsTable, TimeZoneName

ADDRESS: Final = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>\d{1,5})").fullmatch
_ADDRESS_PATTERN: Final = r"^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):\d{1,5}$"

_Bytes = Annotated[int, Strict(), Field(ge=1024, le=64 * 1024 * 1024)]
_Rate = Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)]


class ReceiveSettings(SettingsTable):
    """`[receive]`: the process that takes in events as they happen, and its limits."""

    folder: str = Field(
        default=".bypassflow-receive",
        min_length=1,
        description="Folder in which it keeps how far files and mailboxes have been read, relative to the "
        "configuration.",
        examples=[".bypassflow-receive"],
    )
    listen: str = Field(
        default="127.0.0.1:8770",
        pattern=_ADDRESS_PATTERN,
        description="Where webhooks are taken, host:port; all receivers of them share it. Let it be reached from "
        "outside through a proxy that speaks TLS, or give certificate_file and key_file.",
        examples=["127.0.0.1:8770"],
    )
    certificate_file: str | None = Field(
        default=None,
        description="PEM file of a certificate, for webhooks and mail over TLS, relative to the configuration.",
        examples=["receive.pem"],
    )
    key_file: str | None = Field(
        default=None,
        description="PEM file of the certificate's private key, without a passphrase, relative to the configuration.",
        examples=["receive.key"],
    )
    largest_body: _Bytes = Field(
        default=1024 * 1024,
        description="A longer body is refused. Unit: bytes.",
        examples=[1_048_576],
    )
    requests_per_second: _Rate = Field(
        default=100.0,
        description="What one address may send on average; as much as of ten seconds may come at once. "
        "Unit: requests or messages per second.",
        examples=[100],
    )
    connections: int = Field(
        default=200,
        ge=1,
        le=10_000,
        description="Connections at once, of webhooks and of each mail receiver; further ones are turned away.",
        examples=[200],
    )
    patience: Duration = Field(
        default=timedelta(seconds=10),
        description="How long a sender may take for a request, and a request for its answer.",
        examples=["10s"],
    )
    waiting_records: int = Field(
        default=20_000,
        ge=1_000,
        le=1_000_000,
        description="Records that wait for the broker; more are refused with 503 and 451 until there is room.",
        examples=[20_000],
    )
    waiting_bytes: int = Field(
        default=32 * 1024 * 1024,
        ge=1024 * 1024,
        le=1024 * 1024 * 1024,
        description="What waits for the broker, as `waiting_records`. Unit: bytes.",
        examples=[33_554_432],
    )

    @model_validator(mode="after")
    def _check(self) -> ReceiveSettings:
        if not 0 < port_of(self.listen) < 65536:
            raise _inconsistent("listen names no port from 1 to 65535")
        if bool(self.certificate_file) != bool(self.key_file):
            raise _inconsistent("certificate_file and key_file are needed together")
        if self.patience < timedelta(seconds=1):
            raise _inconsistent('patience is less than a second; for example patience = "10s"')
        return self


class _Receiver(SettingsTable):
    """What all receivers share."""

    source: str = Field(
        pattern=SOURCE_NAME_PATTERN,
        description="Name of the system whose records these are, as in `[[source]]`.",
        examples=["pbx"],
    )


class _Parsed(_Receiver):
    """What receivers share whose records a parser of files reads."""

    format: str = Field(
        min_length=1,
        description="Name of the parser, see `bypassflow sources`.",
        examples=["asterisk_cdr"],
    )
    timezone: TimeZoneName | None = Field(
        default=None,
        description="IANA time zone of times that name none. Default: the company's.",
        examples=["UTC"],
    )
    mapping: dict[str, ColumnName] = Field(
        default_factory=dict,
        description="Field of the format = column; a value that starts with '=' is a constant.",
        examples=[{"src": "2", "dst": "3"}],
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="Further settings of the parser.", examples=[{"delimiter": ";"}]
    )


class FileReceiver(_Parsed):
    """`[[receiver]]` of kind file: a file to which a system appends a line for each record."""

    kind: Literal["file"] = Field(description="Follows a growing file.", examples=["file"])
    path: str = Field(
        min_length=1,
        description="The file, relative to the configuration; it need not be there yet.",
        examples=["/var/log/asterisk/cdr-csv/Master.csv"],
    )
    begin: Literal["start", "end"] = Field(
        default="start",
        description="Where to begin a file that was never followed: at its start, or behind what is there.",
        examples=["start"],
    )
    lookback: int = Field(
        default=4 * 1024 * 1024,
        ge=0,
        le=64 * 1024 * 1024,
        description="How much of what came before is read again with new lines, for formats in which a line is "
        "understood by earlier ones: as much as the longest call has of it. Unit: bytes.",
        examples=[4_194_304],
    )


# By kind.
RECEIVERS: Final[dict[str, type[SettingsTable]]] = {
    "file": FileReceiver,
}
Receiver = FileReceiver


def port_of(address: str) -> int:
    """Return the port of host:port."""
    return int(address.rpartition(":")[2])


def host_of(address: str) -> str:
    """Return the host of host:port, without brackets.

    >>> host_of("[::1]:25"), host_of("0.0.0.0:8770")
    ('::1', '0.0.0.0')
    """
    return address.rpartition(":")[0].strip("[]")


def _inconsistent(problem: str) -> PydanticCustomError:
    # A kind of its own: the sentence names the keys itself.
    return PydanticCustomError("inconsistent", "{problem}", {"problem": problem})
