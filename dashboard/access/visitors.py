"""Who asks, and what is noted of the visit: set once for each request, and read wherever it matters.

Nothing is set where access is not controlled; then whoever asks may see everything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Final

from schemas.access import SCOPES, Scope
from sinks.store import Store


@dataclass(frozen=True)
class Visitor:
    """Somebody who asks: what they may, and of which teams; None stands for all teams."""

    name: str
    scopes: frozenset[Scope]
    teams: tuple[str, ...] | None = None

    @property
    def key(self) -> str:
        """What differs between visitors who see different figures of the same question."""
        teams = "" if self.teams is None else repr(sorted(self.teams))
        return f"{teams}+representatives" if "representative" in self.scopes else teams


ANYBODY: Final = Visitor("", frozenset(SCOPES))


@dataclass
class Visit:
    """One request: who asks, and how many rows went out, None when it was no table."""

    visitor: Visitor
    row_count: int | None = None


# Copied into the threads that answer, where the visit itself is the same.
_VISIT: Final[ContextVar[Visit | None]] = ContextVar("visit", default=None)


@contextmanager
def visiting(visit: Visit) -> Iterator[None]:
    """Let what is asked meanwhile be of this visit."""
    token = _VISIT.set(visit)
    try:
        yield
    finally:
        _VISIT.reset(token)


def visitor() -> Visitor:
    """Return who asks."""
    visit = _VISIT.get()
    return ANYBODY if visit is None else visit.visitor


def is_known() -> bool:
    """Return whether the one who asks has signed in, because it is asked for here."""
    return _VISIT.get() is not None


def may(scope: Scope) -> bool:
    """Return whether the one who asks has a scope."""
    return scope in visitor().scopes


def note_rows(rows: Collection[object] | None) -> None:
    """Note how many rows the answer has."""
    visit = _VISIT.get()
    if visit is not None and rows is not None:
        visit.row_count = len(rows)


def narrow(store: Store) -> None:
    """Let a reader of the store show what the one who asks may see. Every question goes through here."""
    if is_known() and may("representative"):
        store.groups = replace(store.groups, is_granted=True)
    teams = visitor().teams
    if teams is not None:
        store.narrow_to_teams(teams)
