"""The way to the raw topics: bounded, and done with a record only when the broker keeps it."""

from __future__ import annotations

import asyncio
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from pipeline.errors import BypassflowError, TransientError
from pipeline.raw_topics import TOPIC_OF_IDENTIFIERS
from pipeline.received import Publication
from schemas.announcements import Announcement
from schemas.log import Draft, Log

# What is sent together: many senders share the wait for one confirmation.
_MOST_RECORDS: Final = 2_000
_MOST_BYTES: Final = 4_000_000
# When the broker did not confirm, nothing new is taken for so long: it would only wait in vain. Unit: seconds.
_PAUSE: Final = 1.0


class Busy(TransientError):
    """There is no room now. `retry_after`: when to try again, in seconds."""

    def __init__(self, reason: str, retry_after: int) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


@dataclass(frozen=True)
class _Parcel:
    records: Sequence[Publication]
    size: int
    done: asyncio.Future[None]


class Outbox:
    """Records on their way. At least once: what was not confirmed may have been kept all the same."""

    def __init__(
        self,
        log: Log,
        partitions: int,
        most_records: int,
        most_bytes: int,
        tell: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        """`partitions` of each raw topic; `tell` hears when the broker goes away and comes back."""
        self._log = log
        self._partitions = partitions
        self._most_records = most_records
        self._most_bytes = most_bytes
        self._tell = tell
        self._waiting: deque[_Parcel] = deque()
        self._record_count = self._byte_count = 0
        self.confirmed_count = 0
        self._something = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="outbox")
        self._asking = ThreadPoolExecutor(max_workers=1, thread_name_prefix="asking")
        self._closed_until = 0.0
        self._is_broker_away = False
        self.failure: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self._sending: asyncio.Task[None] = asyncio.create_task(self._send_all(), name="outbox")

    @property
    def is_broker_away(self) -> bool:
        """Whether the broker did not confirm what it was sent last."""
        return self._is_broker_away

    @property
    def waiting_count(self) -> int:
        """Records that no broker has confirmed yet."""
        return self._record_count

    def problem(self) -> str | None:
        """Return why nothing more can be taken in now; None when it can. Safe from any thread."""
        if self._is_broker_away:
            return "the broker did not confirm what it was sent last"
        if self._record_count >= self._most_records or self._byte_count >= self._most_bytes:
            return f"{self._record_count:,} records wait for the broker, and there is room for no more"
        return None

    async def is_ready(self, patience: float) -> bool:
        """Return whether there is room and the broker answers within so many seconds.

        It is asked now: that the last records were confirmed says nothing when that was long ago.
        """
        is_full = self._record_count >= self._most_records or self._byte_count >= self._most_bytes
        if is_full or asyncio.get_running_loop().time() < self._closed_until:
            return False
        try:
            async with asyncio.timeout(patience):
                await asyncio.get_running_loop().run_in_executor(self._asking, self._log.end, TOPIC_OF_IDENTIFIERS, 0)
        except (TimeoutError, BypassflowError):
            return False
        return True

    async def deliver(self, records: Sequence[Publication], patience: float) -> None:
        """Return once the broker keeps all of these; for senders who can come again.

        Raises:
            Busy: at once when there is no room for them, and when it takes longer than `patience` seconds.
            TransientError: when the broker did not confirm them.
        """
        if not records:
            return
        size = sum(record.size for record in records)
        loop = asyncio.get_running_loop()
        if loop.time() < self._closed_until:
            raise Busy("the broker is away", 5)
        is_too_much = (
            self._record_count + len(records) > self._most_records or self._byte_count + size > self._most_bytes
        )
        if is_too_much and self._record_count:
            raise Busy("too much is waiting for the broker", 2)
        try:
            async with asyncio.timeout(patience):
                await self._put(records, size)
        except TimeoutError:
            raise Busy("the broker takes too long", 5) from None

    async def send(self, records: Sequence[Publication]) -> None:
        """Return once the broker keeps all of these, waiting for room; for receivers that can read on later.

        Raises:
            TransientError: when the broker did not confirm them; some may be kept all the same.
        """
        for start in range(0, len(records), _MOST_RECORDS):
            part = records[start : start + _MOST_RECORDS]
            # Half of the room is for those who cannot wait.
            while self._record_count > self._most_records // 2 or self._byte_count > self._most_bytes // 2:
                self._room.clear()
                await self._room.wait()
            await self._put(part, sum(record.size for record in part))

    async def close(self, patience: float) -> bool:
        """Send what waits, for so many seconds at most; return whether nothing is left."""
        try:
            async with asyncio.timeout(patience):
                while self._record_count:
                    self._room.clear()
                    await self._room.wait()
        except TimeoutError:
            pass
        self._sending.cancel()
        for threads in (self._threads, self._asking):
            threads.shutdown(wait=False, cancel_futures=True)
        return not self._record_count

    async def _put(self, records: Sequence[Publication], size: int) -> None:
        parcel = _Parcel(records, size, asyncio.get_running_loop().create_future())
        self._waiting.append(parcel)
        self._record_count += len(records)
        self._byte_count += size
        self._something.set()
        await parcel.done

    async def _send_all(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._something.wait()
            parcels = self._take()
            if not parcels:
                self._room.set()
                continue
            drafts = [self._draft(record) for parcel in parcels for record in parcel.records]
            problem: Exception | None = None
            try:
                await loop.run_in_executor(self._threads, self._log.append, drafts)
            except Exception as error:  # whoever waits has to hear of it, whatever it is; see _note
                problem = error
            self._note(problem)
            self.confirmed_count += len(drafts) if problem is None else 0
            for parcel in parcels:
                self._record_count -= len(parcel.records)
                self._byte_count -= parcel.size
                if not parcel.done.done():
                    parcel.done.set_result(None) if problem is None else parcel.done.set_exception(_passed_on(problem))
            self._room.set()

    def _take(self) -> list[_Parcel]:
        """Return what is sent next; parcels for which nobody waits any more are dropped."""
        taken: list[_Parcel] = []
        record_count = byte_count = 0
        while self._waiting and (not taken or (record_count < _MOST_RECORDS and byte_count < _MOST_BYTES)):
            parcel = self._waiting.popleft()
            if parcel.done.done():
                self._record_count -= len(parcel.records)
                self._byte_count -= parcel.size
                continue
            taken.append(parcel)
            record_count += len(parcel.records)
            byte_count += parcel.size
        if not self._waiting:
            self._something.clear()
        return taken

    def _draft(self, record: Publication) -> Draft:
        return Draft(record.topic, zlib.crc32(record.key) % self._partitions, record.value, record.key, record.headers)

    def _note(self, problem: Exception | None) -> None:
        """Remember how the broker is; any other failure than its absence ends the process."""
        if problem is None:
            if self._is_broker_away:
                self._is_broker_away = False
                self._tell(Announcement("the broker is back", "broker back"))
            return
        self._closed_until = asyncio.get_running_loop().time() + _PAUSE
        if not isinstance(problem, TransientError):
            if not self.failure.done():
                self.failure.set_result(problem)
        elif not self._is_broker_away:
            self._is_broker_away = True
            self._tell(Announcement(f"{problem}; senders are told to come again", "broker away", "warning"))


def _passed_on(problem: Exception) -> TransientError:
    """Return what those who wait are told: for them, any failure is one to try again after."""
    return problem if isinstance(problem, TransientError) else TransientError("the broker did not take it")
