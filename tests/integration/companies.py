"""Companies for tests that go the whole way: files, the command line, and what a store then holds.

Simulating and replaying cost seconds, so what several tests look at is made once a session.
"""

from __future__ import annotations

import csv
import io
import re
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest
from typer.testing import CliRunner

import cli
from pipeline.simulate import DEFAULT_START, simulate, truth_path

HELSINKI = ZoneInfo("Europe/Helsinki")

# What a store says of itself and not of the company: when it was made, and by which runs.
_BOOKKEEPING_VIEWS = ("runs", "company_zone")
_BOOKKEEPING_COLUMNS = ("version", "file_number", "run_number")
# Its results lie in these; which of the two a row lies in is the store's business.
_HALVES = ("_base", "_delta", "_retracted")
_BOOKKEEPING_TABLES = ("run", "schema_version", "merged_version", "position", "identifier")


@dataclass(frozen=True)
class Ran:
    """What a command left: its exit code and what it wrote."""

    exit_code: int
    out: str
    error: str

    @property
    def written(self) -> str:
        """Everything it wrote, wherever to."""
        return self.out + self.error


def bypassflow(*arguments: str | Path) -> Ran:
    """Run a command in this process; anything but an expected error comes through."""
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


def replay(db: Path, *paths: Path, config: Path | None = None) -> Path:
    """Replay files into a store; return its path."""
    chosen = ("--config", config) if config is not None else ()
    ran = bypassflow("replay", *paths, "--db", db, *chosen)
    assert ran.exit_code == 0, ran.error
    return db


def rows_of(db: Path, but: Collection[str] = ()) -> dict[str, list[str]]:
    """Return all that a store holds and shows, as sorted texts of rows by table; runs and versions left out.

    `but` are columns that are left out too.

    Opening it without any of our code also proves that it is whole.
    """
    with duckdb.connect(str(db), read_only=True) as connection:
        names = [
            name
            for (name,) in connection.execute(
                "SELECT view_name FROM duckdb_views() WHERE NOT internal "
                "UNION SELECT table_name FROM duckdb_tables() WHERE NOT internal ORDER BY 1"
            ).fetchall()
            if name not in (*_BOOKKEEPING_VIEWS, *_BOOKKEEPING_TABLES)
            and not name.endswith(_HALVES)
            and not name.startswith("standing_")
        ]
        return {name: _texts(connection, name, but) for name in names}


def _texts(connection: duckdb.DuckDBPyConnection, name: str, but: Collection[str]) -> list[str]:
    columns = [row[0] for row in connection.execute(f"DESCRIBE {name}").fetchall()]
    kept = ", ".join(f'"{column}"' for column in columns if column not in (*_BOOKKEEPING_COLUMNS, *but))
    found = connection.execute(f"SELECT kept::VARCHAR FROM (SELECT {kept} FROM {name}) AS kept ORDER BY 1").fetchall()
    return [text for (text,) in found]


def assert_same_rows(found: dict[str, list[str]], expected: dict[str, list[str]]) -> None:
    """Compare two stores table by table and row by row; say which rows only one of them has."""
    assert found.keys() == expected.keys()
    for name, rows in expected.items():
        if found[name] != rows:
            missing = sorted(set(rows) - set(found[name]))[:5]
            surplus = sorted(set(found[name]) - set(rows))[:5]
            counts = f"{len(found[name])} rows, expected {len(rows)}"
            pytest.fail(f"{name}: {counts}\nmissing: {missing}\nsurplus: {surplus}")


def simulated(directory: Path, days: int, representatives: int, seed: int) -> Path:
    """Write a simulated company into a new directory and its truth beside it; return the directory."""
    company = simulate(days, representatives, seed)
    for name, content in company.files():
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    truth_path(directory).write_bytes(b"".join(company.truth()))
    return directory


# A company whose files stand for a week each


@dataclass(frozen=True)
class TwoWeeks:
    """A simulated company of two weeks. `common` are files of both weeks: the CRM's people and firms."""

    directory: Path
    common: tuple[Path, ...]
    first: tuple[Path, ...]
    second: tuple[Path, ...]

    @property
    def config(self) -> Path:
        return self.directory / "bypassflow.toml"

    @property
    def files(self) -> tuple[Path, ...]:
        """All of its files."""
        return self.common + self.first + self.second


def two_weeks_of_files(directory: Path) -> TwoWeeks:
    """Write a company each of whose logs and exports of activities was cut in two between its weeks."""
    company = simulate(days=14, representatives=10, seed=5)
    parts: tuple[list[Path], list[Path], list[Path]] = ([], [], [])
    for name, content in company.files():
        path = directory / name
        if name.startswith("asterisk/Master"):
            halves = _by_week((_csv_day(line, 9), line) for line in content.splitlines(keepends=True))
        elif name.startswith("asterisk/queue"):
            halves = _by_week((_epoch_day(line), line) for line in content.splitlines(keepends=True))
        elif name.startswith("mail/"):
            halves = _by_week(_messages(content))
        elif path.stem in ("Task", "Case", "EmailMessage", "EmailMessageRelation"):
            halves = _export_by_week(content)
        else:
            _write(path, content)
            if path.parent.name == "salesforce":
                parts[2].append(path)
            continue
        for number, half in enumerate(halves):
            if half:
                part = path.with_name(f"{path.stem}-{number + 1}{path.suffix}")
                _write(part, half)
                parts[number].append(part)
    return TwoWeeks(directory, common=tuple(parts[2]), first=tuple(parts[0]), second=tuple(parts[1]))


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _by_week(pieces: Iterator[tuple[date, bytes]]) -> tuple[bytes, bytes]:
    weeks: tuple[list[bytes], list[bytes]] = ([], [])
    for day, piece in pieces:
        weeks[(day - DEFAULT_START).days >= 7].append(piece)
    return b"".join(weeks[0]), b"".join(weeks[1])


def _csv_day(line: bytes, column: int) -> date:
    fields = next(csv.reader([line.decode(errors="replace")]))
    return datetime.fromisoformat(fields[column]).date()


def _epoch_day(line: bytes) -> date:
    return datetime.fromtimestamp(int(line.split(b"|", 1)[0]), HELSINKI).date()


def _messages(content: bytes) -> Iterator[tuple[date, bytes]]:
    for piece in re.split(rb"(?m)^(?=From \S+@\S+ [A-Z])", content):
        if piece:
            stamp = b" ".join(piece.split(b"\n", 1)[0].split()[2:]).decode()
            yield datetime.strptime(stamp, "%a %b %d %H:%M:%S %Y").date(), piece


def _export_by_week(content: bytes) -> tuple[bytes, bytes]:
    reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    names = list(reader.fieldnames or ())
    weeks = [io.StringIO(newline=""), io.StringIO(newline="")]
    writers = [csv.DictWriter(week, names, quoting=csv.QUOTE_ALL) for week in weeks]
    for writer in writers:
        writer.writeheader()
    for row in reader:
        day = datetime.fromisoformat(row["CreatedDate"][:10]).date()
        writers[(day - DEFAULT_START).days >= 7].writerow(row)
    return weeks[0].getvalue().encode("utf-8-sig"), weeks[1].getvalue().encode("utf-8-sig")


@cache
def _room() -> tempfile.TemporaryDirectory[str]:
    """Return where the session's companies stand; it vanishes when Python ends."""
    return tempfile.TemporaryDirectory(prefix="bypassflow-companies-")


def place(name: str) -> Path:
    """Return a place in the session's room."""
    return Path(_room().name, name)


@cache
def two_weeks() -> TwoWeeks:
    """Return a company whose files stand for a week each. To be read only."""
    return two_weeks_of_files(place("two-weeks"))


@cache
def two_weeks_store() -> Path:
    """Return the store of a clean replay of that company. To be read only."""
    return replay(place("two-weeks.duckdb"), two_weeks().directory)


@cache
def two_weeks_rows() -> dict[str, list[str]]:
    """Return what that store holds."""
    return rows_of(two_weeks_store())


@cache
def few_days() -> Path:
    """Return the directory of a company so small that a replay takes a second or two. To be read only."""
    return simulated(place("few-days"), days=2, representatives=5, seed=3)


@cache
def few_days_rows() -> dict[str, list[str]]:
    """Return what a clean replay of it leaves in a store."""
    return rows_of(replay(place("few-days.duckdb"), few_days()))
