"""What the kinds of `[[receiver]]` share."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from schemas.settings_values import SOURCE_NAME_PATTERN, ColumnName, SettingsTable, TimeZoneName


class ReceiverTable(SettingsTable):
    """What all receivers share."""

    source: str = Field(
        pattern=SOURCE_NAME_PATTERN,
        description="Name of the system whose records these are, as in `[[source]]`.",
        examples=["pbx"],
    )


class TranslatedReceiver(ReceiverTable):
    """What receivers share whose records a parser of files reads."""

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


class ParsedReceiver(TranslatedReceiver):
    """What receivers share that may bring any format."""

    format: str = Field(
        min_length=1,
        description="Name of the parser, see `bypassflow sources`.",
        examples=["asterisk_cdr"],
    )
