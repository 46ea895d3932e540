"""What a process tells those who run it: sentences, which programs can read too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, Self

Seriousness = Literal["debug", "info", "warning", "error"]
_NO_FIELDS: Final[Mapping[str, str | int | float]] = {}


class Announcement(str):
    """A sentence for the log that also names, for programs, what happened, with its figures as fields.

    It is text like any other to whoever prints it. No field ever holds what names a person.

    >>> told = Announcement("a snapshot was taken in 1.5 s", "snapshot taken", seconds=1.5)
    >>> print(told, told.event, told.fields)
    a snapshot was taken in 1.5 s snapshot taken {'seconds': 1.5}
    """

    event: str
    fields: Mapping[str, str | int | float]
    seriousness: Seriousness

    def __new__(cls, sentence: str, event: str, seriousness: Seriousness = "info", **fields: str | int | float) -> Self:
        """Return the sentence; `event` stays the same whatever figures the sentence has."""
        made = super().__new__(cls, sentence)
        made.event, made.seriousness, made.fields = event, seriousness, fields or _NO_FIELDS
        return made
