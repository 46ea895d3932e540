"""The library's IMAP client with bounds on what one answer of a server may be: so many bytes, within so long."""

from __future__ import annotations

import imaplib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from imapclient import IMAPClient, SocketTimeout

from pipeline.errors import TransientError

# Unit: seconds. The second is between two pieces of an answer, the third for all of it.
CONNECT_SECONDS: Final = 5.0
SILENT_SECONDS: Final = 30.0
ANSWER_SECONDS: Final = 300.0


class _Bounded(imaplib.IMAP4):
    """A connection of imaplib that gives up answers without end.

    imaplib would take as much memory as a server announces, and wait for as long as a byte comes now and then.
    """

    def __init__(self, host: str, port: int, most_bytes: int, most_seconds: float) -> None:
        self._most_bytes, self._most_seconds = most_bytes, most_seconds
        self._left = most_bytes
        self._is_late = False
        with self.answering():
            super().__init__(host, port, timeout=CONNECT_SECONDS)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Bound the answer that is waited for.

        Raises:
            TransientError: when it takes too long; the connection is cut then.
        """
        self._left = self._most_bytes
        timer = threading.Timer(self._most_seconds, self._give_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        except Exception:
            if self._is_late:
                raise TransientError(f"the server's answer took more than {self._most_seconds:g} seconds") from None
            raise
        finally:
            timer.cancel()

    def read(self, size: int) -> bytes:
        self._spend(size)
        return super().read(size)

    def readline(self) -> bytes:
        line = super().readline()
        self._spend(len(line))
        return line

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise TransientError(f"the server's answer is longer than {self._most_bytes:,} bytes")

    def _give_up(self) -> None:
        self._is_late = True
        with suppress(OSError, AttributeError):
            self.sock.shutdown(socket.SHUT_RDWR)


class _BoundedTls(_Bounded):
    """The same over TLS from the first byte on."""

    def __init__(self, host: str, port: int, most_bytes: int, most_seconds: float, tls: ssl.SSLContext) -> None:
        self._tls = tls
        super().__init__(host, port, most_bytes, most_seconds)

    def _create_socket(self, timeout: float | None) -> ssl.SSLSocket:
        plain = socket.create_connection((self.host, self.port), timeout)
        return self._tls.wrap_socket(plain, server_hostname=self.host)


class BoundedClient(IMAPClient):  # type: ignore[misc]
    """An `IMAPClient` of which each question is to be asked within `answering`.

    `most_bytes` of an answer, `most_seconds` for it.
    """

    def __init__(
        self, host: str, port: int, tls: ssl.SSLContext | None, most_bytes: int, most_seconds: float = ANSWER_SECONDS
    ) -> None:
        """Connect; `tls`: from the first byte on.

        Raises:
            TransientError: when the greeting takes too long or is too long.
            OSError, IMAPClientError: as `IMAPClient`.
        """
        self._bounds = most_bytes, most_seconds
        super().__init__(
            host, port, ssl=tls is not None, ssl_context=tls, timeout=SocketTimeout(CONNECT_SECONDS, SILENT_SECONDS)
        )

    @contextmanager
    def answering(self) -> Iterator[None]:
        """See `_Bounded.answering`."""
        with self._imap.answering():
            yield

    def _create_IMAP4(self) -> Any:
        if self.ssl:
            return _BoundedTls(self.host, self.port, *self._bounds, self.ssl_context)
        return _Bounded(self.host, self.port, *self._bounds)
