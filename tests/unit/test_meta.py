"""WhatsApp, Messenger and Instagram: which messages count, with whom they were, and which are one conversation."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.meta import SOURCE
from pipeline.sources.registry import Batch
from tests import parsing
from tests.parsing import letters, phone, rows
from tests.records import shared

MAIJA, COMPANY = "358401234567", "358942450000"
NINE = int(datetime(2024, 3, 5, 9, tzinfo=UTC).timestamp())
# As the platform makes them: bytes, the number, and more bytes.
WAMID = "wamid." + base64.b64encode(b"\x1c\x18\x0c" + MAIJA.encode() + b"\x15\x02").decode()


def webhook(*changes: Mapping[str, Any], object_: str = "whatsapp_business_account") -> dict[str, Any]:
    return {"object": object_, "entry": [{"id": "1", "changes": changes}]}


def news(field: str = "messages", number: str = COMPANY, **value: Any) -> dict[str, Any]:
    metadata = {"display_phone_number": number, "phone_number_id": "77"}
    contacts = [{"profile": {"name": "Maija"}, "wa_id": MAIJA}]
    told = {"messaging_product": "whatsapp", "metadata": metadata, "contacts": contacts, **value}
    return {"field": field, "value": told}


def wrote(at: int = NINE, **fields: Any) -> dict[str, Any]:
    return {"from": MAIJA, "id": WAMID, "timestamp": str(at), "type": "text", "text": {"body": "secret"}, **fields}


def received(*messages: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    return webhook(news(messages=messages, **fields))


def event(at: int = NINE, **fields: Any) -> dict[str, Any]:
    message = {"mid": f"m_{at}", "text": "secret"}
    return {"sender": {"id": "c7"}, "recipient": {"id": "p1"}, "timestamp": at * 1000, "message": message, **fields}


def page(*events: Mapping[str, Any], object_: str = "page") -> dict[str, Any]:
    return {"object": object_, "entry": [{"id": "p1", "time": NINE * 1000, "messaging": events}]}


def written(folder: Path, *payloads: Mapping[str, Any], name: str = "webhooks.jsonl") -> Path:
    path = folder / name
    path.write_bytes(b"\n".join(map(orjson.dumps, payloads)) + b"\n")
    return path


def read(folder: Path, *payloads: Mapping[str, Any]) -> list[Batch]:
    return parsing.batches(SOURCE, written(folder, *payloads))


def observed(folder: Path, *payloads: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = read(folder, *payloads)
    assert letters(found) == []
    return rows(found)


def told(folder: Path, *payloads: Mapping[str, Any]) -> list[dict[str, Any]]:
    ours = [shared("Support", direct_token=phone(f"+{COMPANY}"))]
    return parsing.interactions(read(folder, *payloads), ours)


def handle(name: str, namespace: str) -> str | None:
    return parsing.IDENTIFIERS.handle(name, namespace).token


def test_a_message_of_whatsapp_comes_in_from_the_customers_number_to_ours(tmp_path: Path) -> None:
    (row,) = told(tmp_path, received(wrote()))

    assert (row["channel"], row["direction"], row["token"]) == ("chat", "inbound", phone(f"+{MAIJA}"))
    assert (row["started_at"], row["team"]) == (datetime(2024, 3, 5, 9), "Support")


def test_what_a_customer_and_one_number_write_on_a_local_day_is_one_interaction(tmp_path: Path) -> None:
    hour = 3600
    day = [received(wrote()), received(wrote(NINE + 12 * hour)), received(wrote(NINE + 1, **{"from": "358407654321"}))]
    in_helsinki_tomorrow = received(wrote(NINE + 13 * hour))
    to_another_number = received(wrote(NINE + 2), number="358942450001")

    found = observed(tmp_path, *day, in_helsinki_tomorrow, to_another_number)

    assert len({row["session_id"] for row in found}) == 4
    assert found[0]["session_id"] == found[1]["session_id"]
    (first, *_) = [row for row in told(tmp_path, *day) if row["token"] == phone(f"+{MAIJA}")]
    assert (first["started_at"], first["ended_at"]) == (datetime(2024, 3, 5, 9), datetime(2024, 3, 5, 21))


def test_no_number_stands_in_a_fact_not_even_in_base64(tmp_path: Path) -> None:
    (row,) = observed(tmp_path, received(wrote()))

    assert row["event_id"] is None
    for value in map(str, row.values()):
        assert MAIJA not in value
        assert WAMID[10:-4] not in value


def test_the_same_webhook_delivered_again_counts_once(tmp_path: Path) -> None:
    assert len(told(tmp_path, received(wrote()), received(wrote()))) == 1


def test_a_customer_without_a_number_is_known_by_the_id_that_whatsapp_gave(tmp_path: Path) -> None:
    nameless = {key: value for key, value in wrote(from_user_id="FI.77").items() if key != "from"}

    assert [row["token"] for row in told(tmp_path, received(nameless))] == [handle("FI.77", "whatsapp")]


@pytest.mark.parametrize("kind", ["reaction", "system"])
def test_reactions_and_news_of_numbers_are_no_messages(tmp_path: Path, kind: str) -> None:
    assert [row["session_id"] is None for row in observed(tmp_path, received(wrote(type=kind), wrote()))] == [False]


def test_echoes_of_the_app_go_out_in_the_same_conversation(tmp_path: Path) -> None:
    echo = {"from": COMPANY, "to": MAIJA, "id": WAMID, "timestamp": str(NINE + 60), "type": "text"}
    echoes = webhook(news("smb_message_echoes", message_echoes=[echo]))

    outgoing = observed(tmp_path, echoes)[0]
    (row,) = told(tmp_path, received(wrote()), echoes)

    assert (outgoing["direction"], outgoing["to_token"]) == ("outbound", phone(f"+{MAIJA}"))
    assert (row["direction"], row["ended_at"]) == ("inbound", datetime(2024, 3, 5, 9, 1))


def test_of_statuses_only_failures_are_told_and_they_are_no_interactions(tmp_path: Path) -> None:
    status = {"id": WAMID, "timestamp": str(NINE), "recipient_id": MAIJA}
    statuses = [{**status, "status": word} for word in ("sent", "delivered", "read", "failed")]

    (row,) = observed(tmp_path, webhook(news(statuses=statuses)))

    assert (row["direction"], row["to_token"], row["automated"]) == ("outbound", phone(f"+{MAIJA}"), True)
    assert told(tmp_path, webhook(news(statuses=statuses))) == []
    assert len(told(tmp_path, webhook(news(statuses=statuses)), received(wrote()))) == 1


# Messenger and Instagram


@pytest.mark.parametrize(("object_", "network"), [("page", "messenger"), ("instagram", "instagram")])
def test_messages_of_a_social_network_come_in_and_echoes_go_out(tmp_path: Path, object_: str, network: str) -> None:
    echo = {"mid": "m_2", "is_echo": True, "app_id": 5}
    answer = event(NINE + 60, sender={"id": "p1"}, recipient={"id": "c7"}, message=echo)

    found = observed(tmp_path, page(event(), answer, object_=object_))
    (row,) = told(tmp_path, page(event(), answer, object_=object_))

    assert [(each["direction"], each["event_id"]) for each in found] == [("inbound", f"m_{NINE}"), ("outbound", "m_2")]
    assert (row["channel"], row["token"]) == ("social", handle("c7", network))
    assert (row["started_at"], row["ended_at"]) == (datetime(2024, 3, 5, 9), datetime(2024, 3, 5, 9, 1))


def test_what_is_no_message_is_passed_over(tmp_path: Path) -> None:
    events = [
        {**event(), "message": None, "read": {"mid": "m_1"}},
        {**event(), "message": None, "postback": {"title": "secret"}},
        event(message={"mid": "m_1", "is_deleted": True}),
    ]
    found = read(tmp_path, page(*events), webhook({"field": "feed", "value": {"item": "comment"}}, object_="page"))

    assert rows(found) == []
    assert [warning for batch in found for warning in batch.warnings] == [
        "webhooks.jsonl: 2 of its records tell of no conversation and were passed over"
    ]


def test_messages_of_instagram_may_stand_in_changes(tmp_path: Path) -> None:
    change = {"field": "messages", "value": {**event(), "timestamp": str(NINE)}}

    other = {"field": "message_edit", "value": event()}

    (row,) = observed(tmp_path, webhook(change, other, object_="instagram"))

    assert (row["from_token"], row["started_at"]) == (handle("c7", "instagram"), datetime(2024, 3, 5, 9))


# Forms


def test_webhooks_are_recognised_by_what_they_are_of(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("1", "2", "3", "4")]
    paths[0].write_bytes(orjson.dumps(received(wrote())))
    paths[1].write_bytes(orjson.dumps([page(event())]))
    paths[2].write_bytes(orjson.dumps(page(event(), object_="instagram")) * 2)
    paths[3].write_bytes(orjson.dumps(received(wrote(text={"body": "x" * 100_000}))))

    assert {parsing.recognised(path) for path in paths} == {"meta"}
    assert [len(rows(parsing.batches(SOURCE, path))) for path in paths] == [1, 1, 2, 1]


def test_a_message_that_cannot_be_used_is_a_dead_letter_and_its_neighbours_are_none(tmp_path: Path) -> None:
    found = read(tmp_path, received(wrote(), wrote(timestamp="soon"), wrote(NINE + 1)), {"object": "toaster"})

    assert len(rows(found)) == 2
    assert [(letter.raw_id, letter.reason[:30]) for letter in letters(found)] == [
        ("tried:webhooks.jsonl:1#2", "started_at: found nothing; exp"),
        ("tried:webhooks.jsonl:2", "object: expected one of whatsa"),
    ]
    for letter in letters(found):
        assert "secret" not in letter.raw_text
        assert MAIJA[3:] not in letter.raw_text
    assert sum(batch.record_count for batch in found) == 4


def test_there_is_nothing_to_map(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="have nothing to map; leave it out"):
        parsing.batches(SOURCE, written(tmp_path, received(wrote())), {"from": "sender"})


def test_what_stands_before_the_break_of_a_document_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "webhooks.json"
    path.write_bytes(orjson.dumps([page(event()), page(event(NINE + 1))])[:-40])
    found: list[Batch] = []

    with pytest.raises(InvalidRecord, match="no valid JSON after record 1; export it again"):
        found.extend(SOURCE.read(path, parsing.context(path)))

    assert [row["event_id"] for row in rows(found)] == [f"m_{NINE}"]


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_raise_nothing_but_invalid_record(tmp_path: Path, data: st.DataObject) -> None:
    failed = {"id": WAMID, "timestamp": str(NINE), "recipient_id": MAIJA, "status": "failed"}
    whole = written(tmp_path, received(wrote()), webhook(news(statuses=[failed])), page(event())).read_bytes()
    path = tmp_path / "damaged"
    path.write_bytes(parsing.damaged(whole, data))

    parsing.assert_survives(SOURCE, path)
