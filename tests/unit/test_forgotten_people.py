"""What comes again of somebody who was forgotten counts, and names no one: at ingest, in an engine, in a live store."""

from __future__ import annotations

import stat
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.correlation import Correlator
from pipeline.engine import Engine
from pipeline.engine_state import EngineState
from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.forgetting import NOBODY, Forgotten, identities, token_of
from pipeline.identifiers import Identifiers
from schemas.settings import EngineSettings
from schemas.topics import CHECKPOINTS, DEAD_LETTERS, FACTS, OUTCOMES
from sinks.erasure.erasing import erase
from sinks.forgotten_list import add, load
from sinks.live import LiveStore, open_live
from sinks.store import Store
from tests.forgotten_person import ANNA, GIVEN, HERS, KEY, SECRET, files, texts
from tests.live import LIVE_RUN, SETTINGS, log_of, script_of
from tests.memory_log import MemoryLog
from tests.records import account, activity, call, contact, email, person, progress, tables, user
from tests.stores import shown

FACTS_OF_TWO = [
    call("pbx:1", "09:00", customer="Tok-anna", ours="201"),
    call("pbx:2", "10:00", customer="Tok-bob", ours="201"),
    email("mail:1", "11:00", "Tok-r1", ["Tok-anna", "Tok-bob"], domains={"Tok-anna": "Dom-anna", "Tok-bob": "Dom-bob"}),
    contact("contact-of-anna", "Tok-anna", account="account-of-anna"),
    contact("contact-of-bob", "Tok-bob", "Tok-anna", account="account-of-bob"),
    account("account-of-anna", "Tok-anna"),
    activity("a1", "09:05", contacts=["contact-of-anna", "contact-of-bob"], accounts=["account-of-anna"]),
    activity("a2", "09:05", "ticket", tokens=["Tok-anna", "Tok-bob"]),
    person("r1", extension="201", email_token="Tok-r1"),
    user("u1", "Tok-r1"),
    progress("12:00", day=9),
    shown("Tok-anna", "masked-anna"),
]


def of_anna() -> Forgotten:
    return Forgotten(KEY, Forgotten(KEY).with_more(["Tok-anna"], ["contact-of-anna", "account-of-anna"]))


def test_facts_of_the_forgotten_count_and_name_no_one() -> None:
    before = tables(FACTS_OF_TWO)

    after = of_anna().blanked(before)

    assert "anna" not in str({kind: table.to_pylist() for kind, table in after.items()})
    assert after["observation"].num_rows == before["observation"].num_rows
    assert after["observation"].column("from_token").to_pylist()[:2] == [NOBODY, "Tok-bob"]
    assert after["contact"].to_pylist() == [{**before["contact"].to_pylist()[1], "tokens": ["Tok-bob"]}]
    (first, second) = after["activity"].to_pylist()
    assert (first["contact_ids"], first["account_ids"]) == (["contact-of-bob"], [])
    assert second["tokens"] == ["Tok-bob"]
    for kind, table in after.items():
        assert table.schema.equals(before[kind].schema)


def test_facts_of_others_are_left_as_they_are() -> None:
    before = tables(FACTS_OF_TWO)
    stranger = Forgotten(KEY, Forgotten(KEY).with_more(["Tok-unheard-of"]))
    for forgotten in (Forgotten(KEY), stranger):
        assert forgotten.blanked(before) == before


def test_the_list_holds_digests_that_another_key_does_not_know() -> None:
    forgotten = of_anna()
    assert forgotten.holds("token", "Tok-anna")
    assert not forgotten.holds("id", "Tok-anna")
    assert not Forgotten(b"another", forgotten.digests).holds("token", "Tok-anna")
    assert "anna" not in str(forgotten.digests)


def test_the_list_is_kept_beside_the_key_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "bypassflow.key.forgotten"
    assert not load(path, KEY)

    add(path, KEY, ["Tok-anna"])
    add(path, KEY, ["Tok-bob"], ["contact-of-bob"])

    known = load(path, KEY)
    assert known.among("token", ["Tok-anna", "Tok-bob", "Tok-eve", None]) == {"Tok-anna", "Tok-bob"}
    assert known.holds("id", "contact-of-bob")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "Tok-" not in path.read_text()


def test_a_damaged_list_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "bypassflow.key.forgotten"
    add(path, KEY, ["Tok-anna"])
    path.write_text(path.read_text() + "half a dig\n")
    with pytest.raises(ConfigurationError, match="line 3: no digest"):
        load(path, KEY)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("+358 40 123 4567", "phone"), ("0401234567", "phone"), ("whatsapp:+358401234567", "phone"),
        ("Anna <Anna@Example.fi>", "email"), ("instagram:anna.k", "handle"), ("whatsapp:anna", "handle"),
    ],
)  # fmt: skip
def test_identifiers_are_read_as_sources_write_them(text: str, kind: str) -> None:
    known = Identifiers(b"key")
    expected = {
        "phone": known.phone("+358401234567"), "email": known.email("anna@example.fi"),
        "handle": known.handle(text.partition(":")[2], text.partition(":")[0]),
    }  # fmt: skip
    assert token_of(known, text).token == expected[kind].token


@pytest.mark.parametrize("text", ["Anna Virtanen", "201", "anonymous", "@@@@"])
def test_what_is_no_identifier_is_not_told_again(text: str) -> None:
    with pytest.raises(InvalidRecord) as caught:
        token_of(Identifiers(b"key"), text)
    assert text not in str(caught.value)
    with pytest.raises(ConfigurationError, match="identifier 2"):
        identities(["0401234567", text], Identifiers(b"key"))


class Watched(Engine):
    """An engine that shows its state."""

    def texts(self) -> str:
        state: EngineState = self.save()
        return str({name: table.to_pylist() for name, table in state.tables.items()})


def test_an_engine_that_is_restored_or_rebuilt_knows_no_one_who_was_forgotten() -> None:
    script = script_of(files())
    log = log_of({FACTS: script.topics[FACTS]}, MemoryLog({FACTS: 1, OUTCOMES: 1, DEAD_LETTERS: 1, CHECKPOINTS: 1}))
    marks = [*ANNA, "contact-of-anna", "account-of-anna", "domain-of-anna"]
    forgotten = Forgotten(KEY, Forgotten(KEY).with_more(ANNA, ["contact-of-anna", "account-of-anna"]))
    made: list[Watched] = []

    def make(settings: EngineSettings) -> Watched:
        made.append(Watched(settings))
        return made[-1]

    first = Correlator(SETTINGS, 0, log, make_engine=make)
    first.start()
    first.catch_up()
    assert [mark for mark in marks if mark not in made[-1].texts()] == []

    rebuilt = Correlator(SETTINGS, 0, log, make_engine=make, clean=forgotten.blanked)
    assert rebuilt.start().checkpoint is None
    assert [mark for mark in marks if mark in made[-1].texts()] == []
    Correlator(SETTINGS, 0, log, make_engine=make).start()
    first = Correlator(SETTINGS, 0, log, make_engine=make)
    first.start()
    first.checkpoint()

    restored = Correlator(SETTINGS, 0, log, make_engine=make, clean=forgotten.blanked)
    assert restored.start().checkpoint is not None
    assert [mark for mark in marks if mark in made[-1].texts()] == []
    script.ingest("pbx", "new.csv", [call("pbx:new.csv:1", "18:00", customer=ANNA[0], ours="201", key="call-later")])
    log_of({FACTS: script.topics[FACTS]}, log)
    restored.catch_up()
    assert [mark for mark in marks if mark in made[-1].texts()] == []


def applied(live: LiveStore, log: MemoryLog) -> None:
    entries = {
        topic: list(log.read(topic, 0, live.progress.offsets[topic], log.end(topic, 0)))
        for topic in (FACTS, OUTCOMES, DEAD_LETTERS)
    }
    live.apply(entries[FACTS], entries[OUTCOMES], entries[DEAD_LETTERS])


def interactions(store: Store) -> list[dict[str, object]]:
    return store.rows("SELECT channel, started_at, representative_id FROM interactions ORDER BY ALL")


def test_what_a_log_still_brings_of_the_forgotten_neither_doubles_nor_names_them(tmp_path: Path) -> None:
    path, script = tmp_path / "live.duckdb", script_of(files(), messages=4)
    log = log_of(script.topics)
    with open_live(path, LIVE_RUN, 0) as live:
        applied(live, log)
        expected = interactions(live.store)
    forgotten = Forgotten(KEY, Forgotten(KEY).with_more(GIVEN))
    kept: list[frozenset[str]] = []
    erase(path, tmp_path / "erased.duckdb", forgotten, SECRET, keep=lambda p: kept.append(p.tokens | p.ids))
    everything = Forgotten(KEY, forgotten.with_more(kept[0], kept[0]))
    (tmp_path / "erased.duckdb").replace(path)

    # Correlate comes back from nothing, folds all again without them, and says it all anew.
    again = log_of({FACTS: script.topics[FACTS]}, MemoryLog({FACTS: 1, OUTCOMES: 1, DEAD_LETTERS: 1, CHECKPOINTS: 1}))
    correlator = Correlator(SETTINGS, 0, again, clean=everything.blanked)
    correlator.start()
    correlator.catch_up()
    with Store.open(path, read_only=False) as store:
        store.connection.execute("DELETE FROM position")
    with open_live(path, LIVE_RUN, 0, forgotten=everything) as live:
        applied(live, again)
        assert interactions(live.store) == expected
        assert not [row for row in live.store.rows("FROM accounts") if row["unaccounted_count"]]
        live.settle()

    found = texts(path)
    # A message to somebody else too keeps its own name.
    assert [mark for mark in [*ANNA, *HERS] if mark in found] == []


def test_a_new_store_that_follows_an_old_log_names_no_one_who_was_forgotten(tmp_path: Path) -> None:
    path, log = tmp_path / "live.duckdb", log_of(script_of(files()).topics)
    with open_live(tmp_path / "all.duckdb", LIVE_RUN, 0) as live:
        applied(live, log)
        expected = interactions(live.store)
    everything = Forgotten(KEY, Forgotten(KEY).with_more(ANNA, ["contact-of-anna", "account-of-anna"]))

    with open_live(path, LIVE_RUN, 0, forgotten=everything) as live:
        applied(live, log)
        assert interactions(live.store) == expected

    found = texts(path)
    marks = [*ANNA, "contact-of-anna", "account-of-anna", "domain-of-anna", "masked-Tok-anna"]
    assert [mark for mark in marks if mark in found] == []


def test_an_arrow_table_without_rows_is_blanked_too() -> None:
    empty = {kind: table.slice(0, 0) for kind, table in tables(FACTS_OF_TWO).items()}
    assert of_anna().blanked(empty) == empty
    assert isinstance(of_anna().blanked({"observation": tables(FACTS_OF_TWO)["observation"]})["observation"], pa.Table)
