"""Any system that can sign what it sends, or show a token or a password; what it sends is in any format."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from pipeline.received import place_of_document, place_of_lines
from pipeline.webhooks import proofs
from pipeline.webhooks.exchange import FORM, Answer, Content, Refused, Request

_BY_LINE: Final = "canonical_jsonl"


class Signed:
    """A sender whose secret was agreed upon."""

    methods: Final = ("POST",)
    thanks: Final = Answer(200)

    def __init__(
        self,
        format: str,
        *,
        at_once: Callable[[Request], None] | None = None,
        with_body: Callable[[Request], None] | None = None,
    ) -> None:
        """`at_once` checks a request by its header alone, `with_body` one that was read."""
        self._place = place_of_lines if format == _BY_LINE else place_of_document
        self._at_once = at_once
        self._with_body = with_body

    def greet(self, request: Request) -> Answer | None:
        """Refuse whom the header gives away, and what is no content of a file."""
        if self._at_once is not None:
            self._at_once(request)
        if request.content_type == FORM or request.content_type.startswith("multipart/"):
            raise Refused(
                415, "expected the records themselves as the body, such as with Content-Type: application/json"
            )
        return None

    def take(self, request: Request) -> Content | None:
        """Return the body as it is."""
        if self._with_body is not None:
            self._with_body(request)
        if not request.body.strip():
            return None
        # The same record is the same line, whichever others come with it; of other formats the body is one document.
        return Content(request.body, self._place(request.body))


def bearer(format: str, secret: str) -> Signed:
    """Return a sender that shows a token."""
    return Signed(format, at_once=lambda request: proofs.check_bearer(request, secret))


def basic(format: str, username: str, secret: str) -> Signed:
    """Return a sender that shows a user name and password."""
    return Signed(format, at_once=lambda request: proofs.check_basic(request, username, secret))


def signing(format: str, key: bytes, window: timedelta) -> Signed:
    """Return a sender that signs as Standard Webhooks has it."""
    return Signed(format, with_body=lambda request: proofs.check_standard(request, key, window))
