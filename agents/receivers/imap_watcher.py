"""Receivers of kind imap: headers of new messages, published as they come; a position is kept once they are."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar

from agents.receivers.backing_off import Backoff
from agents.receivers.imap_mailbox import BATCH, FolderState, Mailbox, Refusal, tls_context
from agents.receivers.mail_feeds import mail_feed
from agents.receivers.outbox import Outbox
from agents.receivers.positions import Positions
from agents.receivers.reading import Reader
from agents.receivers.site import Entry, Make, Site
from pipeline.errors import ConfigurationError, TransientError
from pipeline.journaled import delivered
from pipeline.received import Feed, Publication, place_of_document
from schemas.mail_receivers import ImapReceiver

_COMMAND_TIMEOUT: Final = 10.0
_Found = TypeVar("_Found")


def prepare_imap(site: Site, entries: Sequence[Entry[ImapReceiver]]) -> Sequence[Make]:
    """Return what makes a watcher of each mailbox.

    Raises:
        ConfigurationError: when two look into the same mailbox, or a secret or certificate cannot be read.
    """
    makers: list[Make] = []
    seen: dict[tuple[str, str], str] = {}
    for entry in entries:
        settings = entry.settings
        place = (settings.host, settings.username)
        if place in seen:
            raise ConfigurationError(f"{entry.where} looks into the same mailbox as {seen[place]}; keep one of them")
        seen[place] = entry.where
        try:
            tls = tls_context(settings.tls, str(site.path(settings.ca_file)) if settings.ca_file else None)
        except ConfigurationError as error:
            raise ConfigurationError(f"{entry.where}: {error}") from None
        secret = partial(_secret, site, entry)
        if settings.secret_command is None:
            secret()
        mailbox = Mailbox(
            settings.host,
            settings.port,
            tls,
            settings.tls == "starttls",
            settings.username,
            secret,
            settings.authentication == "oauth2",
        )
        feed = mail_feed(site, settings.source, f"imap/{settings.address or settings.username}")
        name = f"imap {settings.host}, {entry.where}"
        makers.append(partial(ImapWatcher, feed, mailbox, settings, name, tell=site.tell))
    return makers


def _secret(site: Site, entry: Entry[ImapReceiver]) -> str:
    command = entry.settings.secret_command
    if command is None:
        return site.secret(entry)
    try:
        done = subprocess.run(
            command, cwd=site.base, stdin=subprocess.DEVNULL, capture_output=True, timeout=_COMMAND_TIMEOUT, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise TransientError(f"secret_command failed: {type(error).__name__}") from None
    return done.stdout.decode("utf-8", "replace").strip()


class ImapWatcher:
    """One mailbox."""

    def __init__(
        self,
        feed: Feed,
        mailbox: Mailbox,
        settings: ImapReceiver,
        name: str,
        positions: Positions,
        outbox: Outbox,
        reader: Reader,
        tell: Callable[[str], None],
    ) -> None:
        self.name = name
        self._feed = feed
        self._mailbox = mailbox
        self._settings = settings
        self._positions = positions
        self._outbox = outbox
        self._reader = reader
        self._tell = tell
        self._said = ""
        self._first = ""
        self._warned: set[str] = set()
        # Whose mailbox it is stands in no name of a file.
        digest = hashlib.sha256(settings.username.encode()).hexdigest()[:16]
        self._kept_as = f"imap {settings.host} {digest}"
        kept = positions.load(self._kept_as)
        self._is_first = kept is None
        self._folders: dict[str, list[int]] = kept["folders"] if kept is not None else {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="imap")

    async def open(self) -> None:
        """Nothing to open: the server may be away."""

    async def run(self) -> None:
        """Watch the mailbox for ever."""
        backoff = Backoff()
        while True:
            try:
                await self._do(self._mailbox.connect)
                while True:
                    await self._look()
                    if self._said:
                        self._tell(f"{self.name}: is read again")
                        self._said = ""
                    backoff.succeed()
                    await self._do(self._mailbox.wait, self._first, self._settings.poll_interval.total_seconds())
            except (TransientError, ConfigurationError) as error:
                await self._do(self._mailbox.close)
                pause = backoff.fail()
                if str(error) != self._said:
                    self._said = str(error)
                    self._tell(f"{self.name}: {error}; it is tried again, at first in {pause:.0f} seconds")
                await asyncio.sleep(pause)

    async def close(self, patience: float) -> None:
        """Leave the server."""
        self._mailbox.cut()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _look(self) -> None:
        """Publish what is new in all folders."""
        folders = await self._do(self._mailbox.folders, self._settings.folders)
        if not folders:
            raise TransientError("it has none of the folders; see folders")
        states: dict[str, FolderState] = {}
        for folder in folders:
            try:
                states[folder] = await self._do(self._mailbox.state, folder)
            except Refusal as error:
                self._warn(f"a folder cannot be looked into: {error}")
        if not states:
            raise TransientError("none of its folders can be looked into")
        self._first = next(iter(states))
        if self._is_first:
            # What is there at the first start is passed over all at once, or not at all.
            if self._settings.begin == "end":
                self._folders = {folder: [state.validity, state.next_uid - 1] for folder, state in states.items()}
            await self._keep()
            self._is_first = False
        for folder, state in states.items():
            validity, last = self._folders.get(folder, (state.validity, 0))
            if validity == state.validity and last >= state.next_uid - 1:
                continue
            try:
                await self._catch_up(folder)
            except Refusal as error:
                self._warn(f"a folder cannot be read: {error}")

    async def _catch_up(self, folder: str) -> None:
        """Publish what is new in one folder."""
        state: FolderState = await self._do(self._mailbox.examine, folder)
        validity, last = self._folders.get(folder, (state.validity, 0))
        if validity != state.validity:
            # The server counts anew. Messages are known by what they say, so that none counts twice.
            self._warn("a folder is counted anew by the server, and read from its beginning")
            last = 0
        while last < state.next_uid - 1:
            uids, through = await self._do(self._mailbox.uids, last, state)
            for start in range(0, len(uids), BATCH):
                batch = uids[start : start + BATCH]
                await self._publish(await self._do(self._mailbox.headers, batch))
                self._folders[folder] = [state.validity, batch[-1]]
                await self._keep()
            last = through
            self._folders[folder] = [state.validity, last]
            await self._keep()

    async def _publish(self, headers: Sequence[bytes]) -> None:
        publications: list[Publication] = []
        for raw in headers:
            header = delivered(raw, self._settings.address)
            received = await self._reader.read(self._feed, header, place_of_document(header))
            publications += received.publications
            for warning in received.warnings:
                self._warn(warning)
        await self._outbox.send(publications)

    async def _keep(self) -> None:
        await asyncio.to_thread(self._positions.save, self._kept_as, {"folders": self._folders})

    async def _do(self, work: Callable[..., _Found], *arguments: Any) -> _Found:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def _warn(self, sentence: str) -> None:
        if sentence not in self._warned and len(self._warned) < 1_000:
            self._warned.add(sentence)
            self._tell(f"{self.name}: {sentence}")
