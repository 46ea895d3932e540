"""Raw events for live measurements: calls, and what was logged of them, as other people's systems would send them.

Ten percent of the records are activities; every customer is known. The same numbers give the same records.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import orjson

from schemas.topics import RAW_TOPIC_OF_KIND

REPRESENTATIVES: Final = 40
START: Final = datetime(2024, 3, 4, 8, tzinfo=UTC)
_ACTIVITY_EVERY: Final = 10
# Records of a day: the pace at which event time goes on.
PER_DAY: Final = 20_000


def configuration(prefix: str, bootstrap: str) -> str:
    """Return a bypassflow.toml for these events."""
    return f"""[company]
name = "Live"
region = "FI"
timezone = "Europe/Helsinki"

[kafka]
bootstrap = ["{bootstrap}"]
prefix = "{prefix}"
"""


def number_of(customer: int) -> str:
    """Return a customer's telephone number."""
    return f"+35840{5_000_000 + customer}"


def beginning(customers: int) -> Iterator[tuple[str, bytes, bytes]]:
    """Yield what must be known first, the directory and the customers: topic, key and record."""
    record: dict[str, object]
    for person in range(REPRESENTATIVES):
        record = {
            "kind": "representative", "representative_id": f"r{person:03}", "name": f"Person {person}",
            "extension": f"{200 + person}", "team": f"Team {person % 5}", "function": "other",
        }  # fmt: skip
        yield _message(record, f"r{person:03}")
    for customer in range(customers):
        record = {"kind": "contact", "contact_id": f"c{customer:06}", "phones": [number_of(customer)]}
        yield _message(record, number_of(customer))


def events(
    count: int, customers: int, first: int = 0, per_day: int = PER_DAY, progress_every: int = 0
) -> Iterator[tuple[str, bytes, bytes]]:
    """Yield calls and activities in the order of their time: topic, key (the customer's number) and record.

    `first` is the number of the first: so many of the usual pace have come before. After every `progress_every` comes a
    record that tells how far the CRM has been read, besides.
    """
    start, spacing = START + first * timedelta(days=1) / PER_DAY, timedelta(days=1) / per_day
    record: dict[str, object]
    for place in range(first, first + count):
        at = start + (place - first) * spacing
        customer = place * 7919 % customers
        if place % _ACTIVITY_EVERY == _ACTIVITY_EVERY - 1:
            # Of the call five places before.
            customer = (place - 5) * 7919 % customers
            record = {
                "kind": "activity", "activity_id": f"a{place:08}", "activity_kind": "call", "logged_at": at.isoformat(),
                "owner_id": f"r{(place - 5) % REPRESENTATIVES:03}", "contact_ids": [f"c{customer:06}"],
            }  # fmt: skip
        else:
            begun = at - timedelta(seconds=90)
            record = {
                "kind": "call", "call_id": f"call-{place:08}", "started_at": begun.isoformat(),
                "answered_at": (begun + timedelta(seconds=8)).isoformat(), "ended_at": at.isoformat(),
                "direction": "inbound", "from": number_of(customer), "to": f"{200 + place % REPRESENTATIVES}",
                "representative": f"r{place % REPRESENTATIVES:03}",
            }  # fmt: skip
        yield _message(record, number_of(customer))
        if progress_every and place % progress_every == progress_every - 1:
            yield _message({"kind": "feed_progress", "complete_through": at.isoformat()}, "crm")


def _message(record: dict[str, object], key: str) -> tuple[str, bytes, bytes]:
    return RAW_TOPIC_OF_KIND[str(record["kind"])], key.encode(), orjson.dumps(record)
