"""Files that grow: whole lines, each once, whatever rotation, truncation and restarts do."""

from __future__ import annotations

import itertools
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agents.receivers import growing_file
from agents.receivers.growing_file import GrowingFile, Position, Stretch

ENOUGH = 11.0  # seconds: longer than a rotated file is waited for


@dataclass
class Followed:
    """A follower of one file as the receiver uses it: what it published, by generation and line."""

    path: Path
    lookback: int = 1_000
    from_end: bool = False
    time: float = 0.0
    lines: dict[tuple[str, str], bytes] = field(default_factory=dict)
    again: list[tuple[str, str]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    kept: Position | None = None
    _names: Callable[[], int] = field(default_factory=lambda: itertools.count(1).__next__)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begin as after a kill: all that is known is what was kept."""
        self.file = GrowingFile(
            self.path,
            Position.from_dict(self.kept.to_dict()) if self.kept else None,
            lookback=self.lookback,
            from_end=self.from_end,
            new_generation=lambda: f"g{self._names()}",
            clock=lambda: self.time,
            tell=self.said.append,
        )

    def step(self, *, is_killed: bool = False) -> bool:
        """Publish one stretch; return whether there was one. Killed: before its position was kept."""
        stretch = self.file.next()
        self.kept = self.file.position
        if stretch is None:
            return False
        for number, line in enumerate(stretch.content.splitlines(keepends=True), 1):
            place = stretch.place(str(number))
            if place is not None:
                identity = (stretch.after.generation, place)
                if identity in self.lines:
                    assert self.lines[identity] == line
                    self.again.append(identity)
                self.lines[identity] = line
        if is_killed:
            self.file.close()
            self.start()
        else:
            self.file.advance(stretch)
            self.kept = self.file.position
        return True

    def read(self) -> list[bytes]:
        """Publish all there is, waiting for rotated files; return every line published so far."""
        idle = 0
        while idle < 3:
            idle += 1
            while self.step():
                idle = 0
            self.time += ENOUGH
        return list(self.lines.values())


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as stream:
        stream.write(data)


def stretch_of(followed: Followed) -> Stretch:
    found = followed.file.next()
    assert found is not None
    return found


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "Master.csv"


def test_a_file_that_comes_later_is_read_from_its_first_line(log: Path) -> None:
    followed = Followed(log)
    assert followed.read() == []
    append(log, b"a\nb\n")
    assert followed.read() == [b"a\n", b"b\n"]
    assert [place for _, place in followed.lines] == ["1", "2"]


def test_an_unfinished_last_line_waits_for_its_end(log: Path) -> None:
    append(log, b"a\nb")
    followed = Followed(log)
    assert followed.read() == [b"a\n"]
    append(log, b"c\n")
    assert followed.read() == [b"a\n", b"bc\n"]


def test_what_was_there_before_is_passed_over_when_the_end_is_the_beginning(log: Path) -> None:
    append(log, b"old\nolder\nunfin")
    followed = Followed(log, from_end=True)
    assert followed.read() == []
    append(log, b"ished\nnew\n")
    assert followed.read() == [b"unfinished\n", b"new\n"]
    assert [place for _, place in followed.lines] == ["3", "4"]


def test_a_renamed_file_is_read_to_its_end_before_the_new_one(log: Path) -> None:
    append(log, b"a\n")
    followed = Followed(log)
    followed.read()
    append(log, b"b\n")
    log.rename(log.with_name("Master.csv.1"))
    append(log.with_name("Master.csv.1"), b"c\nno end")
    append(log, b"d\n")
    assert followed.read() == [b"a\n", b"b\n", b"c\n", b"no end", b"d\n"]
    assert len({generation for generation, _ in followed.lines}) == 2
    assert followed.said == []


def test_lines_that_are_written_to_a_renamed_file_are_waited_for(log: Path) -> None:
    append(log, b"a\n")
    followed = Followed(log)
    followed.read()
    old = log.rename(log.with_name("Master.csv-20260503"))
    append(log, b"new\n")
    followed.time += ENOUGH / 2
    assert not followed.step()
    append(old, b"late\n")
    assert followed.read() == [b"a\n", b"late\n", b"new\n"]


def test_rotations_while_nobody_read_are_caught_up_with_in_order(log: Path) -> None:
    append(log, b"a\n")
    followed = Followed(log)
    followed.read()
    followed.file.close()
    append(log, b"b\n")
    os.utime(log, ns=(1, 1))
    log.rename(log.with_name("Master.csv.2"))
    log.with_name("Master.csv.1").write_bytes(b"c\n")
    os.utime(log.with_name("Master.csv.1"), ns=(2, 2))
    append(log, b"d\n")
    followed.start()
    assert followed.read() == [b"a\n", b"b\n", b"c\n", b"d\n"]


def test_a_file_that_was_copied_and_emptied_is_read_on_in_the_copy(log: Path) -> None:
    append(log, b"a\n")
    followed = Followed(log)
    followed.read()
    append(log, b"b\n")
    shutil.copy(log, log.with_name("Master.csv.1"))
    os.truncate(log, 0)
    append(log, b"c\n")
    assert followed.read() == [b"a\n", b"b\n", b"c\n"]
    assert followed.said == []


def test_a_file_that_was_emptied_and_has_grown_past_the_position_is_no_longer_the_same(log: Path) -> None:
    append(log, b"a\n")
    followed = Followed(log)
    followed.read()
    os.truncate(log, 0)
    append(log, b"something much longer\nx\n")
    assert followed.read() == [b"a\n", b"something much longer\n", b"x\n"]
    assert "begins anew" in followed.said[0]


def test_a_rotated_file_that_was_packed_before_it_was_read_is_told_of(log: Path) -> None:
    append(log, b"a\n")
    followed = Followed(log)
    followed.read()
    followed.file.close()
    log.unlink()
    log.with_name("Master.csv.1.gz").write_bytes(b"")
    append(log, b"other\n")
    followed.start()
    assert followed.read() == [b"a\n", b"other\n"]
    assert "Master.csv.1.gz was packed before it was read" in followed.said[0]


def test_earlier_lines_come_again_to_be_understood_by_and_are_not_published_again(log: Path) -> None:
    append(log, b"header\n" + b"".join(b"%03d\n" % number for number in range(100)))
    followed = Followed(log, lookback=20)
    followed.read()
    append(log, b"new\n")
    stretch = stretch_of(followed)
    assert stretch.content == b"header\n095\n096\n097\n098\n099\nnew\n"
    assert [stretch.place(str(number)) for number in range(1, 8)] == [None] * 6 + ["102"]
    assert stretch.place("7#2") == "102#2"


def test_without_look_back_only_the_first_line_comes_again(log: Path) -> None:
    append(log, b"header\na\n")
    followed = Followed(log, lookback=0)
    followed.read()
    append(log, b"b\n")
    assert stretch_of(followed).content == b"header\nb\n"
    assert followed.read() == [b"header\n", b"a\n", b"b\n"]


def test_a_record_that_goes_on_in_the_next_line_is_waited_for_but_not_for_ever(log: Path) -> None:
    append(log, b'a,"x"\nb,"one\n')
    followed = Followed(log)
    while followed.step():
        pass
    assert list(followed.lines.values()) == [b'a,"x"\n']
    append(log, b'two"\n')
    assert stretch_of(followed).content.endswith(b'b,"one\ntwo"\n')
    followed.read()
    append(log, b'c,stray"\n')
    assert not followed.step()
    followed.time += 6
    assert followed.read()[-1] == b'c,stray"\n'


def test_a_line_of_any_length_costs_no_more_than_its_beginning(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing_file, "MOST_BYTES", 10_000)
    append(log, b"a\n" + b"x" * 25_000)
    followed = Followed(log)
    assert followed.read() == [b"a\n"]
    append(log, b"x\nb\n")
    lines = followed.read()
    assert [len(line) for line in lines] == [2, 2_001, 2]
    assert [place for _, place in followed.lines] == ["1", "2", "3"]


@pytest.mark.parametrize("seed", range(60))
def test_every_line_is_published_under_one_name_whatever_happens_to_the_file(
    seed: int, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growing_file, "MOST_BYTES", 64)
    chance = random.Random(seed)
    followed = Followed(log, lookback=chance.choice((0, 10, 200)))
    written: list[bytes] = [b"first\n"]
    append(log, written[0])
    followed.step()
    rotation = 0
    moment = 1_000_000_000
    os.utime(log, ns=(moment, moment))
    for _ in range(150):
        event = chance.random()
        if event < 0.5:
            line = b"%d %s\n" % (len(written), b"x" * chance.randrange(40))
            written.append(line)
            cut = chance.randrange(len(line))
            append(log, line[:cut])
            if chance.random() < 0.3:
                followed.step(is_killed=chance.random() < 0.3)
            append(log, line[cut:])
            moment += 1_000_000
            os.utime(log, ns=(moment, moment))
        elif event < 0.85:
            followed.step(is_killed=chance.random() < 0.3)
            followed.time += chance.choice((0.1, 3.0, ENOUGH))
        elif event < 0.92 and log.exists():
            rotation += 1
            log.rename(log.with_name(f"Master.csv.{rotation}"))
        elif event >= 0.97 and log.exists() and log.stat().st_size:
            # Nothing else can be promised of a file that is emptied twice before anybody looked.
            followed.read()
            append(log, line := b"%d before the copy\n" % len(written))
            written.append(line)
            moment += 1_000_000
            os.utime(log, ns=(moment, moment))
            rotation += 1
            copy = log.with_name(f"Master.csv.{rotation}")
            shutil.copy2(log, copy)
            os.truncate(log, 0)
            append(log, line := b"%d after the copy\n" % len(written))
            written.append(line)
            moment += 1_000_000
            os.utime(log, ns=(moment, moment))
        else:
            followed.file.close()
            followed.start()
    append(log, b"last\n")
    written.append(b"last\n")
    assert followed.read() == written
    assert followed.said == []
