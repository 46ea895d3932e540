"""What other files say of a record, in bounded memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import InvalidRecord
from pipeline.sources import beside as module
from pipeline.sources.beside import Beside, Tie, on_customers

_ROOT = Path(__file__).resolve().parents[2]


def test_ties_are_found_by_record_and_object_each_once_and_sorted() -> None:
    with Beside() as beside:
        beside.tie([("call:1", "contact", "7"), ("call:1", "contact", "10"), ("call:1", "contact", "7")])
        beside.tie([("call:1", "company", "7"), ("call:2", "contact", "8")])

        assert beside.tied("call:1", "contact") == ("10", "7")
        assert beside.tied("call:1", "company") == ("7",)
        assert beside.tied("call:3", "contact") == ()


def test_ties_may_be_added_after_the_first_question() -> None:
    with Beside() as beside:
        assert beside.tied("call:1", "contact") == ()
        beside.tie([("call:1", "contact", "7")])

        assert beside.tied("call:1", "contact") == ("7",)


def test_of_several_notes_the_greatest_counts() -> None:
    with Beside() as beside:
        beside.note([("1", "2024-03-05 late"), ("1", "2024-03-04 early"), ("2", "other")])

        assert beside.noted("1") == "2024-03-05 late"
        assert beside.noted("3") is None


def test_what_came_before_a_broken_row_is_kept() -> None:
    def broken() -> Iterator[Tie]:
        yield "call:1", "contact", "7"
        raise InvalidRecord("cut off")

    with Beside() as beside:
        with pytest.raises(InvalidRecord):
            beside.tie(broken())

        assert beside.tied("call:1", "contact") == ("7",)


def test_a_record_that_is_tied_to_everybody_is_tied_to_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_TIES", 3)
    with Beside() as beside:
        beside.tie(("call:1", "contact", str(number)) for number in range(9))

        assert beside.tied("call:1", "contact") == ("0", "1", "2")


_GROWTH = """
import resource
from pipeline.sources.beside import Beside

with Beside() as beside:
    beside.tie((f"call:{number % 1_000}", "contact", str(number)) for number in range(10_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    beside.tie((f"call:{number}", "contact", f"{number:064}") for number in range(800_000))
    assert beside.tied("call:799999", "contact") == (f"{799_999:064}",)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_stays_bounded_however_many_ties_there_are() -> None:
    # In a process of its own: what other tests have taken hides how much it grows. The ties have 70 MiB.
    grown = subprocess.run([sys.executable, "-c", _GROWTH], cwd=_ROOT, capture_output=True, text=True, check=True)
    assert int(grown.stdout) / 1_024 < 32


def test_an_email_is_evidence_on_each_of_several_contacts_and_its_own_id_is_taken_back() -> None:
    email = {"kind": "activity", "activity_id": "e", "activity_kind": "email"}

    assert [
        (each["activity_id"], each.get("contact_ids"), each.get("deleted"))
        for each in on_customers(email, ["a", "b"], ["f"])
    ] == [("e", None, True), ("e:a", ["a"], None), ("e:b", ["b"], None)]
    assert on_customers(email, ["a", "a"], ["f"]) == [{**email, "contact_ids": ["a"], "account_ids": ["f"]}]


def test_of_several_accounts_beside_contacts_none_is_tied() -> None:
    call = {"kind": "activity", "activity_id": "c", "activity_kind": "call"}

    assert on_customers(call, ["a", "b"], ["f", "g"]) == [{**call, "contact_ids": ["a", "b"], "account_ids": []}]
    assert on_customers(call, [], ["f", "g"]) == [{**call, "contact_ids": [], "account_ids": ["f", "g"]}]
