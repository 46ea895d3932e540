"""Where one message ends and the next begins, in a file that holds many.

The mbox format has no length and no escape that every program keeps to. A line that begins with "From " is
therefore believed to separate messages when signs agree: a blank line before it, an envelope's date in it,
a header line after it. Content-Length is believed only when a separator or the end of the file stands where
it points. The file is read once, forward, in blocks; a body of any size passes through one block.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from pipeline.errors import InvalidRecord

HEADER_LIMIT: Final = 256 * 1024
BLOCK_SIZE: Final = 1024 * 1024

# How much of an envelope line and of the line after it is looked at.
_LOOKAHEAD: Final = 8 * 1024
_LONGEST_BELIEVED_BODY: Final = 4 * BLOCK_SIZE

_DAY: Final = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_MONTH: Final = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_DATE: Final = re.compile(
    rb"(?:\b%b,? +)(?:%b +\d{1,2}|\d{1,2} +%b)\b.{0,40}?\d\d?:\d\d.*" % (_DAY, _MONTH, _MONTH)
    + rb"|\b\d{1,2} +%b +\d{2,4} +\d\d?:\d\d.*|\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d.*" % _MONTH,
    re.IGNORECASE,
).search
_USUAL: Final = re.compile(rb"From [^ \n]++ +%b %b [ \d]\d \d\d:\d\d:\d\d" % (_DAY, _MONTH)).match
# "From maija@example.com", or with a date in words that only her machine knows.
_UNDATED: Final = re.compile(rb"From +[^ \t\r]*(?:[ \t].*\d\d:\d\d.*)?\s*$").match
_HEADER_LINE: Final = re.compile(rb"[!-9;-~]{1,100}+[ \t]*+:|>From ").match
_HEADER_END: Final = re.compile(rb"\n\r*+\n").search
_TOP: Final = re.compile(rb"(?:(From [^\n]{0,8192}+)\n)?+[\r\n]*+").match
_BLANK_LINES: Final = re.compile(rb"[\r\n]*+")
_CONTENT_LENGTH: Final = re.compile(rb"\nContent-Length:[ \t]*(\d{1,9})\s").search


class MessageHead(NamedTuple):
    """The top of a message: its offset in the file, its "From " line if it has one, its header without the blank line.

    `is_cut`: the header goes on beyond the limit; only its beginning is here.
    """

    position: int
    envelope: bytes
    header: bytes
    is_cut: bool = False


def head_of(text: bytes) -> MessageHead:
    """Return the top of the one message that begins `text`. An envelope line before it is allowed."""
    envelope, top = _top(text, _skip_blank(text, 0))
    end = header_end(text, top)
    return MessageHead(0, envelope, text[top:end] if end >= 0 else text[top:], end < 0 and len(text) >= HEADER_LIMIT)


def header_end(text: bytes, top: int = 0) -> int:
    """Return the offset of the blank line that ends the header which begins at `top`; -1 when there is none."""
    found = _HEADER_END(text, top)
    return found.start() + 1 if found else -1


def envelope_date(envelope: bytes) -> bytes:
    """Return the date in an envelope line, empty when it has none."""
    found = _DATE(envelope)
    return found[0] if found else b""


def is_separator(text: bytes, at: int, *, is_first: bool = False) -> bool:
    """Return whether the line at `at` separates messages. `is_first`: nothing stands before it."""
    follows_blank = is_first or text[at - 2 : at] == b"\n\n" or text[at - 3 : at] == b"\n\r\n"
    if follows_blank and _USUAL(text, at):
        return True
    if not text.startswith(b"From ", at):
        return False
    line_end = text.find(b"\n", at, at + _LOOKAHEAD)
    line_end = min(len(text), at + _LOOKAHEAD) if line_end < 0 else line_end
    if _DATE(text, at, line_end):
        return follows_blank or _HEADER_LINE(text, line_end + 1) is not None
    if not follows_blank or _HEADER_LINE(text, line_end + 1) is None:
        return False
    return _UNDATED(text[at:line_end]) is not None


def split_mbox(read: Callable[[], bytes]) -> Iterator[MessageHead]:
    """Yield the tops of the messages in order. Text before the first separator comes as a message without envelope.

    `read` gives the file's next bytes, any number of them, and none at the end.

    Raises:
        InvalidRecord: what `read` raised, after every message whose header came before.
    """
    window = _Window(read)
    start = window.skip_blank_lines()
    while start >= 0:
        start = window.keep(start, HEADER_LIMIT + 2 * _LOOKAHEAD)
        text = window.text
        envelope, top = _top(text, start)
        limit = min(len(text), start + HEADER_LIMIT)
        found = _HEADER_END(text, top, limit)
        end = found.start() + 1 if found else limit
        following = text.find(b"\nFrom ", max(top - 1, start), end)
        if following >= 0:
            following = _separator_between(text, following, end)
        position = window.base + start
        if window.failure and found is None and following < 0:
            break
        if following >= 0:
            yield MessageHead(position, envelope, text[top:following])
            start = following
        elif found is None and limit < len(text):
            yield MessageHead(position, envelope, text[top : top + _LOOKAHEAD], is_cut=True)
            start = window.find_separator(end - len(b"\nFrom "))
        else:
            yield MessageHead(position, envelope, text[top:end])
            start = window.skip_body(top, end)
    if window.failure:
        raise window.failure


def _skip_blank(text: bytes, at: int) -> int:
    found = _BLANK_LINES.match(text, at)
    return found.end() if found else at


def _top(text: bytes, start: int) -> tuple[bytes, int]:
    """Return the envelope line at `start`, if one is there, and the offset of the header."""
    found = _TOP(text, start)
    return (found[1] or b"", found.end()) if found else (b"", start)


def _separator_between(text: bytes, start: int, end: int) -> int:
    """Return the offset of a separator inside what looks like one header: its message has no body, not even blank."""
    at = text.find(b"\nFrom ", start, end)
    while at >= 0:
        if is_separator(text, at + 1):
            return at + 1
        at = text.find(b"\nFrom ", at + 1, end)
    return -1


class _Window:
    """The stretch of the file in memory: `text`, which begins at the file's offset `base`.

    `failure` is why the file cannot be read on; what came before it is kept.
    """

    def __init__(self, read: Callable[[], bytes]) -> None:
        self.text = b""
        self.base = 0
        self.failure: InvalidRecord | None = None
        self._read = read
        self._is_end = False

    def keep(self, start: int, size: int) -> int:
        """Have `size` bytes from `start` in memory if the file has them. Return where `start` is now."""
        length = len(self.text) - start
        if length >= size or self._is_end:
            return start
        parts = [self.text[start:]]
        self.base += start
        while length < size + BLOCK_SIZE:
            try:
                block = self._read()
            except InvalidRecord as error:
                self.failure = error
                block = b""
            if not block:
                self._is_end = True
                break
            parts.append(block)
            length += len(block)
        self.text = b"".join(parts)
        return 0

    def skip_blank_lines(self) -> int:
        """Return the offset of the first byte that is no line end, -1 when there is none."""
        start = self.keep(0, BLOCK_SIZE)
        while True:
            start = _skip_blank(self.text, start)
            if start < len(self.text):
                return start
            if self._is_end:
                return -1
            start = self.keep(start, BLOCK_SIZE)

    def find_separator(self, start: int) -> int:
        """Return the offset of the next separator after `start`, -1 when there is none."""
        while True:
            found = self.text.find(b"\nFrom ", start)
            if found < 0:
                if self._is_end:
                    return -1
                kept = max(len(self.text) - len(b"\n\r\nFrom "), 0)
                start = max(start - kept, 0) + self.keep(kept, BLOCK_SIZE)
                continue
            before = max(found - 2, 0)
            found += self.keep(before, 2 * _LOOKAHEAD) - before
            if is_separator(self.text, found + 1):
                return found + 1
            start = found + 1

    def skip_body(self, top: int, end: int) -> int:
        """Return the offset of the separator after the message whose header lies between `top` and `end`."""
        if self.text.find(b"\nContent-Length:", top, end) >= 0 and (stated := _CONTENT_LENGTH(self.text, top, end)):
            length = min(int(stated[1]), _LONGEST_BELIEVED_BODY)
            end = self.keep(end - 1, length + 2 * _LOOKAHEAD) + 1
            body_end = end + (2 if self.text.startswith(b"\r\n", end) else 1) + length
            after = _skip_blank(self.text, body_end)
            if body_end <= len(self.text) and after - body_end <= len(b"\r\n\r\n"):
                if after == len(self.text) and self._is_end:
                    return -1
                if is_separator(self.text, after):
                    return after
        return self.find_separator(end - 1)
