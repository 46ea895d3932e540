"""A store that follows the log ends as a replay of the same records does, whatever is repeated, reordered or killed."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.errors import ConfigurationError
from pipeline.outcomes import Group
from schemas.log import Entry
from schemas.topics import DEAD_LETTERS, FACTS, OUTCOMES
from sinks.live import Applied, LiveStore
from sinks.placement import Placement
from sinks.store import RunRecord, Store
from tests.live import LIVE_RUN, Files, Script, live_store, replayed, script_of, shown_rows
from tests.records import account, activity, call, contact, email, person, progress, tables, user
from tests.stores import NOON, interaction_row, letter, outcomes, published, said, shown

FILES: Files = {
    ("pbx", "cdr.csv"): [
        call("pbx:cdr.csv:1", "10:00", key="s1", ours="201"),
        call("pbx:cdr.csv:2", "10:30", customer="T-bo", ours="202"),
        call("pbx:cdr.csv:3", "10:31", attempt="unanswered"),
        call("pbx:cdr.csv:4", "12:00", talk=2.0),
        call("pbx:cdr.csv:5", "13:00", customer=None, ours="201"),
        letter("pbx:cdr.csv:6"),
        shown("T-anna", "+358…67"),
    ],
    ("mail", "inbox"): [
        email("mail:inbox:0", "11:00", "T-anna", ["T-r1"], message_id="a@b"),
        email("mail:inbox:90", "11:00", "T-anna", ["T-r1"], message_id="a@b"),
        letter("mail:inbox:180", unit="byte"),
        shown("T-anna", "+358…67"),
        shown("T-r1", "r…1"),
    ],
    ("chat", "CHAT/0"): [call("evt-1", "14:00", customer="T-anna", ours="202").but(source="chat")],
    ("crm", "tasks.csv"): [
        contact("c1", "T-anna", account="k1"),
        contact("c2", "T-bo"),
        account("k1", segment="big"),
        user("u1", "T-r1"),
        activity("a1", "10:10", contacts=["c1"], owner="u1"),
        activity("a2", "11:30", "email", contacts=["c1"]),
        activity("a3-k1", "15:00", "note", accounts=["k1"]).but(raw_id="crm:a3"),
        activity("a3-k2", "15:00", "note", accounts=["k2"]).but(raw_id="crm:a3"),
        letter("crm:tasks.csv:9", is_raw_event=False),
        progress("23:00", day=9),
    ],
    ("directory", "directory.csv"): [
        person("r1", extension="201", email_token="T-r1"),
        person("r2", extension="202", team="Care"),
    ],
}  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bypass.duckdb"


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What a replay of the files shows."""
    with Store.open(replayed(tmp_path_factory.mktemp("replayed") / "replayed.duckdb", FILES)) as store:
        return shown_rows(store)


def apply_all(live: LiveStore, script: Script) -> Applied:
    return live.apply(script.topics[FACTS], script.topics[OUTCOMES], script.topics[DEAD_LETTERS])


def test_the_live_store_equals_a_replay_of_the_same_records(path: Path, expected: dict[str, list[str]]) -> None:
    script = script_of(FILES)
    with live_store(path) as live:
        applied = apply_all(live, script)
        assert shown_rows(live.store) == expected

    assert (
        applied.fact_count
        == sum(len(set(map(repr, items))) for items in FILES.values()) - applied.dead_letter_count - 1
    )  # one identifier stands in two files
    assert applied.dead_letter_count == 3
    with Store.open(path) as store:
        assert shown_rows(store) == expected


@pytest.mark.parametrize("seed", range(6))
def test_any_interleaving_of_the_topics_with_repetitions_gives_the_same(
    path: Path, seed: int, expected: dict[str, list[str]]
) -> None:
    chance = random.Random(seed)
    script = script_of(FILES, seed, messages=9)
    repeat_facts(script, chance)
    rest = {topic: list(entries) for topic, entries in script.topics.items()}
    live = live_store(path)
    while any(rest.values()):
        topic = chance.choice([name for name, entries in rest.items() if entries])
        count = chance.randint(1, 4)
        taken, rest[topic] = rest[topic][:count], rest[topic][count:]
        live.apply(**{topic.replace("-", "_"): taken})
        if chance.random() < 0.3:  # Delivered again, older ones too.
            live.apply(**{topic.replace("-", "_"): script.topics[topic][: taken[-1].offset + 1]})
        if chance.random() < 0.3:
            live.settle()
        if chance.random() < 0.2:
            live.close()
            live = live_store(path)

    assert shown_rows(live.store) == expected
    live.close()


def repeat_facts(script: Script, chance: random.Random) -> None:
    """Let facts messages stand in the log a second time, and the engine meet them again."""
    for entry in chance.sample(script.topics[FACTS], 3):
        assert entry.value is not None
        again = script.write(FACTS, entry.value)
        script.say(Group(again, again))


def test_positions_are_those_of_the_last_transaction(path: Path) -> None:
    script = script_of(FILES)
    with live_store(path) as live:
        live.apply(facts=script.topics[FACTS][:3])
        live.apply(outcomes=script.topics[OUTCOMES][:2])

    with live_store(path) as live:
        assert live.progress.offsets == {FACTS: 3, OUTCOMES: 2, DEAD_LETTERS: 0}
        assert live.progress.epoch == 0


def test_what_a_replaced_worker_says_counts_for_nobody(path: Path) -> None:
    script = Script()
    script.claim()
    old = script.epoch
    script.say(Group(0, 0, said([interaction_row("i1", "pending")]).tables))
    script.claim()
    script.say(Group(1, 1, said([interaction_row("i1", "bypassed"), interaction_row("i2")]).tables), old)
    script.say(Group(1, 1, said([interaction_row("i1", "traced")]).tables))
    with live_store(path) as live:
        for entry in script.topics[OUTCOMES]:
            live.apply(outcomes=[entry])

        assert outcomes(live.store) == {"i1": "traced"}


def test_a_group_counts_when_its_last_part_is_there(path: Path) -> None:
    script = Script()
    script.claim()
    script.say(Group(0, 0, said([interaction_row(f"i{n}") for n in range(4)]).tables), part_bytes=1)
    claim, *parts = script.topics[OUTCOMES]
    assert len(parts) == 4
    with live_store(path) as live:
        live.apply(outcomes=[claim, *parts[:3]])
        assert outcomes(live.store) == {}
        assert live.progress.offsets[OUTCOMES] == 1

    with live_store(path) as live:
        live.apply(outcomes=parts)
        assert len(outcomes(live.store)) == 4
        assert live.progress.offsets[OUTCOMES] == 5


def test_retracted_interactions_and_deleted_activities_go(path: Path) -> None:
    script = Script()
    script.claim()
    trace = {"activity_id": "a1", "status": "trace", "tier": "exact", "interaction_id": "i1"}
    script.say(Group(0, 0, said([interaction_row("i1"), interaction_row("i2")], activities=[trace]).tables))
    gone = said(retracted=["i1"], activities=[{"activity_id": "a1", "status": "deleted"}])
    script.say(Group(1, 1, gone.tables))
    with live_store(path) as live:
        live.apply(outcomes=script.topics[OUTCOMES])

        assert outcomes(live.store) == {"i2": "traced"}
        assert live.store.rows("FROM current_activity_outcome") == []


@pytest.mark.parametrize("fact_first", [True, False], ids=["the fact first", "the dead letter first"])
def test_a_record_that_was_retried_is_no_dead_letter_any_more(path: Path, fact_first: bool) -> None:
    script = Script()
    script.refuse(letter("pbx:cdr.csv:1"))
    script.refuse(letter("pbx:cdr.csv:2"))
    script.ingest("pbx", "cdr.csv", [call("pbx:cdr.csv:1", "10:00")])
    with live_store(path) as live:
        for topic in (FACTS, DEAD_LETTERS) if fact_first else (DEAD_LETTERS, FACTS):
            live.apply(**{topic.replace("-", "_"): script.topics[topic]})

        assert [row["raw_id"] for row in live.store.rows("FROM dead_letters")] == ["pbx:cdr.csv:2"]
        (account_row,) = live.store.rows("SELECT raw_count, rejected_count FROM accounts")
        assert account_row == {"raw_count": 2, "rejected_count": 1}


def test_a_record_that_was_refused_again_tells_the_newest_reason(path: Path) -> None:
    script = Script()
    script.refuse(letter("pbx:cdr.csv:1", reason="no start"))
    script.refuse(letter("pbx:cdr.csv:1", reason="no end"))
    with live_store(path) as live:
        for entry in script.topics[DEAD_LETTERS]:
            live.apply(dead_letters=[entry])

        assert [row["reason"] for row in live.store.rows("FROM dead_letters")] == ["no end"]
        assert live.store.rows("SELECT raw_count FROM accounts") == [{"raw_count": 1}]


def test_late_facts_are_counted_until_something_is_said_of_them(path: Path) -> None:
    script = Script()
    script.claim()
    script.ingest("pbx", "f", [call("pbx:f:1", "10:00"), call("pbx:f:2", "10:00")])
    late = pa.table({"raw_id": ["pbx:f:1", "pbx:f:2", "pbx:f:1"], "activity_id": pa.nulls(3, pa.string())})
    script.say(Group(0, 0, {"late": late}))
    script.say(Group(1, 1, said(dispositions=[{"raw_id": "pbx:f:2", "disposition": "duplicate"}]).tables))
    with live_store(path) as live:
        for entry in script.topics[OUTCOMES]:
            live.apply(script.topics[FACTS], [entry])
        for _ in range(2):
            (account_row,) = live.store.rows("SELECT late_count, duplicate_count, unaccounted_count FROM accounts")
            assert account_row == {"late_count": 1, "duplicate_count": 1, "unaccounted_count": 0}
            live.settle()
        assert live.store.rows("FROM late_fact") == [{"raw_id": "pbx:f:1", "activity_id": None}]


def test_a_damaged_message_of_facts_is_counted_and_passed(path: Path) -> None:
    script = Script()
    script.ingest("pbx", "f", [call("pbx:f:1", "10:00")])
    script.write(FACTS, b"BYPF\x01\x00nonsense")
    script.ingest("pbx", "f", [call("pbx:f:2", "10:00")])
    with live_store(path) as live:
        applied = live.apply(script.topics[FACTS])

        assert (applied.fact_count, applied.damaged_count) == (2, 1)
        assert live.progress.damaged_count == 1
    with live_store(path) as live:
        assert live.progress.damaged_count == 1


def test_another_companys_messages_are_refused_and_never_passed_by(path: Path) -> None:
    script = Script("globex")
    script.ingest("pbx", "f", [call("pbx:f:1", "10:00")])
    script.refuse(letter("pbx:f:2"))
    script.claim()
    given = script.topics
    with live_store(path) as live:
        for topic, arguments in (
            (FACTS, (given[FACTS],)), (OUTCOMES, ((), given[OUTCOMES])), (DEAD_LETTERS, ((), (), given[DEAD_LETTERS])),
        ):  # fmt: skip
            with pytest.raises(ConfigurationError, match=f"{topic}@0 is of company 'globex'"):
                live.apply(*arguments)
        assert live.progress.offsets == {FACTS: 0, OUTCOMES: 0, DEAD_LETTERS: 0}


def test_a_batch_that_fails_leaves_no_trace_and_the_next_one_goes_on(path: Path) -> None:
    script = Script()
    script.ingest("pbx", "f", [call("pbx:f:1", "10:00")])
    script.ingest("pbx", "g", [call("pbx:g:1", "10:00"), call("pbx:g:2", "10:00", channel="video")])
    script.ingest("pbx", "g", [call("pbx:g:3", "10:00")])
    one, odd, three = script.topics[FACTS]
    with live_store(path) as live:
        live.apply([one])
        with pytest.raises(ConfigurationError, match="unknown channel 'video'"):
            live.apply([odd])
        assert live.progress.offsets[FACTS] == 1
        live.apply([three])

        assert live.store.rows("SELECT file, record_count FROM files ORDER BY file") == [
            {"file": "f", "record_count": 1}, {"file": "g", "record_count": 1},
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"company_id": "globex"}, "is of company 'acme', not of 'globex'"),
        ({"key_digest": "k2"}, "was made with another key"),
    ],
)
def test_the_store_of_another_company_or_key_is_refused(path: Path, other: dict[str, str], sentence: str) -> None:
    live_store(path).close()

    with pytest.raises(ConfigurationError, match=sentence):
        live_store(path, RunRecord(**{**vars(LIVE_RUN), **other}))
    live_store(path).close()  # The lock was let go.


def test_a_run_is_recorded_when_it_differs_from_the_last_one(path: Path) -> None:
    live_store(path).close()
    later = RunRecord(**{**vars(LIVE_RUN), "started_at": NOON + timedelta(days=1)})
    live_store(path, later).close()
    live_store(path, RunRecord(**{**vars(later), "timezone": "UTC"})).close()

    with Store.open(path) as store:
        assert [row["timezone"] for row in store.rows("FROM runs")] == ["Europe/Helsinki", "UTC"]


def test_a_store_that_a_replay_made_is_taken_over(path: Path, expected: dict[str, list[str]]) -> None:
    with Store.open(replayed(path, FILES), read_only=False) as store:
        store.apply(said([interaction_row("never-said-live")], versions=[99]), 99)
    heard: list[str] = []
    script = script_of(FILES)
    script.say(Group(900, 900, said(retracted=["never-said-live"]).tables))
    with live_store(path, tell=heard.append) as live:
        apply_all(live, script)

        assert shown_rows(live.store) == expected
    assert len(heard) == 1
    live_store(path, tell=heard.append).close()
    assert len(heard) == 1


def test_a_damaged_log_of_writes_is_moved_aside_and_the_topics_heal_the_store(
    path: Path, expected: dict[str, list[str]]
) -> None:
    script = script_of(FILES)
    with live_store(path) as live:
        live.apply(script.topics[FACTS][:2])
        live.store.connection.execute("CHECKPOINT")
        apply_all(live, script)
        log = Placement(path).log
        assert log.exists()
        written, file = bytearray(log.read_bytes()), path.read_bytes()
    written[len(written) // 2] ^= 0xFF
    path.write_bytes(file)
    log.write_bytes(written)
    heard: list[str] = []
    with live_store(path, tell=heard.append) as live:
        assert live.progress.offsets[FACTS] == 2
        apply_all(live, script)

        assert shown_rows(live.store) == expected
    assert "moved to bypass.duckdb.wal.damaged-1" in heard[0]
    assert log.with_name(f"{log.name}.damaged-1").read_bytes() == written


def test_a_cut_off_log_of_writes_loses_its_end_alone(path: Path) -> None:
    script = script_of(FILES)
    with live_store(path) as live:
        live.apply(script.topics[FACTS][:2])
        log = Placement(path).log
        first = log.stat().st_size
        live.apply(script.topics[FACTS])
        written, file = log.read_bytes(), path.read_bytes()
    path.write_bytes(file)
    log.write_bytes(written[: first + 100])
    with live_store(path) as live:
        assert live.progress.offsets[FACTS] == 2


def test_the_view_of_another_thread_does_not_see_half_a_batch(path: Path) -> None:
    published(path)
    script = script_of(FILES)
    with live_store(path, RunRecord(**{**vars(LIVE_RUN), "settings": "{}"})) as live:
        reader = live.store.reader()
        reader.connection.execute("BEGIN TRANSACTION")
        assert reader.rows("FROM interactions") == []
        apply_all(live, script)
        assert reader.rows("FROM interactions") == []
        reader.connection.execute("COMMIT")
        assert reader.rows("FROM interactions") != []
        reader.close()


def test_an_entry_without_a_value_is_no_message_of_ours(path: Path) -> None:
    with live_store(path) as live:
        assert live.apply([Entry(0, None)]).damaged_count == 1
        assert tables([]) == {}
