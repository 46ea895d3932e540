"""What people add is kept beside the store, apart from its facts, and is lost by nobody's fault."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.errors import ConfigurationError, TransientError
from schemas.annotations import VERDICTS, Drawn, Label
from sinks import annotations as module
from sinks.annotations import Annotations, beside
from tests.stores import NOON


def label(interaction_id: str = "a1", verdict: str = "correct", note: str = "", author: str = "eva") -> Label:
    return Label(interaction_id, verdict, note, author, NOON)


@pytest.fixture
def kept(tmp_path: Path) -> Annotations:
    return Annotations(tmp_path / "bypass.annotations.sqlite")


def test_annotations_lie_beside_their_store(tmp_path: Path) -> None:
    assert beside(tmp_path / "bypass.duckdb") == tmp_path.resolve() / "bypass.annotations.sqlite"


def test_annotations_of_a_snapshot_lie_where_the_next_snapshot_finds_them(tmp_path: Path) -> None:
    (tmp_path / "snapshot-20240304T120000000000Z").mkdir()
    (tmp_path / "current").symlink_to("snapshot-20240304T120000000000Z")

    assert beside(tmp_path / "current" / "bypass.duckdb") == tmp_path.resolve() / "bypass.annotations.sqlite"


def test_nothing_is_written_before_there_is_something_to_keep(kept: Annotations) -> None:
    assert (kept.measures(), kept.labels(), kept.samples(), kept.revision()) == ([], [], {}, 0)
    assert kept.add_labels([]) == 0
    assert not kept.remove_measure(1)
    assert not kept.path.exists()


def test_a_measure_is_found_by_name_and_by_number(kept: Annotations) -> None:
    added = kept.add_measure(
        "Click to dial", NOON, added_at=NOON, teams=["Sales", "Care", "Sales"], channels=["call"], author="eva"
    )

    assert (added.teams, added.channels) == (("Care", "Sales"), ("call",))
    assert kept.measures() == [added]
    assert kept.measure("Click to dial") == kept.measure(str(added.measure_id)) == added


def test_measures_stand_in_the_order_in_which_they_began(kept: Annotations) -> None:
    for name, days in (("later", 3), ("first", 1), ("second", 2)):
        kept.add_measure(name, NOON + timedelta(days=days), added_at=NOON)

    assert [each.name for each in kept.measures()] == ["first", "second", "later"]


def test_a_removed_measure_is_gone_and_its_number_is_not_given_again(kept: Annotations) -> None:
    gone = kept.add_measure("a", NOON, added_at=NOON)

    assert kept.remove_measure(gone.measure_id)
    assert not kept.remove_measure(gone.measure_id)
    assert kept.add_measure("a", NOON, added_at=NOON).measure_id != gone.measure_id


@pytest.mark.parametrize(
    ("name", "words"), [(" \n", "no name"), ("x" * 201, "201 characters"), ("taken", "give this one another name")]
)
def test_a_measure_without_a_name_of_its_own_is_refused(kept: Annotations, name: str, words: str) -> None:
    kept.add_measure("taken", NOON, added_at=NOON)

    with pytest.raises(ConfigurationError, match=words):
        kept.add_measure(name, NOON, added_at=NOON)
    assert len(kept.measures()) == 1


def test_an_unknown_measure_is_refused_with_those_that_are_known(kept: Annotations) -> None:
    kept.add_measure("Click to dial", NOON, added_at=NOON)

    with pytest.raises(ConfigurationError, match="no measure 'dial'; known: 'Click to dial'"):
        kept.measure("dial")


def test_the_newest_label_of_an_interaction_counts_and_the_older_ones_are_kept(kept: Annotations) -> None:
    old, new, other = label("a1"), label("a1", "no_customer", "a supplier"), label("b1")
    kept.add_labels([old, other])
    kept.add_labels([new])

    assert kept.labels() == [new, other]
    assert kept.labels_of("a1") == [new, old]
    assert kept.labels_of("c1") == []


def test_labels_are_added_all_or_none(kept: Annotations) -> None:
    with pytest.raises(ConfigurationError, match=f"unknown verdict 'wrong'; expected one of {', '.join(VERDICTS)}"):
        kept.add_labels([label("a1"), label("a2", "wrong")])
    assert kept.labels() == []


def test_what_was_drawn_is_kept_by_sample(kept: Annotations) -> None:
    first, second = [Drawn("a1", "traced call", 5), Drawn("b1", "bypassed call", 7)], [Drawn("a1", "traced call", 6)]
    numbers = [kept.keep_sample(drawn, seed=1, drawn_at=NOON) for drawn in (first, second)]

    assert kept.samples() == dict(zip(numbers, (first, second), strict=True))


def test_every_change_gives_another_revision(kept: Annotations) -> None:
    seen = [kept.revision()]
    measure = kept.add_measure("a", NOON, added_at=NOON)
    seen.append(kept.revision())
    kept.add_labels([label()])
    seen.append(kept.revision())
    kept.remove_measure(measure.measure_id)
    seen.append(kept.revision())

    assert sorted(set(seen)) == seen


def test_notes_are_kept_as_they_were_written_but_without_control_characters(kept: Annotations) -> None:
    kept.add_labels([label(note="  two\nlines \x1b[31m; 'quoted' – ääkköset ")])

    assert kept.labels()[0].note == "two\nlines  [31m; 'quoted' – ääkköset"


def test_many_processes_write_at_the_same_time_and_nothing_is_lost(kept: Annotations) -> None:
    script = """
import sys
from datetime import datetime
from pathlib import Path
from schemas.annotations import Label
from sinks.annotations import Annotations
kept = Annotations(Path(sys.argv[1]))
for number in range(20):
    kept.add_labels([Label(f"{sys.argv[2]}-{number}", "correct", "", "", datetime(2024, 3, 4))])
"""
    writers = [subprocess.Popen([sys.executable, "-c", script, str(kept.path), str(who)]) for who in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4

    assert {each.interaction_id for each in kept.labels()} == {f"{w}-{n}" for w in range(4) for n in range(20)}
    assert kept.revision() == 80


def test_annotations_are_read_while_they_are_written(kept: Annotations) -> None:
    kept.add_labels([label("a1")])
    with sqlite3.connect(kept.path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("DELETE FROM label")

        assert [each.interaction_id for each in kept.labels()] == ["a1"]
    other.close()


def test_a_file_that_stays_locked_is_named(kept: Annotations, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.add_labels([label("a1")])
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.05)
    with sqlite3.connect(kept.path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(TransientError, match="another process"):
            kept.add_labels([label("a2")])
    other.close()


@pytest.mark.parametrize("content", [b"no database at all, but a text that is long enough" * 9, None])
def test_a_damaged_file_is_refused_with_the_remedy(kept: Annotations, content: bytes | None) -> None:
    kept.add_labels([label("a1")])
    whole = kept.path.read_bytes()
    kept.path.write_bytes(content or whole[: len(whole) // 2])

    for ask in (kept.labels, lambda: kept.add_labels([label("a2")])):
        with pytest.raises(ConfigurationError, match="is damaged; restore it from a copy"):
            ask()


def test_a_file_of_a_newer_version_is_refused(kept: Annotations) -> None:
    kept.add_labels([label("a1")])
    with sqlite3.connect(kept.path) as other:
        other.execute("PRAGMA user_version = 2")
    other.close()

    for ask in (kept.labels, lambda: kept.add_labels([label("a2")])):
        with pytest.raises(ConfigurationError, match="newer version of bypassflow"):
            ask()


def test_another_programs_database_is_refused_and_left_as_it_is(kept: Annotations) -> None:
    with sqlite3.connect(kept.path) as other:
        other.execute("CREATE TABLE label (text)")
    other.close()

    for ask in (kept.labels, lambda: kept.add_labels([label("a2")])):
        with pytest.raises(ConfigurationError, match="not of annotations; name another file with --annotations"):
            ask()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be written: no such file or directory"):
        Annotations(tmp_path / "nowhere" / "a.sqlite").add_labels([label()])


def test_the_file_is_no_strangers_business(kept: Annotations) -> None:
    kept.add_labels([label()])

    assert kept.path.stat().st_mode & 0o007 == 0
