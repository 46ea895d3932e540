"""`[receive]` and `[[receiver]]`: what `bypassflow receive` follows, and within which limits."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias, Union, get_args

from pydantic import Field

from schemas.ami_receiver import AmiReceiver
from schemas.graph_webhook import GraphWebhook
from schemas.mail_receivers import ImapReceiver, SmtpReceiver
from schemas.receiver import ParsedReceiver as ParsedReceiver
from schemas.settings_values import SettingsTable
from schemas.webhooks import FreeswitchWebhook, MetaWebhook, SignedWebhook, TwilioWebhook, WebSettings


class ReceiveSettings(WebSettings):
    """`[receive]`: the process that takes in events as they happen, and its limits."""

    folder: str = Field(
        default=".bypassflow-receive",
        min_length=1,
        description="Folder in which it keeps how far files have been read, relative to the configuration.",
        examples=[".bypassflow-receive"],
    )
    waiting_records: int = Field(
        default=20_000,
        ge=1_000,
        le=1_000_000,
        description="Records that wait for the broker at most; no more is read until there is room.",
        examples=[20_000],
    )
    waiting_bytes: int = Field(
        default=32 * 1024 * 1024,
        ge=1024 * 1024,
        le=1024 * 1024 * 1024,
        description="What waits for the broker, as `waiting_records`. Unit: bytes.",
        examples=[33_554_432],
    )


class FileReceiver(ParsedReceiver):
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


# One line a kind.
_Kinds: TypeAlias = Union[  # noqa: UP007 - of a single kind it is no union
    FileReceiver,
    SignedWebhook,
    FreeswitchWebhook,
    TwilioWebhook,
    MetaWebhook,
    SmtpReceiver,
    GraphWebhook,
    ImapReceiver,
    AmiReceiver,
]
Receiver = Annotated[_Kinds, Field(discriminator="kind")]
# By kind.
RECEIVERS: Final[dict[str, type[SettingsTable]]] = {
    get_args(model.model_fields["kind"].annotation)[0]: model for model in get_args(_Kinds) or (_Kinds,)
}
