"""A mailbox on a mail server, read and never changed: which folders it has, and the headers of new messages."""

from __future__ import annotations

import fnmatch
import logging
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from imapclient import imap_utf7
from imapclient.exceptions import IMAPClientAbortError, IMAPClientError, LoginError

from agents.receivers.imap_client import BoundedClient
from pipeline.errors import ConfigurationError, TransientError
from pipeline.sources.mbox_stream import HEADER_LIMIT

# What is asked for at once: of headers, so that they fit into memory at their largest, and of UIDs, so that servers
# can answer in a line that the library reads.
BATCH: Final = 200
_SPAN: Final = 50_000
# UIDs have 32 bits.
_MOST_UIDS: Final = 1 << 32
# An end is noticed within this time. Unit: seconds.
_BEAT: Final = 1.0
_NOT_ASKED: Final = frozenset({b"\\noselect", b"\\nonexistent"})
_NOT_SENT: Final = frozenset({b"\\drafts", b"\\junk"})
_HEADER: Final = f"BODY.PEEK[HEADER]<0.{HEADER_LIMIT}>"
# The largest answer that is asked for: a batch of headers, with what stands around each.
_MOST_BYTES: Final = BATCH * (HEADER_LIMIT + 1_024) + 1_000_000

_Found = TypeVar("_Found")

# The library would write what is said in a session to the log.
logging.getLogger("imapclient").setLevel(logging.CRITICAL)


class Refusal(TransientError):
    """The server says no to one question, or what cannot be understood; the connection holds."""


@dataclass(frozen=True)
class FolderState:
    """How a folder is known: its UIDs mean something only with this validity, and all are below `next_uid`."""

    validity: int
    next_uid: int


class Mailbox:
    """One connection. For one thread, except `cut`."""

    def __init__(
        self,
        host: str,
        port: int | None,
        tls: ssl.SSLContext | None,
        is_starttls: bool,
        username: str,
        secret: Callable[[], str],
        is_oauth2: bool,
    ) -> None:
        """`secret` is asked at each sign-in."""
        self._host, self._port, self._tls, self._is_starttls = host, port, tls, is_starttls
        self._username, self._secret, self._is_oauth2 = username, secret, is_oauth2
        self._client: Any = None
        self._is_cut = threading.Event()
        self._selected: tuple[str, FolderState] | None = None

    def connect(self) -> None:
        """Connect and sign in.

        Raises:
            TransientError: when that is not possible now, whatever the reason: servers refuse for a while, too.
        """
        secret = self._secret()
        try:
            is_tls = self._tls is not None and not self._is_starttls
            port = self._port or (993 if is_tls else 143)
            self._client = BoundedClient(self._host, port, self._tls if is_tls else None, _MOST_BYTES)
            if self._is_starttls:
                with self._client.answering():
                    self._client.starttls(ssl_context=self._tls)
        except ssl.SSLCertVerificationError as error:
            raise TransientError(f"its certificate is not trusted: {error.verify_message}; see ca_file") from None
        except (OSError, IMAPClientError) as error:
            raise TransientError(f"cannot be reached: {_reason(error)}") from None
        try:
            with self._client.answering():
                if self._is_oauth2:
                    self._client.oauth2_login(self._username, secret)
                else:
                    self._client.login(self._username, secret)
        except LoginError:
            raise TransientError("the server refuses the user name or the secret") from None
        except (OSError, IMAPClientError) as error:
            raise TransientError(f"signing in failed: {_reason(error)}") from None

    def folders(self, wanted: Sequence[str]) -> list[str]:
        """Return the names of the folders that are wanted, in that order."""
        found: dict[str, None] = {}
        listed = [(name, flags) for name, flags in self._ask(_listed) if not flags & _NOT_ASKED]
        for pattern in wanted:
            if pattern.startswith("\\"):
                flag = pattern.lower().encode()
                named = [name for name, flags in listed if flag in flags]
                if not named and flag == b"\\sent":
                    special = self._ask(lambda client: client.find_special_folder(b"\\Sent"))
                    named = [] if special is None else [str(special)]
            elif "*" in pattern:
                shape = pattern.replace("[", "[[]").replace("?", "[?]")
                named = [name for name, flags in listed if fnmatch.fnmatchcase(name, shape) and not flags & _NOT_SENT]
            else:
                is_inbox = pattern.upper() == "INBOX"
                named = [name for name, _ in listed if name == pattern or (is_inbox and name.upper() == "INBOX")]
            found |= dict.fromkeys(named)
        return list(found)

    def state(self, folder: str) -> FolderState:
        """Return how a folder is now, without opening it."""
        return self._ask(lambda client: _state(client.folder_status(folder, ["UIDVALIDITY", "UIDNEXT"])))

    def examine(self, folder: str) -> FolderState:
        """Open a folder for reading, and return how it is."""
        said = self._ask(lambda client: client.select_folder(folder, readonly=True))
        state = _state(said) if {b"UIDNEXT", b"UIDVALIDITY"} <= set(said) else self.state(folder)
        self._selected = (folder, state)
        return state

    def uids(self, after: int, state: FolderState) -> tuple[list[int], int]:
        """Return UIDs of the open folder behind one, in order, and up to which these are all that there are."""
        through = min(after + _SPAN, state.next_uid - 1)
        found = self._ask(lambda client: client.search(["UID", f"{after + 1}:{through}"]))
        # A server may name the last message though it is below.
        return sorted(uid for uid in map(int, found) if after < uid <= through), through

    def headers(self, uids: Sequence[int]) -> list[bytes]:
        """Return the headers of messages of the open folder, without those that are gone."""
        said = self._ask(lambda client: client.fetch(uids, [_HEADER]))
        return [
            value
            for uid in uids
            for name, value in said.get(uid, {}).items()
            if name.startswith(b"BODY[HEADER]") and value is not None
        ]

    def wait(self, folder: str, seconds: float) -> None:
        """Return when something came to a folder, where the server tells, and after so many seconds at the latest."""
        if self._selected is None or self._selected[0] != folder:
            self.examine(folder)
        can_idle = self._ask(lambda client: client.has_capability("IDLE"))
        until = time.monotonic() + seconds
        if can_idle:
            self._ask(lambda client: client.idle())
        told = False
        while not told and not self._is_cut.is_set() and (left := until - time.monotonic()) > 0:
            if can_idle:
                said = self._ask(lambda client: client.idle_check(min(left, _BEAT)))
                told = any(len(each) > 1 and each[1] == b"EXISTS" for each in said)
                if any(each[0] == b"BYE" for each in said):
                    raise TransientError("the server said goodbye")
            else:
                self._is_cut.wait(min(left, _BEAT))
        if can_idle:
            self._ask(lambda client: client.idle_done())
        self._selected = None

    def close(self) -> None:
        """End the session."""
        client, self._client, self._selected = self._client, None, None
        if client is not None:
            with suppress(OSError, IMAPClientError, TransientError), client.answering():
                client.logout()
            with suppress(OSError, IMAPClientError):
                client.shutdown()

    def cut(self) -> None:
        """End the session from another thread, whatever it waits for."""
        self._is_cut.set()
        client = self._client
        if client is not None:
            with suppress(OSError, IMAPClientError, AttributeError):
                client.shutdown()

    def _ask(self, question: Callable[[Any], _Found]) -> _Found:
        if self._is_cut.is_set():
            raise TransientError("ended")
        try:
            with self._client.answering():
                return question(self._client)
        except (OSError, IMAPClientAbortError) as error:
            raise TransientError(f"the connection failed: {_reason(error)}") from None
        except (IMAPClientError, LookupError, ValueError) as error:
            raise Refusal(f"the server's answer is of no use: {_reason(error)}") from None


def tls_context(tls: str, ca_file: str | None) -> ssl.SSLContext | None:
    """Return what certificates are checked with; None without TLS.

    Raises:
        ConfigurationError: when the file cannot be read.
    """
    if tls == "none":
        return None
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (ssl.SSLError, OSError) as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigurationError(f"ca_file {ca_file} cannot be used: {reason}; expected a PEM file") from None


def _listed(client: Any) -> list[tuple[str, frozenset[bytes]]]:
    """Return the folders and their flags, without those whose name cannot be read: the library would give none then."""
    client.folder_encode = False
    try:
        said = client.list_folders()
    finally:
        client.folder_encode = True
    found = []
    for flags, _, name in said:
        with suppress(ValueError):
            named = imap_utf7.decode(name) if isinstance(name, bytes) else str(name)
            found.append((named, frozenset(flag.lower() for flag in flags)))
    return found


def _state(said: Any) -> FolderState:
    state = FolderState(int(said[b"UIDVALIDITY"]), int(said[b"UIDNEXT"]))
    if not 0 < state.next_uid <= _MOST_UIDS:
        raise Refusal(f"the server's answer is of no use: {state.next_uid} is no UID")
    return state


def _reason(error: Exception) -> str:
    """Return what is known of a failure; a server's own words may hold what is in a mailbox."""
    if isinstance(error, OSError):
        return (error.strerror or type(error).__name__).lower()
    return type(error).__name__
