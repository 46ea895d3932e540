"""Requests of systems that send, and what they are answered, whatever server takes them in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol
from urllib.parse import parse_qsl

from pipeline.errors import BypassflowError
from pipeline.received import Placing

FORM: Final = "application/x-www-form-urlencoded"
MOST_PARAMETERS: Final = 1_000


@dataclass(frozen=True)
class Request:
    """A request. `query` as it was written, without its question mark; names of `headers` in small letters."""

    method: str
    query: str
    headers: Mapping[str, str]
    received_at: datetime
    body: bytes = b""

    @property
    def asked(self) -> Mapping[str, str]:
        """The parameters of the query.

        Raises:
            Refused: when there are more than anybody has.
        """
        try:
            return dict(parse_qsl(self.query, keep_blank_values=True, max_num_fields=MOST_PARAMETERS))
        except ValueError:
            raise Refused(400, f"the query has more than {MOST_PARAMETERS:,} parameters") from None

    @property
    def content_type(self) -> str:
        """The type alone, in small letters; empty when none was given."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True)
class Answer:
    """What a sender is answered."""

    status: int
    text: str = ""
    content_type: str = "text/plain"
    headers: Mapping[str, str] = field(default_factory=dict)


class Refused(BypassflowError):
    """A request that is not taken, with what its sender is answered. The sentence holds nothing of the request."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.answer = Answer(status, f"{reason}\n", headers=headers or {})


@dataclass(frozen=True)
class Content:
    """What a request brings, as a parser of files reads it, and the places of its records for good.

    `rest`: what its sender is told once this is kept, when it has to come again for the rest.
    """

    data: bytes
    place: Placing
    rest: Refused | None = None


class Sender(Protocol):
    """A system that sends. Its methods raise Refused for what is not its own, or nothing that it would send."""

    @property
    def methods(self) -> tuple[str, ...]:
        """How it asks."""
        ...

    @property
    def thanks(self) -> Answer:
        """What it is answered when all that it brought is kept."""
        ...

    def greet(self, request: Request) -> Answer | None:
        """Look at a request before its body is read, and answer one that has none; None when the body is wanted."""
        ...

    def take(self, request: Request) -> Content | None:
        """Return what a request brings; None when it is nothing to publish."""
        ...
