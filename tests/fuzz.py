"""Damaged files before every parser: nothing but a plain error may come of them, in bounded memory.

python -m tests.fuzz                                  five minutes for each parser, on the files of tests/corpus
python -m tests.fuzz --seconds 60 --all               a minute for all of them together
python -m tests.fuzz --format twilio --case 12345     one case again

A case is a number: it chooses the file, and what is broken in it. A failure prints the command that repeats it.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.errors import ConfigurationError, InvalidRecord, UnknownFormat
from pipeline.sources.reading import head
from pipeline.sources.registry import Sample, Source, sources
from schemas.facts import SCHEMAS
from tests.parsing import context, letters, rows

CORPUS: Final = Path(__file__).parent / "corpus"
# What a parser may need above what it needed for whole files. No damaged file here is larger than some megabytes.
MOST_MEBIBYTES: Final = 600
_TOKENS: Final = (
    b"null", b"true", b"[]", b"{}", b"[" * 200, b"[" * 300 + b"]" * 300, b'{"a":' * 200,
    b'"', b"\\", b"\\u0000", b"\\ud800",
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\r\n", b"\n\n", b"\r", b"\t", b",", b";", b"|", b"=",
    b"<", b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&b;", b"%s", b"=?utf-8?Q?=", b"=?x?B?////?=",
    b"-1", b"0", b"1e999", b"NaN", b"99999999999999999999999999", b"0001-01-01", b"9999-12-31T23:59:59Z",
    b"2024-02-30", b"24:00:00", b"+99:99", "\u202e\u0660\u2028ß\U0001f600".encode(),
)  # fmt: skip


@dataclass(frozen=True)
class Failure:
    """A case that raised something else than a plain error, or whose accounts do not add up."""

    format: str
    case: int
    text: str

    def __str__(self) -> str:
        """Return it with the command that repeats it."""
        return f"{self.text}\nrepeat: python -m tests.fuzz --format {self.format} --case {self.case}"


def seeds(format: str) -> list[Path]:
    """Return the files of a format's corpus: whole files, none of which is empty."""
    return sorted(path for path in (CORPUS / format).rglob("*") if path.is_file())


def damaged(whole: bytes, chance: random.Random) -> bytes:
    """Return a file's bytes with some of them broken, moved, repeated or lost."""
    text = bytearray(whole)
    for _ in range(chance.choice((1, 1, 2, 3, 8, 30))):
        chance.choice(_DAMAGES)(text, chance)
        text = text[: 4 << 20] or bytearray(b"\n")
    return bytes(text)


def _replace(text: bytearray, chance: random.Random) -> None:
    place = chance.randrange(len(text) + 1)
    text[place : place + chance.choice((0, 0, 1, 5, 40))] = chance.choice(_TOKENS)


def _flip(text: bytearray, chance: random.Random) -> None:
    if text:
        text[chance.randrange(len(text))] ^= 1 << chance.randrange(8)


def _cut(text: bytearray, chance: random.Random) -> None:
    del text[chance.randrange(len(text) + 1) :]


def _lose(text: bytearray, chance: random.Random) -> None:
    place = chance.randrange(len(text) + 1)
    del text[place : place + chance.choice((1, 10, 200))]


def _repeat(text: bytearray, chance: random.Random) -> None:
    place = chance.randrange(len(text) + 1)
    text[place:place] = text[place : place + chance.choice((1, 20, 300))] * chance.choice((1, 3, 500))


def _swap_lines(text: bytearray, chance: random.Random) -> None:
    lines = text.split(b"\n")
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    text[:] = b"\n".join(lines)


def _change_number(text: bytearray, chance: random.Random) -> None:
    digits = [place for place, byte in enumerate(text) if 48 <= byte <= 57]
    if digits:
        text[chance.choice(digits)] = chance.choice(b"0123456789-.e ")


_DAMAGES: Final[Sequence[Callable[[bytearray, random.Random], None]]] = (
    _replace, _replace, _replace, _flip, _cut, _lose, _repeat, _swap_lines, _change_number, _change_number,
)  # fmt: skip


def run_case(source: Source, case: int, folder: Path) -> Failure | None:
    """Return what went wrong with one damaged file, if anything did."""
    chance = random.Random(f"{source.name}:{case}")
    path = chance.choice(seeds(source.name))
    target = folder / path.relative_to(CORPUS)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(damaged(path.read_bytes(), chance))
    try:
        sample = Sample(target, head(target))
        for other in sources():
            other.recognise(sample)
        problem = _read(source, _read_path(source, target))
    except (InvalidRecord, UnknownFormat, ConfigurationError):
        return None
    except Exception:  # whatever it is, it is what we look for
        problem = traceback.format_exc()
    finally:
        target.unlink()
    return None if problem is None else Failure(source.name, case, problem)


def _read_path(source: Source, target: Path) -> Path:
    """Return what a parser reads: the file, or for one that reads folders the folder of them."""
    return target.parent.parent if source.name == "maildir" else target


def _read(source: Source, path: Path) -> str | None:
    read = []
    try:
        for batch in source.read(path, context(path)):
            read.append(batch)
    except (InvalidRecord, ConfigurationError):
        pass
    counted, told = sum(batch.record_count for batch in read), len(letters(read))
    events = sum(len(rows(read, kind)) for kind in SCHEMAS if kind == "observation")
    if "observation" in source.carries and len(source.carries) == 1 and counted != events + told:
        return f"{counted} records, but {events} observations and {told} dead letters"
    return None


def fuzz(source: Source, seconds: float, first: int) -> Iterator[Failure | None]:
    """Yield what came of each case, from `first` on, for so long."""
    until = time.monotonic() + seconds
    case = first
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < until:
            yield run_case(source, case, Path(folder))
            case += 1


def main(arguments: Sequence[str]) -> int:
    """Run cases; print what failed, and how many ran."""
    parser = argparse.ArgumentParser(description="Damaged files before every parser.")
    parser.add_argument("--seconds", type=float, default=300.0, help="for each parser")
    parser.add_argument("--all", action="store_true", help="the seconds are for all parsers together")
    parser.add_argument("--format", help="one parser; default: all that have a corpus")
    parser.add_argument("--case", type=int, help="one case")
    parser.add_argument("--first", type=int, default=0, help="the first case")
    options = parser.parse_args(arguments)
    chosen = [source for source in sources() if seeds(source.name) and options.format in (None, source.name)]
    failed = 0
    for source in chosen:
        if options.case is not None:
            with tempfile.TemporaryDirectory() as folder:
                results = [run_case(source, options.case, Path(folder))]
        else:
            results = []
            for result in fuzz(source, options.seconds / (len(chosen) if options.all else 1), options.first):
                results.append(result)
                if result is not None:
                    print(result, flush=True)
        failures = [result for result in results if result is not None]
        if options.case is not None and failures:
            print(failures[0])
        failed += len(failures)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        print(f"{source.name}: {len(results):,} cases, {len(failures):,} failed, peak {peak:,} MiB", flush=True)
        if peak > MOST_MEBIBYTES:
            print(f"{source.name}: more than {MOST_MEBIBYTES} MiB", flush=True)
            failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
