"""Microsoft Graph: notifications that something came to be. They only point at it, so that it has to be fetched.

Source: Graph's documentation of change notifications through webhooks, of lifecycle notifications, and of the
resources callRecord and message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from pipeline.json_text import load_json
from pipeline.received import content_number
from pipeline.webhooks import proofs
from pipeline.webhooks.exchange import Answer, Content, Refused, Request

_LONGEST_TOKEN: Final = 1_000
_MOST_NOTICES: Final = 1_000
_ID: Final = r"[A-Za-z0-9_-][A-Za-z0-9_=@.+-]{0,400}"
_CALL: Final = re.compile(rf"/?communications/callRecords/({_ID})", re.IGNORECASE).fullmatch
_MESSAGE: Final = re.compile(
    rf"/?users/({_ID})/(?:mailFolders(?:/{_ID}|\('{_ID}'\))/)?messages/({_ID})", re.IGNORECASE
).fullmatch
_MESSAGE_MEMBERS: Final = (
    "id", "internetMessageId", "subject", "from", "sender", "toRecipients", "ccRecipients", "bccRecipients",
    "sentDateTime", "receivedDateTime", "isDraft", "parentFolderId", "internetMessageHeaders",
)  # fmt: skip
# What the parsers read, and the rest is left out: it is much, and changes later.
_CALL_MEMBERS: Final = (
    "id", "type", "modalities", "startDateTime", "endDateTime", "organizer", "organizer_v2", "participants",
    "participants_v2", "sessions",
)  # fmt: skip
_SESSION_MEMBERS: Final = ("id", "caller", "callee", "startDateTime", "endDateTime", "failureInfo", "modalities")

Format = Literal["teams", "graph_mail"]


@dataclass(frozen=True)
class Pointer:
    """What a notification points at: `address` below the root of the API, and `identity`, by which it is known."""

    address: str
    identity: str


@dataclass(frozen=True)
class Notices:
    """What a request tells: of what came to be, and of the subscriptions themselves."""

    pointers: Sequence[Pointer]
    events: frozenset[str]


class Graph:
    """Notifications of one application's subscriptions."""

    methods: Final = ("POST",)
    thanks: Final = Answer(202)

    def __init__(self, format: Format, client_state: str) -> None:
        self._format: Format = format
        self._client_state = client_state

    def greet(self, request: Request) -> Answer | None:
        """Answer the request with which Graph sees whether anybody is here."""
        token = request.asked.get("validationToken")
        if token is None:
            return None
        if not token.isprintable() or not token.isascii() or not 0 < len(token) <= _LONGEST_TOKEN:
            raise Refused(400, f"validationToken: expected at most {_LONGEST_TOKEN:,} letters")
        return Answer(200, token)

    def notices(self, request: Request) -> Notices:
        """Return what a request points at, each thing once.

        Raises:
            Refused: when it is none of our subscriptions.
        """
        try:
            told = load_json(request.body)
        except orjson.JSONDecodeError:
            raise Refused(400, "expected JSON") from None
        notices = told.get("value") if isinstance(told, dict) else None
        if not isinstance(notices, list) or not notices or len(notices) > _MOST_NOTICES:
            raise Refused(400, f"value: expected a list of at most {_MOST_NOTICES:,} notifications")
        for notice in notices:
            state = notice.get("clientState") if isinstance(notice, dict) else None
            if not isinstance(state, str) or not proofs.same(state, self._client_state):
                raise Refused(403, "clientState lacks, or is another one")
        pointers = [
            self._pointer(str(notice.get("resource"))) for notice in notices if notice.get("lifecycleEvent") is None
        ]
        events = frozenset(str(event) for notice in notices if (event := notice.get("lifecycleEvent")) is not None)
        return Notices(list(dict.fromkeys(pointers)), events)

    def _pointer(self, resource: str) -> Pointer:
        """Return where a resource is fetched from. Of what a notification says, nothing but ids comes into it.

        Raises:
            Refused: when it is not of the format's kind.
        """
        if self._format == "teams" and (call := _CALL(resource)):
            return Pointer(f"communications/callRecords/{call[1]}?$expand=sessions", call[1])
        if self._format == "graph_mail" and (message := _MESSAGE(resource)):
            user, name = message[1], message[2]
            return Pointer(f"users/{user}/messages/{name}?$select={','.join(_MESSAGE_MEMBERS[1:])}", user.lower())
        what = "call records" if self._format == "teams" else "messages of users"
        raise Refused(400, f"resource: expected {what}; see resources of this receiver")


def content(format: Format, fetched: Sequence[tuple[Pointer, Mapping[str, Any]]]) -> Content | None:
    """Return what was fetched, one a line, each known by its own id however often it is fetched."""
    lines, numbers = [], []
    for pointer, value in fetched:
        if format == "teams":
            identity, told = pointer.identity, _only(value, _CALL_MEMBERS)
            if isinstance(sessions := told.get("sessions"), list):
                told["sessions"] = [_only(each, _SESSION_MEMBERS) for each in sessions if isinstance(each, dict)]
        else:
            # A message that is moved gets another id; in one mailbox its Message-ID is its own.
            own = value.get("internetMessageId") or value.get("id")
            identity, told = f"{pointer.identity} {own}", _only(value, _MESSAGE_MEMBERS)
        lines.append(orjson.dumps(told))
        numbers.append(content_number(identity.encode()))

    def place(written: str) -> str:
        record, mark, part = written.partition("#")
        return f"{numbers[int(record) - 1]}{mark}{part}"

    return Content(b"".join(line + b"\n" for line in lines), place) if lines else None


def _only(value: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value[name] for name in names if name in value}
