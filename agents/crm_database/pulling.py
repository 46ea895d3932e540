"""One read after the other: what is new in a CRM's database, and then how far the feed reaches, in this order.

The first read and one a day take everything, in the order of ids; the others what changed since the read before, less
the overlap. The feed's progress is told when a read is complete and all of it was given on. It is the moment before
which the database says that nothing can appear any more, less the overlap, and never goes back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Protocol

from agents.crm_database.clock import Sight, look
from agents.crm_database.connection import Database
from agents.crm_database.fitting import Fit
from agents.crm_database.ledger import Ledger, Pass, State
from agents.crm_database.reading import Page, TableReader
from pipeline.crm_tables.telling import from_ticks, tell, to_ticks
from pipeline.errors import ConfigurationError
from pipeline.sources.registry import ReadContext
from schemas.crm_database import CrmDatabaseSettings

# So long a read waits for transactions that are open when it begins.
PATIENCE: Final = timedelta(seconds=10)
# When more than a half of so many records are gone at once, something else than their deletion is likely.
_MANY: Final = 100


class Target(Protocol):
    """Where records are given on to."""

    def give(self) -> None:
        """Give on what waits in the ledger, as far as it can be given on before a read is complete.

        Raises:
            TransientError: when it was not taken; it still waits then.
        """
        ...

    def finish(self, progress: datetime | None, changed_count: int) -> None:
        """Give on the rest, and then that everything logged before `progress` was given on; None where that is not
        known. Raises as `give`.
        """
        ...


@dataclass(frozen=True)
class Summary:
    """What one read found. `progress`: everything logged before it has been given on; None where it is not known."""

    is_full: bool
    row_count: int
    changed_count: int
    gone_count: int
    progress: datetime | None
    warnings: tuple[str, ...]


class Puller:
    """Reads one database again and again."""

    def __init__(
        self,
        database: Database,
        fit: Fit,
        settings: CrmDatabaseSettings,
        ledger: Ledger,
        target: Target,
        context: Callable[[], ReadContext],
        *,
        now: Callable[[], datetime],
        is_stopped: Callable[[], bool] = lambda: False,
        patience: timedelta = PATIENCE,
        read: Callable[[int], None] = lambda rows: None,
    ) -> None:
        """`context` is that in which rows are told; `now` tells our own time, aware. `read` hears how many rows each
        page had.
        """
        self._database = database
        self._fit = fit
        self._settings = settings
        self._ledger = ledger
        self._target = target
        self._context = context
        self._now = now
        self._is_stopped = is_stopped
        self._patience = patience
        self._read = read
        self._readers = [TableReader(fitted, database, fit.zone, settings.batch) for fitted in fit.tables]

    def pull(self, mapping: str) -> Summary | None:
        """Read what is new, or go on with a read that was stopped; None when it was stopped again.

        `mapping` stands for how rows are told: when it is another one, everything is told anew.

        Raises:
            TransientError: when the database or the target cannot be reached now; the next call goes on there.
            ConfigurationError: when there is nothing in the tables, or too much of it is gone.
        """
        self._target.give()
        warnings = () if self._is_going_on(mapping) else self._begin(mapping)
        current = self._current()
        for number in range(current.table, len(self._readers)):
            if not self._read_table(number):
                return None
        gone_count = self._take_back()
        current = self._current()
        if current.is_full and not current.row_count:
            raise ConfigurationError(
                f"the database {self._database.place} has the tables of the mapping {self._settings.mapping!r} and "
                "nothing in them; is it the right database?"
            )
        self._target.give()
        state = self._ledger.state
        horizon = None if current.settled is None else current.settled - _ticks(self._settings.overlap)
        since = state.since if horizon is None else horizon
        progress = state.progress if horizon is None else max(horizon, state.progress or horizon)
        told = None if progress is None else from_ticks(progress)
        self._target.finish(told, current.changed_count + gone_count)
        full_at = current.began if current.is_full else state.full_at
        self._ledger.keep(replace(state, since=since, progress=progress, full_at=full_at, current=None))
        return Summary(
            current.is_full,
            current.row_count,
            current.changed_count,
            gone_count,
            told,
            (*warnings, *self._fit.warnings),
        )

    def _current(self) -> Pass:
        current = self._ledger.state.current
        if current is None:
            raise ValueError("no read has begun")
        return current

    def _is_going_on(self, mapping: str) -> bool:
        state = self._ledger.state
        return state.current is not None and state.mapping == mapping and state.current.table <= len(self._readers)

    def _begin(self, mapping: str) -> tuple[str, ...]:
        """Begin a read: first of all look how far the database is."""
        state = self._ledger.state
        marks = [(from_ticks(at), number) for at, number in state.marks]
        sight = look(self._database, marks, self._patience, self._now)
        began = to_ticks(sight.now)
        is_due = began - state.full_at >= _ticks(self._settings.reread)
        is_full = state.since is None or state.mapping != mapping or is_due
        self._ledger.keep(
            replace(
                state,
                mapping=mapping,
                number=state.number + 1,
                current=Pass(is_full, began, None if sight.settled is None else to_ticks(sight.settled)),
                marks=[[to_ticks(at), number] for at, number in sight.marks],
            )
        )
        return _warnings(sight)

    def _read_table(self, number: int) -> bool:
        """Read a table from where it was left to its end; return whether it came to it."""
        reader, table = self._readers[number], self._fit.tables[number].table
        steps = ["all"] if self._current().is_full else reader.steps
        since = self._ledger.state.since
        for step in range(self._current().step, len(steps)):
            after = _decoded(self._current().after)
            while True:
                if self._is_stopped():
                    return False
                page = reader.read(steps[step], None if since is None else from_ticks(since), after)
                context = self._context()
                rows = [
                    (str(found.row[table.id]), tell(table, found.row, found.related, found.changed, context))
                    for found in page.found
                ]
                after = page.after
                self._ledger.take(table.name, rows, self._moved(number, step, len(steps), page, table.kind))
                self._read(len(rows))
                self._target.give()
                if after is None:
                    break
        return True

    def _moved(self, table: int, step: int, steps: int, page: Page, kind: str) -> State:
        """Return where reading stands behind a page."""
        current = self._current()
        if page.after is None:
            table, step = (table, step + 1) if step + 1 < steps else (table + 1, 0)
        # The administrator is a user of an empty CRM too.
        count = 0 if kind == "user" else len(page.found)
        moved = replace(
            current, table=table, step=step, after=_encoded(page.after), row_count=current.row_count + count
        )
        return replace(self._ledger.state, current=moved)

    def _take_back(self) -> int:
        """Take back what is gone, where everything was read."""
        count = 0
        state = self._ledger.state
        for fitted, reader in zip(self._fit.tables, self._readers, strict=True):
            table = fitted.table
            if not self._current().is_full and reader.steps != ["all"]:
                continue
            gone, known = self._ledger.unseen(table.name, state.number)
            if gone > known / 2 and known >= _MANY:
                raise ConfigurationError(
                    f"{gone:,} of {known:,} records of {table.name} are gone from the database "
                    f"{self._database.place} at once; is it the right one? If they were deleted, remove the folder "
                    "of the ledger, and everything is read anew"
                )
            count += self._ledger.take_back(table.name, state)
        return count


def _warnings(sight: Sight) -> tuple[str, ...]:
    return () if sight.warning is None else (sight.warning,)


def _ticks(length: timedelta) -> int:
    return length // timedelta(microseconds=1)


def _encoded(after: Iterable[Any] | None) -> list[Any] | None:
    """Return where to go on as JSON can hold it."""
    if after is None:
        return None
    encoded: list[Any] = []
    for value in after:
        if isinstance(value, datetime):
            encoded.append({"at": value.isoformat()})
        elif isinstance(value, date):
            encoded.append({"on": value.isoformat()})
        elif value is None or isinstance(value, (int, str)):
            encoded.append(value)
        elif isinstance(value, Decimal):
            encoded.append(int(value))
        else:
            encoded.append(str(value))
    return encoded


def _decoded(after: list[Any] | None) -> tuple[Any, ...] | None:
    if after is None:
        return None
    return tuple(_decoded_value(value) for value in after)


def _decoded_value(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return datetime.fromisoformat(value["at"]) if "at" in value else date.fromisoformat(value["on"])
