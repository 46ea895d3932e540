"""Mail as mail systems keep it: mbox files, Maildirs, folders of message files. Headers only, never bodies.

One observation per copy of a message in a mailbox. Copies in several mailboxes are one conversation by
their keys; the same message filed twice in one mailbox is a duplicate by its digest. A broken message is
still a message: it becomes a dead letter only without any sender or recipient, without any date, or when
it is no message at all.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.mail_facts import MailFacts, Unit
from pipeline.sources.mbox_stream import HEADER_LIMIT, MessageHead, head_of, header_end, is_separator, split_mbox
from pipeline.sources.reading import head
from pipeline.sources.registry import Batch, Format, ReadContext, Recognition, Sample, is_own_name
from pipeline.sources.unpacking import open_text

BATCH_MESSAGES: Final = 20_000
BATCH_BYTES: Final = 256 * 1024 * 1024

_CARRIES: Final = frozenset({"observation"})
_FIRST_READ: Final = 16 * 1024
# gzip, zstd, and the marks of UTF-16 and UTF-8: such files take the long way.
_PACKED: Final = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")

# What is looked at of a directory before it is claimed.
_PEEKED_FILES: Final = 20
_PEEKED_FOLDERS: Final = 50
_PEEKED_ENTRIES: Final = 1_000
_MESSAGE_SHARE: Final = 0.8

_MAIL_FIELD: Final = re.compile(
    rb"^(From|To|Cc|Date|Subject|Message-ID|Received|Return-Path|Delivered-To|Sender|Reply-To|MIME-Version|"
    rb"Content-Type|Content-Transfer-Encoding|In-Reply-To|X-Mailer|DKIM-Signature|User-Agent)[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
).findall
_INTERNAL: Final = (
    "Colleagues may stand by X.500 names (/O=ACME/CN=ANNA) in place of addresses. Such a sender is of the mailbox's "
    'own domain: name the file or folder after its address, or give options = { mailbox = "anna@acme.example" }; else '
    "the message is a dead letter."
)
_TELLING: Final = frozenset({b"from", b"to", b"date", b"received", b"message-id"})
_HEADER_SHAPED: Final = re.compile(rb"[!-9;-~]+[ \t]*:|[ \t]").match


class MboxSource:
    """Files that hold one message after another, each begun by a "From " line."""

    name = "mbox"
    title = "Mailbox file (mbox)"
    description = (
        "Recognised by the envelope line (`From sender date`) at its beginning and a mail header after it. "
        "May be compressed with gzip or zstd. The position of a message is its byte offset. Only headers are read."
    )
    carries = _CARRIES
    formats = (
        Format(
            "mbox",
            "headers of each message",
            "bodies and attachments",
            "records",
            "messages of an open test collection, broken ones among them",
        ),
    )
    lies = ("A Message-ID may be missing; sender, recipients, subject and second tell copies then.", _INTERNAL)

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on a file that begins with an envelope line."""
        text = sample.head.lstrip(b"\r\n")
        if sample.is_directory or not is_separator(text, 0, is_first=True):
            return None
        if _is_message(text):
            return Recognition(0.95, "begins with an envelope line and a mail header")
        return Recognition(0.6, "begins with an envelope line")

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of observations, one per message, in the order of the file."""
        facts = MailFacts(context)
        failure: InvalidRecord | None = None
        done = 0
        with open_text(path) as text:
            try:
                for message in split_mbox(text.read_piece):
                    facts.add(message, context.file, "byte", context.file)
                    facts.byte_count = text.stored_position - done
                    if facts.record_count >= BATCH_MESSAGES or facts.byte_count >= BATCH_BYTES:
                        done += facts.byte_count
                        yield facts.take()
            except InvalidRecord as error:
                failure = error
            facts.byte_count = text.stored_position - done
            if facts.record_count:
                yield facts.take()
        if failure:
            raise failure


class _MessageFile(NamedTuple):
    """A file that should hold one message: its path, its name and its mailbox's name below the path that is read."""

    path: str
    name: str
    mailbox: str


class _MessageFiles(ABC):
    """What Maildirs and folders of messages have in common: one file per message."""

    carries = _CARRIES

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of observations, one per file, in the order of the names."""
        facts = MailFacts(context)
        for file in self._files(path, facts):
            name = _encodable(_joined(context.file, file.name))
            mailbox = _encodable(_joined(context.file, file.mailbox))
            try:
                for message, unit in self._messages(file.path, facts):
                    facts.add(message, name, unit, mailbox)
                    if facts.record_count >= BATCH_MESSAGES:
                        yield facts.take()
            except (OSError, InvalidRecord) as error:
                reason = error.strerror if isinstance(error, OSError) else "its archive is damaged or cut off"
                facts.reject(MessageHead(0, b"", b""), name, "record", f"cannot be read: {reason}")
        if facts.record_count or facts.warnings:
            yield facts.take()

    @abstractmethod
    def _files(self, path: Path, facts: MailFacts) -> Iterator[_MessageFile]:
        """Yield the files, in the order of their names."""

    def _messages(self, path: str, facts: MailFacts) -> Iterator[tuple[MessageHead, Unit]]:
        """Yield what is in one file, normally one message."""
        text, size = _read_top(path)
        facts.byte_count += size
        yield head_of(text), "record"


class MaildirSource(_MessageFiles):
    """Directories with cur, new and tmp: one file per message."""

    name = "maildir"
    title = "Maildir"
    description = (
        "A directory with `cur` and `new` (`tmp` is never read), or a directory of such directories. "
        "Folders inside (`.Sent`, `Sent`) belong to the mailbox that holds them. Only headers are read."
    )
    formats = (
        Format(
            "Maildir, Maildir++",
            "headers of each message; the folder's owner",
            "bodies, attachments, flags, tmp",
            "documentation",
            "the layout that Dovecot and Courier describe",
        ),
    )
    lies = (_INTERNAL,)

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on a Maildir, or on a directory whose directories are Maildirs."""
        if not sample.is_directory:
            return None
        if _is_maildir(sample.path):
            return Recognition(0.98, "holds cur and new")
        looked_at = [name for name in sample.entries[:_PEEKED_FOLDERS] if not name.startswith(".")]
        maildirs = sum(_is_maildir(sample.path / name) for name in looked_at)
        if maildirs and maildirs >= _MESSAGE_SHARE * len(looked_at):
            return Recognition(0.95, f"{maildirs} of {len(looked_at)} entries looked at are Maildirs")
        return None

    def _files(self, path: Path, facts: MailFacts) -> Iterator[_MessageFile]:
        waiting: list[tuple[str, str | None]] = [("", None)]
        while waiting:
            below, mailbox = waiting.pop()
            _, folders = _listing(path, below, facts)
            if "cur" in folders or "new" in folders:
                mailbox = below if mailbox is None else mailbox
                for folder in (_joined(below, kind) for kind in ("cur", "new") if kind in folders):
                    for name in _listing(path, folder, facts)[0]:
                        if not name.startswith("."):
                            yield _MessageFile(f"{path}/{folder}/{name}", f"{folder}/{name}", mailbox)
                folders = [name for name in folders if name not in ("cur", "new", "tmp")]
            waiting.extend((_joined(below, name), mailbox) for name in reversed(folders))


class EmlSource(_MessageFiles):
    """Single message files, and folders of them at any depth."""

    name = "eml"
    title = "Message files (.eml)"
    description = (
        "A file that begins with a mail header, or a directory of such files at any depth, whatever their names "
        "(`user/folder/1.`). The first directory below the path is the mailbox. Hidden files are passed over; a file "
        "in a directory that begins with an envelope line is read as an mbox. Only headers are read."
    )
    formats = (
        Format(
            "one message a file (.eml, numbered files)",
            "headers of each message",
            "bodies and attachments",
            "records",
            "messages of an open test collection, broken ones among them",
        ),
    )
    lies = (_INTERNAL,)

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on a message file, or on a directory in which nearly all files looked at are messages."""
        if not sample.is_directory:
            is_named = _is_named(sample.path.name)
            if not _is_message(sample.head, is_named) or (sample.head.startswith(b"From ") and not is_named):
                return None
            return Recognition(0.97 if is_named else 0.8, "begins with a mail header")
        if _is_maildir(sample.path):
            return None
        looked_at = list(_peek(sample.path))
        messages = sum(_begins_message(path) for path in looked_at)
        if messages and messages >= _MESSAGE_SHARE * len(looked_at):
            return Recognition(0.85, f"{messages} of {len(looked_at)} files looked at begin with a mail header")
        return None

    def _files(self, path: Path, facts: MailFacts) -> Iterator[_MessageFile]:
        if not path.is_dir():
            yield _MessageFile(str(path), "", "")
            return
        hidden_count = 0
        waiting = [""]
        while waiting:
            below = waiting.pop()
            files, folders = _listing(path, below, facts)
            mailbox = below.split("/", 1)[0]
            folder = f"{path}/{below}" if below else str(path)
            for name in files:
                if name.startswith("."):
                    hidden_count += 1
                elif not is_own_name(name):
                    yield _MessageFile(f"{folder}/{name}", _joined(below, name), mailbox)
            waiting.extend(_joined(below, name) for name in reversed(folders))
        if hidden_count:
            facts.warn(f"hidden files passed over: {hidden_count}")

    def _messages(self, path: str, facts: MailFacts) -> Iterator[tuple[MessageHead, Unit]]:
        text, size = _read_top(path)
        facts.byte_count += size
        if text.startswith(b"From ") and not _is_named(path) and is_separator(text, 0, is_first=True):
            with open_text(Path(path)) as whole:
                for message in split_mbox(whole.read_piece):
                    yield message, "byte"
        else:
            yield head_of(text), "record"


SOURCES: Final = (MboxSource(), MaildirSource(), EmlSource())


def _is_named(name: str) -> bool:
    return name.lower().endswith((".eml", ".emlx", ".eml.gz", ".eml.zst"))


def _is_message(text: bytes, is_named: bool = False) -> bool:
    """Return whether text begins with a mail header; a name that says so makes up for a thin one."""
    header = head_of(_with_line_feeds(text)).header
    fields = {name.lower() for name in _MAIL_FIELD(header)}
    if not fields or not (is_named or (len(fields) >= 2 and fields & _TELLING)):
        return False
    lines = header.splitlines()
    return sum(_HEADER_SHAPED(line) is not None for line in lines) >= _MESSAGE_SHARE * len(lines)


def _begins_message(path: Path) -> bool:
    try:
        text, _ = _read_top(str(path))
    except OSError:
        return False
    is_named = _is_named(path.name)
    return _is_message(text, is_named) and (is_named or not text.startswith(b"From "))


def _is_maildir(path: Path) -> bool:
    return (path / "cur").is_dir() and (path / "new").is_dir()


def _peek(root: Path) -> Iterator[Path]:
    """Yield a few files of a directory: its own before those of the folders in it, and only some of each."""
    file_count = 0
    waiting = [root]
    for _ in range(_PEEKED_FOLDERS):
        if not waiting or file_count >= _PEEKED_FILES:
            return
        folder = waiting.pop(0)
        try:
            entries = sorted(islice(folder.iterdir(), _PEEKED_ENTRIES))
        except OSError:
            continue
        files = [
            entry
            for entry in entries
            if not entry.name.startswith(".") and not is_own_name(entry.name) and entry.is_file()
        ]
        waiting.extend(entry for entry in entries if entry.is_dir() and not entry.is_symlink())
        share = files[:: max(1, len(files) * 4 // _PEEKED_FILES)] if folder is not root else files
        for file in share[: _PEEKED_FILES - file_count]:
            file_count += 1
            yield file


def _listing(root: Path, below: str, facts: MailFacts) -> tuple[list[str], list[str]]:
    """Return the names of files and of folders in a folder, sorted. Links are not followed.

    Raises:
        ConfigurationError: when the directory that is read cannot be listed; a folder in it is only warned of.
    """
    files: list[str] = []
    folders: list[str] = []
    try:
        with os.scandir(f"{root}/{below}" if below else root) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif entry.is_file(follow_symlinks=False):
                    files.append(entry.name)
                elif entry.is_symlink() and entry.is_file():
                    facts.warn("links to files are not followed: what they name may lie anywhere")
    except OSError as error:
        if not below:
            raise ConfigurationError(f"{root.name}: the directory cannot be listed: {error.strerror}") from None
        facts.warn(f"{_encodable(below)}: the folder cannot be listed: {error.strerror}")
    files.sort()
    folders.sort()
    return files, folders


def _read_top(path: str) -> tuple[bytes, int]:
    """Return the beginning of a file, with its header whole where it is within the limit, and the file's size.

    Raises:
        OSError: when the file cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(descriptor).st_size
        text = os.read(descriptor, _FIRST_READ)
        if len(text) == _FIRST_READ and header_end(text.lstrip()) < 0:
            text += os.read(descriptor, HEADER_LIMIT - _FIRST_READ)
    finally:
        os.close(descriptor)
    if text.startswith(_PACKED):
        text = head(Path(path), HEADER_LIMIT)
    return _with_line_feeds(text), size


def _with_line_feeds(text: bytes) -> bytes:
    """Return text of old machines, whose lines end in carriage returns alone, as everybody else writes it."""
    return text if b"\n" in text else text.replace(b"\r", b"\n")


def _joined(folder: str, name: str) -> str:
    """Return a name below a folder; the folder that is read has no name of its own."""
    if folder in ("", "."):
        return name
    return f"{folder}/{name}" if name else folder


def _encodable(name: str) -> str:
    """Return a name with bytes that are no UTF-8 written as escapes."""
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "backslashreplace")
