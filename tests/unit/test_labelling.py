"""Samples are drawn by chance, labels are taken in whole, and both are kept apart from the facts."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.correction import Corrected
from pipeline.errors import ConfigurationError
from pipeline.estimate import TooLittle
from sinks import labelling
from sinks.annotations import Annotations
from sinks.export import write_csv
from sinks.labelling import SAMPLE_COLUMNS, add_label, corrected, count_labels, draw, read_labels
from sinks.measures import Row
from sinks.store import Store
from tests.stores import NOON, interaction_row, published, said


def company(prefix: str = "i") -> list[Row]:
    """Return 400 calls and 200 emails of 300 customers; of six calls and emails each, one is pending."""
    outcomes = ["traced", "bypassed", "traced", "siloed", "bypassed", "pending"]
    return [
        interaction_row(
            f"{prefix}{number:04}", outcomes[number % 6], channel="email" if number % 3 == 2 else "call",
            token=f"T{number % 300}", started_at=NOON + timedelta(hours=number), tier="exact", activity_id="a1",
        )
        for number in range(600)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    path = published(tmp_path_factory.mktemp("labelling") / "bypass.duckdb", changes=said(company()))
    with Store.open(path) as opened:
        yield opened


@pytest.fixture
def kept(tmp_path: Path) -> Annotations:
    return Annotations(tmp_path / "a.sqlite")


def drawn(store: Store, kept: Annotations, size: int = 200, seed: int = 1) -> list[Row]:
    return draw(store, kept, size=size, seed=seed, drawn_at=NOON)


def table(rows: Sequence[Row]) -> io.StringIO:
    stream = io.StringIO()
    write_csv(rows, SAMPLE_COLUMNS, stream)
    stream.seek(0)
    return stream


def taken(store: Store, kept: Annotations, rows: Sequence[Row]) -> int:
    labels, _ = read_labels(store, table(rows), labelled_at=NOON, author="eva")
    return kept.add_labels(labels)


def test_half_of_a_sample_is_traced_and_nothing_is_pending(store: Store, kept: Annotations) -> None:
    counted = Counter(row["outcome"] == "traced" for row in drawn(store, kept))

    assert counted == {True: 100, False: 100}
    assert {row["outcome"] for row in drawn(store, kept)} == {"traced", "siloed", "bypassed"}


def test_the_same_seed_draws_the_same_and_another_one_others(store: Store, kept: Annotations) -> None:
    first, again, other = ([row["interaction_id"] for row in drawn(store, kept, seed=seed)] for seed in (1, 1, 2))

    assert first == again
    assert len(set(first) & set(other)) < 150


def test_what_was_drawn_is_kept_with_the_size_of_its_stratum(store: Store, kept: Annotations) -> None:
    rows = drawn(store, kept)

    ((_, found),) = kept.samples().items()

    assert {each.interaction_id for each in found} == {row["interaction_id"] for row in rows}
    # Numbers 0 of six are traced calls, 2 of six traced emails, and so on.
    assert {each.stratum: each.stratum_count for each in found} == {
        "traced call": 100, "traced email": 100, "bypassed call": 200, "siloed call": 100,
    }  # fmt: skip


def test_a_sample_can_be_drawn_from_a_time(store: Store, kept: Annotations) -> None:
    rows = draw(
        store, kept, size=50, seed=1, drawn_at=NOON, since=NOON + timedelta(hours=60), until=NOON + timedelta(hours=120)
    )

    assert {row["interaction_id"] for row in rows} <= {f"i{number:04}" for number in range(60, 120)}
    assert {each.stratum_count for each in kept.samples()[1]} == {10, 20}


def test_a_judged_sample_comes_back_as_labels(store: Store, kept: Annotations) -> None:
    rows = [
        {**row, "verdict": "Wrong contact" if at == 0 else "correct", "note": "two\nlines" if at == 0 else None}
        for at, row in enumerate(drawn(store, kept)[:20])
    ]

    assert taken(store, kept, rows) == 20
    (label,) = kept.labels_of(rows[0]["interaction_id"])
    assert (label.verdict, label.note, label.author) == ("wrong_contact", "two\nlines", "eva")


def test_a_sample_drawn_again_brings_the_verdicts_that_there_are(store: Store, kept: Annotations) -> None:
    rows = drawn(store, kept)
    taken(store, kept, [{**rows[3], "verdict": "no_customer", "note": "us"}])

    again = drawn(store, kept)

    assert [(row["verdict"], row["note"]) for row in again[2:5]] == [(None, None), ("no_customer", "us"), (None, None)]


def test_a_table_that_a_spreadsheet_saved_with_semicolons_is_read(store: Store) -> None:
    stream = io.StringIO("\ufeffVerdict;Note;Interaction_id\ncorrect;a, b;i0001\n;;i0002\n", newline="")

    labels, open_count = read_labels(store, stream, labelled_at=NOON)

    assert [(each.interaction_id, each.verdict, each.note) for each in labels] == [("i0001", "correct", "a, b")]
    assert open_count == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("interaction_id,note\ni0001,x\n", "no column verdict"),
        ("", "no column interaction_id"),
        ("interaction_id,verdict\ni0001,correct\ni0002,maybe\n", "line 3: unknown verdict 'maybe'"),
        (
            "interaction_id,verdict\ni0001,correct\nx1,correct\nx2,correct\n",
            "line 3: the store has no interaction 'x1'",
        ),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_its_line(store: Store, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        read_labels(store, io.StringIO(text), labelled_at=NOON)


def test_one_interaction_is_labelled_by_the_beginning_of_its_id(store: Store, kept: Annotations) -> None:
    label = add_label(store, kept, "i0123", "no_customer", labelled_at=NOON, note=" a supplier ")

    assert kept.labels() == [label]
    assert (label.interaction_id, label.note) == ("i0123", "a supplier")


@pytest.mark.parametrize(
    ("interaction_id", "words"), [("x", "no interaction's id begins with 'x'; .* lists them"), ("i000", "give more")]
)
def test_an_unknown_interaction_is_not_labelled(
    store: Store, kept: Annotations, interaction_id: str, words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        add_label(store, kept, interaction_id, "correct", labelled_at=NOON)
    assert not kept.path.exists()


def test_labels_of_interactions_that_are_gone_are_counted_and_not_lost(
    store: Store, kept: Annotations, tmp_path: Path
) -> None:
    taken(store, kept, [{**row, "verdict": "correct"} for row in drawn(store, kept)])

    with Store.open(published(tmp_path / "new.duckdb", changes=said([*company()[:10], *company("j")]))) as new:
        counts = count_labels(new, kept)
        found = corrected(new, kept)

    still_there = sum(label.interaction_id < "i0010" for label in kept.labels())
    assert (counts.judged_count, counts.verdicts, counts.gone_count) == (200, {"correct": 200}, 200 - still_there)
    assert isinstance(found, TooLittle)
    assert count_labels(store, kept).gone_count == 0


def test_the_corrected_share_is_that_of_the_judged_sample(store: Store, kept: Annotations) -> None:
    rows = drawn(store, kept, size=400)
    assert Counter(row["outcome"] for row in rows) == {"traced": 200, "bypassed": 133, "siloed": 67}
    # All siloed were logged elsewhere, and so was nothing else.
    taken(
        store,
        kept,
        [{**row, "verdict": "logged_elsewhere" if row["outcome"] == "siloed" else "correct"} for row in rows],
    )

    found = corrected(store, kept)

    assert isinstance(found, Corrected)
    assert found.measured_share == pytest.approx(300 / 500)
    assert found.corrected_share == pytest.approx(200 / 500)
    assert found.corrected_share_low < 0.4 < found.corrected_share_high


def test_labels_that_were_not_drawn_by_chance_correct_nothing(store: Store, kept: Annotations) -> None:
    rows = drawn(store, kept, size=400)
    taken(store, kept, [{**row, "verdict": "correct"} for row in rows])
    before = corrected(store, kept)
    drawn_ids = {row["interaction_id"] for row in rows}
    others = [row for row in company() if row["interaction_id"] not in drawn_ids]

    taken(store, kept, [{**row, "verdict": "no_customer"} for row in others])

    assert corrected(store, kept) == before


def test_the_share_of_a_time_is_corrected(store: Store, kept: Annotations) -> None:
    rows = drawn(store, kept, size=400)
    taken(store, kept, [{**row, "verdict": "correct"} for row in rows])

    # Five interactions are decided, of number 3 and 4 on: siloed, bypassed, traced, bypassed, traced.
    found = corrected(store, kept, NOON + timedelta(hours=3), NOON + timedelta(hours=9))

    assert isinstance(found, Corrected)
    assert found.corrected_share == found.measured_share == pytest.approx(3 / 5)


def test_a_sample_of_nothing_is_refused(store: Store, kept: Annotations, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="a sample of 1 makes no sense"):
        drawn(store, kept, size=1)
    path = published(tmp_path / "empty.duckdb", changes=said([]))
    with Store.open(path) as empty, pytest.raises(ConfigurationError, match="no interaction is decided"):
        drawn(empty, kept)


def test_a_note_that_looks_like_a_formula_cannot_be_run_by_a_spreadsheet(store: Store, kept: Annotations) -> None:
    rows = drawn(store, kept)
    taken(store, kept, [{**rows[0], "verdict": "correct", "note": "=1+1"}])

    (first, *_) = csv.DictReader(table(drawn(store, kept)))

    assert first["note"].startswith("'")
    assert labelling.SAMPLE_COLUMNS[:3] == ("interaction_id", "verdict", "note")
