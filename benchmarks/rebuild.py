"""How fast a correlate worker comes back: by folding all facts since an early checkpoint, and from a new one.

python -m benchmarks.rebuild 200000      seconds to rebuild the state of that many calls, a quarter as many activities
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Final

import pyarrow as pa

from benchmarks.generated_facts import Company
from pipeline.correlation import Correlator
from schemas.log import Draft, Entry
from schemas.packing import Pack, pack
from schemas.settings import EngineSettings
from schemas.topics import CHECKPOINTS, FACTS, OUTCOMES

_SETTINGS: Final = EngineSettings(company_id="benchmark")
_CALLS_A_MESSAGE: Final = 1_000
# All within less than a day: a rebuild goes on from closing to closing, and between them there is more than a day.
_SPAN_SECONDS: Final = 20 * 3600


class _Log:
    """A log in memory, without a broker's costs."""

    def __init__(self) -> None:
        self._entries: dict[str, list[Entry]] = {FACTS: [], OUTCOMES: [], CHECKPOINTS: []}

    def append(self, drafts: Sequence[Draft]) -> list[int]:
        offsets = []
        for draft in drafts:
            entries = self._entries[draft.topic]
            offsets.append(len(entries))
            entries.append(Entry(len(entries), draft.value, draft.key))
        return offsets

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[Entry]:
        yield from self._entries[topic][start:stop]

    def begin(self, topic: str, partition: int) -> int:
        return 0

    def end(self, topic: str, partition: int) -> int:
        return len(self._entries[topic])


def rebuild_seconds(call_count: int) -> dict[str, float]:
    """Return facts a second of a silent rebuild, and what a checkpoint of the same state costs and saves."""
    log, fact_count = _Log(), 0
    company = Company(max(10, call_count // 10), seconds_apart=_SPAN_SECONDS / call_count)
    _publish(log, company.standing())
    for first in range(0, call_count, _CALLS_A_MESSAGE):
        count = min(_CALLS_A_MESSAGE, call_count - first)
        facts = {
            "observation": company.calls(first, count),
            "activity": company.activities(first // 4, count // 4),
        }
        fact_count += sum(table.num_rows for table in facts.values())
        _publish(log, facts)
    worker = Correlator(_SETTINGS, 0, log)
    worker.start()
    worker.catch_up(2)
    worker.checkpoint()
    fact_count -= _CALLS_A_MESSAGE + _CALLS_A_MESSAGE // 4
    begin = time.perf_counter()
    worker.catch_up()
    said_seconds = time.perf_counter() - begin
    begin = time.perf_counter()
    worker = Correlator(_SETTINGS, 0, log)
    recovery = worker.start()
    rebuild = time.perf_counter() - begin
    if call_count > _CALLS_A_MESSAGE and recovery.fact_count != fact_count:
        raise AssertionError(f"{recovery.fact_count} facts of {fact_count} were folded again")
    begin = time.perf_counter()
    manifest = worker.checkpoint()
    write_seconds = time.perf_counter() - begin
    begin = time.perf_counter()
    restored = Correlator(_SETTINGS, 0, log).start()
    restore_seconds = time.perf_counter() - begin
    if restored.checkpoint != manifest or restored.fact_count != 0:
        raise AssertionError("the checkpoint was not used")
    return {
        "facts": recovery.fact_count,
        "said_seconds": said_seconds,
        "rebuild_seconds": rebuild,
        "checkpoint_seconds": write_seconds,
        "checkpoint_bytes": manifest.byte_count,
        "restore_seconds": restore_seconds,
    }


def _publish(log: _Log, facts: dict[str, pa.Table]) -> None:
    log.append([Draft(FACTS, 0, pack(Pack({"type": "facts", "company_id": _SETTINGS.company_id}, facts)))])


if __name__ == "__main__":
    print(json.dumps(rebuild_seconds(int(sys.argv[1]))))
