"""Forgetting people wherever a store leaves traces of them: itself, its annotations, copies beside it, snapshots."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from pipeline.errors import ConfigurationError, TransientError
from pipeline.forgetting import Forgotten
from sinks.annotations import Annotations
from sinks.erasure.erasing import Erased, alone, erase
from sinks.erasure.names import Names
from sinks.erasure.people import OWN_TOKENS, People
from sinks.placement import ASIDE_SUFFIX
from sinks.snapshots import renew_snapshots
from sinks.store import Store

_STOP: Final = "a sink must be stopped before somebody is forgotten, and started again afterwards"


def forget(
    path: Path,
    forgotten: Forgotten,
    secret: bytes,
    clear: Sequence[re.Pattern[str]],
    annotations: Annotations,
    snapshots: Path | None = None,
    *,
    keep: Callable[[People], object],
    now: Callable[[], datetime],
) -> Erased:
    """Erase everybody who was forgotten from a store and what lies beside it; return what was found in the store.

    The list of the forgotten is on the disk already: after a kill at any moment, the same call does what is left. All
    snapshots in a folder are removed, and one of the store as it is now is taken. `keep` adds to the list what the CRM
    holds of them.

    Raises:
        TransientError: when a sink or a replay writes the store, or the disk is full. Nothing has changed then.
        ConfigurationError: when the store cannot be read.
    """
    try:
        Store.open(path, read_only=False).close()  # merges the log of its writes, and brings it up to date
        with alone(path) as placement:
            erased = erase(path, placement.draft, forgotten, secret, clear, keep)
            annotations.forget(erased.interaction_ids or {}, Names(secret, clear).swept)
            placement.settle()
            _remove_copies(placement.target)
    except TransientError as error:
        raise TransientError(f"{error}; {_STOP}") from None
    if snapshots is not None:
        renew_snapshots(path, snapshots, now())
    return erased


def require_strangers(path: Path, tokens: Collection[str]) -> None:
    """Raise a ConfigurationError when one of these tokens is of the company itself: of its directory."""
    with Store.open(path) as store:
        found = store.rows(
            f"SELECT count(*) AS n FROM ({OWN_TOKENS}) WHERE list_contains($tokens, token)", {"tokens": sorted(tokens)}
        )
    if found[0]["n"]:
        raise ConfigurationError(
            f"{found[0]['n']} of the identifiers given stand in the directory of representatives; nothing was erased: "
            "take the row out of the directory and replay, or leave the identifier out"
        )


def erase_draft(draft: Path, forgotten: Forgotten, secret: bytes) -> None:
    """Erase everybody who was forgotten from a store that a replay has finished and not yet put in place."""
    if not forgotten:
        return
    new = draft.with_name(f"{draft.name}.erased")
    if erase(draft, new, forgotten, secret).token_count:
        os.replace(new, draft)
    else:
        new.unlink()


def _remove_copies(target: Path) -> None:
    """Remove what was left beside a store before its schema was changed, and logs of writes that were damaged."""
    for path in target.parent.glob(f"{glob.escape(target.name)}.*"):
        if path.name.endswith(ASIDE_SUFFIX) or path.name.startswith(f"{target.name}.wal.damaged-"):
            path.unlink()
