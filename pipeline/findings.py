"""What `doctor` found: each with where it is, how bad it is, and the remedy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from pipeline.errors import BypassflowError

# Clocks of two machines that a time server keeps differ by milliseconds; events are matched within 30 seconds.
CLOCK_TOLERANCE: Final = timedelta(seconds=10)
# With less room than this nothing goes on for long. Unit: bytes.
LEAST_FREE: Final = 1_000_000_000
_MEGABYTE: Final = 1_000_000


class Level(StrEnum):
    """How bad a finding is: nothing, worth a look, or in the way."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """`subject`: what was looked at; `place`: where; `found`: what is so; `remedy`: what to do, empty when it is ok."""

    level: Level
    subject: str
    place: str
    found: str
    remedy: str = ""


def ok(subject: str, place: str, found: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(Level.OK, subject, place, found)


def warning(subject: str, place: str, found: str, remedy: str) -> Finding:
    """Return something that is worth a look."""
    return Finding(Level.WARNING, subject, place, found, remedy)


def error(subject: str, place: str, found: str, remedy: str) -> Finding:
    """Return something that is in the way."""
    return Finding(Level.ERROR, subject, place, found, remedy)


def of_sentence(subject: str, place: str, sentence: str) -> Finding:
    """Return an error of a sentence as all ours are: what was found, a semicolon, the remedy.

    >>> of_sentence("topics", "kafka1:9092", "missing: facts; make them with: bypassflow topics create").remedy
    'make them with: bypassflow topics create'
    """
    found, _, remedy = sentence.partition("; ")
    return error(subject, place, found, remedy or f"mend what is said of {place}, and run doctor again")


def of_error(subject: str, place: str, problem: BypassflowError) -> list[Finding]:
    """Return an error for each line of what was raised."""
    return [of_sentence(subject, place, line) for line in str(problem).splitlines()]


def clock(place: str, theirs: datetime, ours: datetime) -> Finding:
    """Return whether a clock that has just been read agrees with ours."""
    difference = theirs - ours
    if abs(difference) <= CLOCK_TOLERANCE:
        return ok("clocks", place, "agrees with this machine's clock")
    side = "ahead of" if difference > timedelta(0) else "behind"
    return error(
        "clocks", place, f"is {abs(difference).total_seconds():,.0f} seconds {side} this machine's clock",
        "keep both by a time server (timedatectl shows whether this one is)",
    )  # fmt: skip


def latest(subject: str, place: str, newest: datetime, ours: datetime, remedy: str) -> Finding:
    """Return whether what was written in the past lies in our future: somebody's clock or zone is wrong then."""
    if newest <= ours + CLOCK_TOLERANCE:
        return ok(subject, place, f"newest {newest:%Y-%m-%d %H:%M:%S} UTC")
    ahead = (newest - ours).total_seconds()
    return error(subject, place, f"newest {newest:%Y-%m-%d %H:%M:%S} UTC, {ahead:,.0f} seconds in the future", remedy)


def room(place: str, free: int, store_size: int) -> Finding:
    """Return whether a disk has room. A replay and a change of the schema write the store a second time beside it."""
    told = f"{free // _MEGABYTE:,} MB free"
    if free < LEAST_FREE:
        return error(
            "disk", place, f"{told}, and {LEAST_FREE // _MEGABYTE:,} MB are the least", "free some, or use another disk"
        )
    if free < 2 * store_size:
        return warning(
            "disk", place, f"{told}, less than twice the store's {store_size // _MEGABYTE:,} MB",
            "free some: a replay and an upgrade write the store a second time beside it",
        )  # fmt: skip
    return ok("disk", place, told)


def is_failed(findings: Iterable[Finding]) -> bool:
    """Return whether anything is in the way."""
    return any(finding.level is Level.ERROR for finding in findings)
