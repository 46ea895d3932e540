"""The engine's SQL: one file a step, run in order on one connection, and nothing run that has nothing to do.

A statement may carry a line ``-- needs: a, b``: where all of these tables are empty, so is what it makes or changes,
and it is not run. Planning a statement costs more than running it on a handful of rows. A view is made once; it
counts as one row, or as none while it is idle.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import duckdb

_MAKES = re.compile(r"CREATE OR REPLACE (TEMP )?TABLE (\w+)")
_SHOWS = re.compile(r"CREATE OR REPLACE TEMP VIEW (\w+)")
_GROWS = re.compile(r"INSERT INTO (\w+)")
_SHRINKS = re.compile(r"(?:DELETE FROM|UPDATE) (\w+)")


@dataclass(frozen=True)
class Statement:
    """One statement, the table that it makes, shows, adds to or changes, and the tables without which it is idle."""

    text: str
    needs: tuple[str, ...]
    makes: str | None
    is_temporary: bool
    shows: str | None
    grows: str | None
    changes: str | None


@cache
def statements(step: str) -> tuple[Statement, ...]:
    """Return the statements of a step, in order.

    Raises:
        FileNotFoundError: when there is no such step.
    """
    text = files("pipeline").joinpath("sql", f"{step}.sql").read_text(encoding="utf-8")
    return tuple(_statement(part) for part in re.split(r";\s*\n", text + "\n") if _code(part))


def _code(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--")).strip(" ;\n")


def _statement(text: str) -> Statement:
    code = _code(text)
    needs = re.findall(r"^-- needs: (.+)$", text, re.MULTILINE)
    made, shown = _MAKES.match(code), _SHOWS.match(code)
    grown, changed = _GROWS.match(code), _SHRINKS.match(code)
    return Statement(
        code,
        tuple(name.strip() for line in needs for name in line.split(",")),
        made.group(2) if made else None,
        bool(made and made.group(1)),
        shown.group(1) if shown else None,
        grown.group(1) if grown else None,
        changed.group(1) if changed else None,
    )


class Steps:
    """Runs steps on a connection and knows how many rows each table got last. `rows` may be set from outside."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._parsed: dict[str, duckdb.Statement] = {}
        self._made: set[str] = set()
        self._shown: set[str] = set()
        # Rows taken out of a table since it was made: in memory DuckDB keeps them for as long as there is the table.
        self._dead: defaultdict[str, int] = defaultdict(int)
        self.rows: defaultdict[str, int] = defaultdict(int)

    def run(self, *steps: str) -> None:
        """Run steps in order."""
        for step in steps:
            for statement in statements(step):
                self._run(statement)

    def empty(self, *names: str) -> None:
        """Take all rows out of tables."""
        for name in names:
            self._dead[name] += self._execute(f"TRUNCATE {name}")
            self.rows[name] = 0

    def release(self, minimum_rows: int) -> None:
        """Empty the tables that steps made with at least so many rows; their memory is free again."""
        for name in self._made:
            if self.rows[name] >= minimum_rows:
                self._connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM {name} LIMIT 0")
                self.rows[name] = 0

    def renew(self, minimum_rows: int) -> None:
        """Write anew the tables most of whose rows were taken out, at least so many. Row numbers change."""
        for name, dead in self._dead.items():
            if dead >= minimum_rows and dead > self._ask(f"SELECT count(*) FROM {name}"):
                is_temporary = self._ask(f"SELECT temporary FROM duckdb_tables() WHERE table_name = '{name}'")
                kind = "TEMP TABLE" if is_temporary else "TABLE"
                self._connection.execute(f"CREATE OR REPLACE {kind} {name} AS SELECT * FROM {name}")
                self._dead[name] = 0

    def _run(self, statement: Statement) -> None:
        is_idle = bool(statement.needs) and not any(self.rows[name] for name in statement.needs)
        if statement.makes:
            name = statement.makes
            if is_idle and name in self._made:
                if self.rows[name]:
                    self.empty(name)
            else:
                self.rows[name] = self._execute(statement.text)
                self._dead[name] = 0
                if statement.is_temporary:
                    self._made.add(name)
                return
            self.rows[name] = 0
        elif statement.shows:
            if statement.shows not in self._shown:
                self._connection.execute(statement.text)
                self._shown.add(statement.shows)
            self.rows[statement.shows] = int(not is_idle)
        elif statement.changes:
            if not is_idle and self.rows[statement.changes]:
                self._dead[statement.changes] += self._execute(statement.text)
        elif statement.grows:
            if not is_idle:
                self.rows[statement.grows] += self._execute(statement.text)
        else:
            self._execute(statement.text)

    def _execute(self, text: str) -> int:
        """Run a statement that was parsed before, if it was: parsing is a fifth of what a handful of rows costs."""
        parsed = self._parsed.get(text)
        if parsed is None:
            parsed = self._parsed[text] = self._connection.extract_statements(text)[0]
        counted = self._connection.execute(parsed).fetchall()
        return int(counted[0][0]) if counted else 0

    def _ask(self, question: str) -> int:
        return int(self._connection.execute(question).fetchall()[0][0])
