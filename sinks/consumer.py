"""The sink: one process that reads the log of one company and writes its store.

Where it goes on is said by the store alone, never by the broker. Facts are taken when correlate has spoken of them, so
that in every state of the store each raw event stands in one account.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Literal

from pipeline.errors import ConfigurationError, TransientError
from schemas.announcements import Announcement
from schemas.log import Entry, Log
from schemas.packing import InvalidPack, head_of
from schemas.topics import DEAD_LETTERS, FACTS, OUTCOMES
from schemas.tracing import UNTRACED, Tracer
from sinks.failures import megabytes
from sinks.live import TOPICS, Applied, LiveStore

State = Literal["running", "paused", "waiting"]

# A batch is what comes within this time, or so many bytes of one topic.
PACE: Final = 0.1
BATCH_BYTES: Final = 12_000_000
# After so many bytes there are more to come: they are gathered for as long as the batch took to write, because few big
# batches cost less than many small ones; not for longer, because what came last would wait in vain. Unit of the
# second: seconds.
BULK_BYTES: Final = 1_000_000
LONGEST_REST: Final = 0.3
# A merge is due after this time even when there is little to merge.
SETTLE_EVERY: Final = 180.0
# Below this the disk may fill up within one merge.
LEAST_FREE_BYTES: Final = 512_000_000
# A round takes a fraction of a second, and minutes when a large store is merged. Unit: seconds.
STUCK_AFTER: Final = 300.0
_PAUSE: Final = 1.0
_LONGEST_WAIT: Final = 30.0


@dataclass(frozen=True)
class Status:
    """What the sink does. `ends` are the offsets that the next messages will get; `reason` says why it does not run."""

    state: State = "running"
    reason: str = ""
    ends: dict[str, int] = field(default_factory=dict)
    total: Applied = field(default_factory=Applied)
    last: Applied = field(default_factory=Applied)
    last_at: datetime | None = None
    last_seconds: float = 0.0
    batch_count: int = 0
    batch_seconds: float = 0.0
    # When it last looked at its topics, in seconds of the monotonic clock.
    round_at: float = 0.0


class Consumer:
    """Follows the partition of a company on facts, outcomes and dead letters."""

    def __init__(
        self,
        live: LiveStore,
        log: Log,
        partition: int,
        *,
        now: Callable[[], datetime],
        tell: Callable[[str], None] = lambda sentence: None,
        least_free_bytes: int = LEAST_FREE_BYTES,
        batch_bytes: int = BATCH_BYTES,
        tracer: Tracer = UNTRACED,
    ) -> None:
        """`now` gives the time for the status, UTC; `tell` hears what an operator should know."""
        self._live = live
        self._log = log
        self._partition = partition
        self._now = now
        self._tell = tell
        self._least_free_bytes = least_free_bytes
        self._batch_bytes = batch_bytes
        self._tracer = tracer
        # What a batch of outcomes may hold: more where a group has more, see `take`.
        self._outcome_bytes = batch_bytes
        self._is_cut = False
        self._settled_at = time.monotonic()
        self._held: list[Entry] = []
        self._cut: set[str] = set()
        self._is_full = False
        self._wait = _PAUSE
        # Replaced whole, so that other threads may read it.
        self.status = Status(round_at=time.monotonic())

    def run(self, stop: threading.Event) -> None:
        """Follow the log until `stop` is set.

        Raises:
            ConfigurationError: when the log does not hold what the store needs next.
            TransientError: when the store cannot be written any more. Started again, the sink goes on where it was.
        """
        while not stop.is_set():
            begun = time.monotonic()
            self.status = replace(self.status, round_at=begun)
            pause = self._round()
            if not self._is_full or self.status.state != "running":
                stop.wait(max(0.0, pause - (time.monotonic() - begun)))

    def _round(self) -> float:
        """Do what is due; return how many seconds the next round may wait."""
        if not self._has_room():
            return _PAUSE
        try:
            batch = self.poll()
        except TransientError as error:
            self._wait = min(2 * self._wait, _LONGEST_WAIT)
            self._be("waiting", str(error))
            return self._wait
        self._wait = _PAUSE / 2
        self._be("running", "")
        begun = time.monotonic()
        applied = self.take(*batch)
        seconds = time.monotonic() - begun
        if time.monotonic() - self._settled_at > SETTLE_EVERY:
            with self._tracer.span("settle"):
                self._live.settle()
            self._settled_at = time.monotonic()
        return max(PACE, seconds + min(seconds, LONGEST_REST)) if applied.byte_count > BULK_BYTES else PACE

    def take(self, facts: Sequence[Entry], outcomes: Sequence[Entry], letters: Sequence[Entry]) -> Applied:
        """Write a batch; return what it brought."""
        if not (facts or outcomes or letters):
            return Applied()
        begun = time.monotonic()
        before = self._live.progress.offsets[OUTCOMES]
        with self._tracer.span("sink batch") as span:
            applied = self._live.apply(facts, outcomes, letters)
            span.tell(
                messages=applied.message_count,
                bytes=applied.byte_count,
                facts=applied.fact_count,
                outcomes=applied.outcome_count,
                dead_letters=applied.dead_letter_count,
            )
            if facts:
                span.tell(first_offset=facts[0].offset, last_offset=facts[-1].offset)
        if outcomes:
            # A store goes on at the start of a group until it has all of it: the same parts would come for ever.
            is_stuck = self._is_cut and self._live.progress.offsets[OUTCOMES] == before
            self._outcome_bytes = 2 * self._outcome_bytes if is_stuck else self._batch_bytes
        seconds = time.monotonic() - begun
        self.status = replace(
            self.status,
            total=self.status.total + applied,
            last=applied,
            last_at=self._now(),
            last_seconds=seconds,
            batch_count=self.status.batch_count + 1,
            batch_seconds=self.status.batch_seconds + seconds,
        )
        if applied.damaged_count:
            sentence = f"{applied.damaged_count} messages could not be read and were passed; /status counts them"
            self._tell(Announcement(sentence, "messages damaged", "warning", messages=applied.damaged_count))
        return applied

    def poll(self) -> tuple[list[Entry], list[Entry], list[Entry]]:
        """Return what is next on each topic: facts only as far as outcomes speak of them, and these only with them.

        Raises:
            ConfigurationError: when what is next is not kept any more, or never was there.
            TransientError: when the broker is silent.
        """
        letters, self._is_full = self._read(DEAD_LETTERS)
        is_full = False
        if not self._held:
            self._held, is_full = self._read(OUTCOMES)
            self._is_cut = is_full
        folded = max([self._live.progress.folded, *(self._last_fact(entry) for entry in self._held)])
        facts, has_more = self._read(FACTS, folded + 1)
        self._is_full = self._is_full or is_full or has_more
        outcomes: list[Entry] = []
        if not has_more:
            outcomes, self._held = self._held, []
        return facts, outcomes, letters

    def _read(self, topic: str, stop: int | None = None) -> tuple[list[Entry], bool]:
        """Return the next messages of a topic, and whether there are more."""
        position = self._live.progress.offsets[topic]
        end = self._log.end(topic, self._partition)
        self.status = replace(self.status, ends=self.status.ends | {topic: end})
        self._check(topic, position, end)
        entries: list[Entry] = []
        size = 0
        most = self._outcome_bytes if topic == OUTCOMES else self._batch_bytes
        for entry in self._log.read(topic, self._partition, position, end if stop is None else min(stop, end)):
            entries.append(entry)
            size += len(entry.value or b"")
            if size >= most:
                return entries, True
        return entries, False

    def _check(self, topic: str, position: int, end: int) -> None:
        place = f"{topic}/{self._partition}"
        store = self._live.store.path
        if end < position:
            raise ConfigurationError(
                f"{place} ends at {end}, but the store {store} has read to {position}: the topic was made anew; "
                "name a new store, or restore the topic"
            )
        if end == position:
            return
        begin = self._log.begin(topic, self._partition)
        if begin <= position:
            return
        if position:
            raise ConfigurationError(
                f"{place} begins at {begin}, and the store {store} needs {position}: retention was shorter than the "
                "sink was away; reset the live topics, replay into them, and name a new store"
            )
        if topic not in self._cut:
            self._cut.add(topic)
            self._tell(f"{place} begins at {begin}: what was before is not kept any more and will be missing")

    def _last_fact(self, entry: Entry) -> int:
        try:
            return int(head_of(entry.value or b"").get("last", -1))
        except InvalidPack:
            return -1  # The store says what is wrong with it.

    def _has_room(self) -> bool:
        free = shutil.disk_usage(self._live.store.path.parent).free
        if free >= self._least_free_bytes:
            return True
        self._be("paused", f"{megabytes(free)} free on the store's disk, {megabytes(self._least_free_bytes)} needed")
        return False

    def _be(self, state: State, reason: str) -> None:
        if state != self.status.state:
            sentence = f"{state}: {reason}" if reason else "going on"
            self._tell(Announcement(sentence, f"sink {state}", "warning" if reason else "info", reason=reason))
        if (state, reason) != (self.status.state, self.status.reason):
            self.status = replace(self.status, state=state, reason=reason)


def problem_of(status: Mapping[str, Any]) -> str | None:
    """Return why a sink with this status, see `status_of`, does not follow the log; None when it does."""
    if status["state"] != "running":
        return f"the sink is {status['state']}: {status.get('reason') or 'it does not say why'}"
    silent = status.get("seconds_since_round", 0.0)
    if silent > STUCK_AFTER:
        return f"the sink has not looked at its topics for {silent:.0f} seconds; see its log, and start it again"
    return None


def status_of(consumer: Consumer, live: LiveStore) -> dict[str, Any]:
    """Return the status as texts and numbers; what the store itself counts is added by `sinks.serving`."""
    status, progress = consumer.status, live.progress
    return {
        "state": status.state,
        "reason": status.reason,
        "seconds_since_round": round(time.monotonic() - status.round_at, 1),
        "topics": {
            topic: {
                "position": progress.offsets[topic],
                "end": status.ends.get(topic),
                "waiting": max(0, status.ends.get(topic, 0) - progress.offsets[topic]),
            }
            for topic in TOPICS
        },
        "epoch": progress.epoch,
        "folded": progress.folded,
        "watermark": _text(progress.watermark),
        "closed_through": _text(progress.closed_through),
        "damaged_count": progress.damaged_count,
        "applied": vars(status.total),
        "work": {
            "batch_count": status.batch_count,
            "batch_seconds": round(status.batch_seconds, 3),
            "fold_seconds": round(live.fold_seconds, 3),
        },
        "last_batch": {**vars(status.last), "at": _text(status.last_at), "seconds": round(status.last_seconds, 3)},
    }


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else f"{instant.replace(tzinfo=None).isoformat()}Z"
