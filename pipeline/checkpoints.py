"""Checkpoints: an engine's state on the compacted topic `checkpoints`, so that a restart does not read history.

A checkpoint is cut into chunks; a manifest comes last and says where they stand and what their digest is. Two slots
are written in turn: one that is half written, or damaged, leaves the other. The keys of chunks name the worker's epoch,
so that no worker, however late, tears what another one wrote; who comes later sweeps up what earlier ones left.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from pipeline.engine_state import EngineState
from pipeline.envelopes import known, newer
from schemas.log import Draft, Entry, Log
from schemas.packing import InvalidPack, Pack, pack, unpack
from schemas.topics import CHECKPOINTS

CHUNK_BYTES: Final = 3_500_000
_SLOTS: Final = 2
_FORM: Final = 1
# Messages that are read at once when the newest manifest is looked for, from the end on.
_FIRST_LOOK: Final = 8
_LARGEST_LOOK: Final = 256


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint is of: all facts before `position`, all said of them before `outcomes_offset`.

    `epoch` is the claim under which it was said, written at `claimed_at_ms`; `rules` the digest of the settings.
    `lanes` as in `pipeline.outcomes.Group`.
    """

    position: int
    outcomes_offset: int
    epoch: int
    claimed_at_ms: int
    rules: str
    watermark: datetime | None
    layout: str
    slot: int = 0
    chunks: tuple[int, ...] = ()
    byte_count: int = 0
    digest: str = ""
    lanes: Mapping[str, Any] | None = None


class Checkpoints:
    """The checkpoints of one company on one partition."""

    def __init__(self, log: Log, partition: int, company_id: str, chunk_bytes: int = CHUNK_BYTES) -> None:
        self._log = log
        self._partition = partition
        self._company_id = company_id
        self._chunk_bytes = chunk_bytes
        self._next_slot = 0
        # Once for each slot: then nothing of earlier workers is left that counts.
        self._sweep_count = 0

    def write(self, manifest: Manifest, state: EngineState) -> Manifest:
        """Write a checkpoint over the older of the two, and return its manifest as written.

        Raises:
            TransientError: when the broker did not confirm it; the other slot's checkpoint is whole all the same.
        """
        data, slot = _packed(state), self._next_slot
        pieces = [data[start : start + self._chunk_bytes] for start in range(0, len(data), self._chunk_bytes)]
        name = f"{slot}/{manifest.epoch}"
        chunks = self._log.append([self._draft(f"{name}/{number}", piece) for number, piece in enumerate(pieces)])
        written = Manifest(
            **vars(manifest) | {"slot": slot, "chunks": tuple(chunks), "byte_count": len(data), "digest": _digest(data)}
        )
        self._log.append([self._draft(str(slot), orjson.dumps({"form": _FORM} | vars(written)))])
        self._next_slot = (slot + 1) % _SLOTS
        if self._sweep_count < _SLOTS:
            self._sweep(manifest.epoch)
            self._sweep_count += 1
        return written

    def manifests(self) -> Iterator[Manifest]:
        """Yield what says of itself to be a checkpoint, the newest first.

        Raises:
            ConfigurationError: when a newer bypassflow wrote one.
        """
        begin, stop = (at(CHECKPOINTS, self._partition) for at in (self._log.begin, self._log.end))
        names = {f"{self._company_id}/{slot}".encode() for slot in range(_SLOTS)}
        look = _FIRST_LOOK
        while stop > begin:
            start = max(begin, stop - look)
            found = [e for e in self._log.read(CHECKPOINTS, self._partition, start, stop) if e.key in names]
            yield from (manifest for entry in reversed(found) if (manifest := _manifest(entry)) is not None)
            stop, look = start, min(2 * look, _LARGEST_LOOK)

    def load(self, manifest: Manifest) -> EngineState | None:
        """Return the state of a checkpoint, which the next `write` then spares; None when it is damaged."""
        pieces: list[bytes] = []
        for chunk in manifest.chunks:
            pieces += (e.value or b"" for e in self._log.read(CHECKPOINTS, self._partition, chunk, chunk + 1))
        data = b"".join(pieces)
        if len(data) != manifest.byte_count or _digest(data) != manifest.digest:
            return None
        try:
            with known(CHECKPOINTS, manifest.chunks[0] if manifest.chunks else 0):
                state = _unpacked(data)
        except (InvalidPack, KeyError):
            return None
        self._next_slot = (manifest.slot + 1) % _SLOTS
        return state

    def _sweep(self, epoch: int) -> None:
        """Let compaction remove the chunks of earlier workers that no slot's manifest names."""
        kept = {f"{found.slot}/{found.epoch}" for found in self._newest()}
        prefix = f"{self._company_id}/"
        stale = {}
        begin, end = (at(CHECKPOINTS, self._partition) for at in (self._log.begin, self._log.end))
        for entry in self._log.read(CHECKPOINTS, self._partition, begin, end):
            key = (entry.key or b"").decode()
            parts = key.removeprefix(prefix).split("/")
            if key.startswith(prefix) and len(parts) == 3 and int(parts[1]) < epoch and "/".join(parts[:2]) not in kept:
                stale["/".join(parts)] = entry.value is not None
        drafts = [self._draft(name, None) for name, is_there in stale.items() if is_there]
        if drafts:
            self._log.append(drafts)

    def _newest(self) -> list[Manifest]:
        """Return the newest manifest of each slot."""
        found: dict[int, Manifest] = {}
        for manifest in self.manifests():
            found.setdefault(manifest.slot, manifest)
            if len(found) == _SLOTS:
                break
        return list(found.values())

    def _draft(self, name: str, value: bytes | None) -> Draft:
        return Draft(CHECKPOINTS, self._partition, value, f"{self._company_id}/{name}".encode())


def _manifest(entry: Entry) -> Manifest | None:
    try:
        said: dict[str, Any] = orjson.loads(entry.value or b"")
        form = said.pop("form")
        if isinstance(form, int) and form > _FORM:
            raise newer(CHECKPOINTS, entry.offset, form, _FORM)
        if form != _FORM:
            return None
        said["watermark"] = _instant(said["watermark"])
        said["chunks"] = tuple(said["chunks"])
        return Manifest(**said)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _packed(state: EngineState) -> bytes:
    head: Mapping[str, Any] = {
        "rows": state.rows,
        "known_endpoints": state.known_endpoints,
        "complete_through": state.complete_through,
        "closed_through": state.closed_through,
        "layout": state.layout,
    }
    return pack(Pack(head, state.tables))


def _unpacked(data: bytes) -> EngineState:
    content = unpack(data)
    head = content.head
    return EngineState(
        content.tables,
        head["rows"],
        tuple(head["known_endpoints"]),
        _instant(head["complete_through"]),
        _instant(head["closed_through"]),
        head["layout"],
    )


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
