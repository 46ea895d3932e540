"""Hostile tables of labels: refused in a sentence, and nothing of them is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from sinks.annotations import Annotations, beside
from tests.integration.companies import Ran
from tests.unit.test_label_commands import db, label

__all__ = ["db"]

HEAD = b"interaction_id,verdict,note\n"


def take(db: Path, table: bytes) -> Ran:
    file = db.with_name("judged.csv")
    file.write_bytes(table)
    return label(db, "import", file)


def an_id(db: Path) -> bytes:
    return label(db, "sample", "--size", "2").out.splitlines()[1].partition(",")[0].strip('"').encode()


@pytest.mark.parametrize(
    "note",
    [b"\xff\xfe\x00 not UTF-8", b"x" * 1_000_000, b'"never closed' + b"\nmore" * 100_000],
    ids=["bytes", "huge", "open"],
)
def test_a_table_of_labels_that_is_no_text_or_without_end_is_refused(db: Path, note: bytes) -> None:
    judged = an_id(db)
    refused = take(db, HEAD + judged + b",correct," + note + b"\n")
    assert refused.exit_code == 1
    assert refused.error.startswith("bypassflow: ")
    assert "Traceback" not in refused.error
    assert len(refused.error) < 1_000
    assert "took in" not in refused.error
    assert Annotations(beside(db)).labels_of(judged.decode()) == []
