"""One worker of the live pipeline: what it says, how it goes on, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import pytest

from pipeline.correlation import Correlator, Limits
from pipeline.errors import ConfigurationError, Fenced, TransientError
from pipeline.lanes import latest
from pipeline.outcomes import Group, OutcomeReader
from schemas.log import Draft, Entry
from schemas.packing import Pack, pack, unpack
from schemas.settings import EngineSettings
from schemas.topics import CHECKPOINTS, FACTS, OUTCOMES
from tests.memory_log import MemoryLog
from tests.records import DAY, MONDAY, Fact, activity, call, contact, person, progress, tables
from tests.worlds import Ledger

RULES = EngineSettings(company_id="acme")
TOPICS = {FACTS: 1, OUTCOMES: 1, CHECKPOINTS: 1}
REMEDY = "reset the live topics and replay"
WHO = [person("r1", extension="201"), contact("c1", "T-anna"), progress("09:00", day=40)]


class Broker(MemoryLog):
    """A log that remembers what was read of it."""

    def __init__(self) -> None:
        super().__init__(TOPICS, now_ms=4_000_000_000_000)
        self.was_read: list[tuple[str, int]] = []

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[Entry]:
        for entry in super().read(topic, partition, start, stop):
            self.was_read.append((topic, entry.offset))
            yield entry

    def damage(self, topic: str, offset: int) -> None:
        (entry,) = super().read(topic, 0, offset, offset + 1)
        assert entry.value is not None
        value = bytearray(entry.value)
        value[-1] ^= 1
        self._entries(topic, 0)[offset] = Entry(offset, bytes(value), entry.key)

    def publish(self, *facts: Fact, company: str = "acme") -> Entry:
        return self.write(pack(Pack({"type": "facts", "company_id": company}, tables(facts))))

    def write(self, value: bytes) -> Entry:
        (offset,) = self.append([Draft(FACTS, 0, value)])
        return next(super().read(FACTS, 0, offset, offset + 1))

    def pass_time(self, seconds: int = 70) -> list[Entry]:
        """Let so much time pass, in messages that say nothing."""
        found = []
        for _ in range(0, seconds, 10):
            self.now_ms += 10_000
            found.append(self.publish())
        return found

    def publish_lanes(self, seconds: int, **lanes: Fact) -> Entry:
        """Publish a fact of each lane, so many seconds after the message before."""
        self.now_ms += 1000 * seconds
        reached = {name: latest(tables([item])) for name, item in lanes.items()}
        return self.write(pack(Pack({"type": "facts", "company_id": "acme", "lanes": reached}, tables(lanes.values()))))

    def groups(self) -> list[Group]:
        reader = OutcomeReader("acme")
        entries = super().read(OUTCOMES, 0, 0, self.end(OUTCOMES, 0))
        return [group for entry in entries if (group := reader.feed(entry)) is not None]

    def ledger(self) -> Ledger:
        ledger = Ledger()
        for group in self.groups():
            ledger.apply(group)
        return ledger


def worker(log: Broker, rules: EngineSettings = RULES, limits: Limits | None = None) -> Correlator:
    found = Correlator(rules, 0, log, limits=limits)
    found.start()
    return found


def calls(count: int, day: int = 0) -> list[Fact]:
    return [call(f"pbx:{day}.{number}", MONDAY + day * DAY + timedelta(minutes=number)) for number in range(count)]


def bounds(groups: Iterable[Group]) -> list[tuple[int, int]]:
    return [(group.first, group.last) for group in groups]


def published(log: Broker, batches: Sequence[Sequence[Fact]]) -> list[Entry]:
    return [log.publish(*batch) for batch in batches]


def test_messages_handed_over_together_are_one_group() -> None:
    log = Broker()
    one, two = log.publish(*WHO), log.publish(*calls(2))

    told = worker(log).fold([one, two])

    assert (told.message_count, told.fact_count, told.group_count) == (2, 5, 1)
    assert bounds(log.groups()) == [(0, 1)]
    assert len(log.ledger().interactions) == 2


def test_a_group_that_changes_nothing_is_said_all_the_same() -> None:
    log = Broker()
    correlator = worker(log)
    correlator.fold([log.publish(*calls(1))])

    correlator.fold([log.publish(*calls(1))])

    assert bounds(log.groups()) == [(0, 0), (1, 1)]
    assert log.groups()[1].tables == {}


def test_messages_that_were_said_are_skipped() -> None:
    log = Broker()
    entries = published(log, [calls(1), calls(1, day=1)])
    correlator = worker(log)
    correlator.fold(entries)

    told = correlator.fold([*entries, log.publish(*calls(1, day=2))])

    assert (told.skipped_count, told.message_count) == (2, 1)
    assert correlator.fold(entries).group_count == 0
    assert bounds(log.groups()) == [(0, 1), (2, 2)]


def test_messages_that_nobody_handed_over_are_read() -> None:
    log = Broker()
    entries = published(log, [calls(1, day) for day in range(4)])

    worker(log).fold([entries[3]])

    assert bounds(log.groups()) == [(0, 3)]
    assert len(log.ledger().interactions) == 4


def test_a_worker_catches_up_with_what_stands_in_the_log() -> None:
    log = Broker()
    published(log, [calls(2, day) for day in range(4)])

    told = worker(log, limits=Limits(group_facts=4)).catch_up()

    assert told.group_count == 2
    assert bounds(log.groups()) == [(0, 1), (2, 3)]


def test_offsets_may_have_gaps() -> None:
    log = Broker()
    log.publish(*calls(1))
    log.skip(FACTS, 0, 3)
    entry = log.publish(*calls(1, day=1))
    log.skip(FACTS, 0, 2)
    correlator = worker(log)
    correlator.catch_up()
    correlator.fold([entry])

    told = worker(log).fold([log.publish(*calls(1, day=2))])

    assert told.message_count == 1
    assert bounds(log.groups()) == [(0, 4), (7, 7)]


def test_a_restart_says_nothing_anew() -> None:
    log = Broker()
    entries = published(log, [WHO, calls(3), calls(3, day=1)])
    worker(log).fold(entries)
    before = log.ledger()

    other = worker(log)
    told = other.fold([log.publish(activity("a1", MONDAY + timedelta(minutes=2), contacts=["c1"], owner="r1"))])

    assert other.position == 4
    assert told.change_count < 4
    assert log.ledger().interactions.keys() == before.interactions.keys()
    assert [row["outcome"] for row in log.ledger().interactions.values()].count("traced") == 1


def test_a_restart_reads_only_from_the_checkpoint_on() -> None:
    log = Broker()
    first = worker(log)
    first.fold(published(log, [WHO, *(calls(3, day) for day in range(5))]))
    manifest = first.checkpoint()
    first.fold([log.publish(*calls(3, day=5))])
    log.was_read.clear()

    other = Correlator(RULES, 0, log)
    recovery = other.start()

    assert recovery.checkpoint == manifest
    assert (recovery.message_count, recovery.fact_count, recovery.position) == (1, 3, 7)
    assert {offset for topic, offset in log.was_read if topic == FACTS} == {6}
    assert {offset for topic, offset in log.was_read if topic == OUTCOMES} == {manifest.epoch, 2, 3}
    assert other.sizes() == first.sizes()


def test_a_checkpoint_is_cut_into_chunks_and_the_two_slots_are_written_in_turn() -> None:
    log = Broker()
    first = worker(log, limits=Limits(chunk_bytes=1_000))
    slots = []
    for day in range(3):
        first.fold([log.publish(*calls(3, day))])
        slots.append(first.checkpoint())
    log.compact(CHECKPOINTS, 0)

    assert [manifest.slot for manifest in slots] == [0, 1, 0]
    assert len(slots[2].chunks) > 3
    assert Correlator(RULES, 0, log).start().checkpoint == slots[2]


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_a_checkpoint_that_is_half_written_leaves_the_one_before(kept: int) -> None:
    log = Broker()
    first = worker(log, limits=Limits(chunk_bytes=1_000))
    manifests = []
    for day in range(2):
        first.fold([log.publish(*calls(3, day))])
        manifests.append(first.checkpoint())
    log.fail_next_append(kept)
    with pytest.raises(TransientError):
        first.checkpoint()
    log.compact(CHECKPOINTS, 0)

    other = Correlator(RULES, 0, log, limits=Limits(chunk_bytes=1_000))

    assert other.start().checkpoint == manifests[1]
    assert other.checkpoint().slot == 0


def test_what_earlier_workers_left_is_swept_up() -> None:
    log, limits = Broker(), Limits(chunk_bytes=1_000)
    first = worker(log, limits=limits)
    first.fold([log.publish(*calls(3))])
    first.checkpoint()
    log.fail_next_append(3)
    with pytest.raises(TransientError):
        first.checkpoint()

    second = worker(log, limits=limits)
    for day in (1, 2):
        second.fold([log.publish(*calls(3, day))])
        manifest = second.checkpoint()
    log.compact(CHECKPOINTS, 0)

    left = [entry for entry in log.read(CHECKPOINTS, 0, 0, log.end(CHECKPOINTS, 0)) if entry.value is not None]
    epochs = {entry.key.split(b"/")[2] for entry in left if entry.key and entry.key.count(b"/") == 3}
    assert epochs == {str(manifest.epoch).encode()}


def test_a_checkpoint_that_is_damaged_leaves_the_one_before() -> None:
    log = Broker()
    first = worker(log)
    manifests = []
    for day in range(2):
        first.fold([log.publish(*calls(3, day))])
        manifests.append(first.checkpoint())
    log.damage(CHECKPOINTS, manifests[1].chunks[0])

    assert Correlator(RULES, 0, log).start().checkpoint == manifests[0]


def test_a_checkpoint_of_topics_that_were_made_anew_is_not_used() -> None:
    old = Broker()
    first = worker(old)
    first.fold(published(old, [calls(1, day) for day in range(5)]))
    first.checkpoint()
    new = Broker()
    new.now_ms = 7
    for entry in old.read(CHECKPOINTS, 0, 0, 99):
        new.append([Draft(CHECKPOINTS, 0, entry.value, entry.key)])
    worker(new).fold(published(new, [calls(2, day) for day in range(6)]))

    assert Correlator(RULES, 0, new).start().checkpoint is None


def test_a_worker_notices_that_another_one_took_over() -> None:
    log = Broker()
    zombie = worker(log)
    zombie.fold([log.publish(*calls(1))])
    entry = log.publish(*calls(1, day=1))
    owner = worker(log)
    owner.fold([entry])

    with pytest.raises(Fenced, match=r"claimed outcomes/0 at 2, after 0"):
        zombie.fold([entry])
    with pytest.raises(TransientError, match="start it again"):
        zombie.fold([entry])
    assert bounds(log.groups()) == [(0, 0), (1, 1)]


def test_a_worker_that_was_away_so_long_that_claims_expired_trusts_itself_no_more() -> None:
    log = Broker()
    zombie = worker(log)
    zombie.fold([log.publish(*calls(1))])
    entry = log.publish(*calls(1, day=1))
    owner = worker(log)
    owner.fold([entry])
    owner.checkpoint()
    log.expire(OUTCOMES, 0, log.end(OUTCOMES, 0))

    with pytest.raises(Fenced, match="not kept from 2 on"):
        zombie.fold([entry])
    assert owner.fold([log.publish(*calls(1, day=2))]).group_count == 1


def test_a_worker_that_lags_behind_what_others_need_is_fenced_and_not_told_to_replay() -> None:
    log = Broker()
    zombie = worker(log)
    entries = published(log, [calls(1, day) for day in range(3)])
    owner = worker(log)
    owner.fold(entries)
    owner.checkpoint()
    log.expire(FACTS, 0, 2)

    with pytest.raises(Fenced):
        zombie.fold(entries[2:])


def test_a_worker_that_another_one_replaced_writes_no_checkpoint() -> None:
    log = Broker()
    zombie = worker(log)
    zombie.fold([log.publish(*calls(1))])
    worker(log)

    with pytest.raises(Fenced):
        zombie.checkpoint()
    assert log.end(CHECKPOINTS, 0) == 0


def test_a_group_whose_last_part_is_missing_is_said_again() -> None:
    log = Broker()
    first = worker(log, limits=Limits(part_bytes=1))
    entry = log.publish(*calls(2))
    log.fail_next_append(2)
    with pytest.raises(TransientError):
        first.fold([entry])
    assert log.groups() == []

    other = worker(log)
    assert other.position == 0
    other.catch_up()
    assert bounds(log.groups()) == [(0, 0)]
    assert len(log.ledger().interactions) == 2


def test_a_message_that_is_damaged_counts_as_empty_and_is_named() -> None:
    log = Broker()
    entries = [log.publish(*calls(1)), log.write(b"BYPF nothing"), log.publish(*calls(1, day=1))]

    told = worker(log).fold(entries)

    assert told.damaged_count == 1
    assert log.groups()[0].damaged == (1,)
    assert len(log.ledger().interactions) == 2


def test_another_companys_facts_are_refused_and_never_passed_by() -> None:
    log = Broker()

    with pytest.raises(ConfigurationError, match=r"facts@0 is of company 'beta'.*prefix of its own"):
        worker(log).fold([log.publish(*calls(1), company="beta")])


def test_time_closes_at_full_hours_a_lateness_behind_the_latest_event_and_only_forward() -> None:
    log = Broker()
    correlator = worker(log)
    closed = []
    for start in ("10:20", "11:40", "09:00", "11:59", "12:01"):
        correlator.fold([log.publish(call(f"pbx:{start}", start)), *log.pass_time()])
        closed.append(correlator.closed_through)

    at = datetime(2024, 2, 26)
    assert closed == [at.replace(hour=hour) for hour in (10, 11, 11, 11, 12)]
    assert correlator.watermark == MONDAY + timedelta(hours=12, minutes=1)


def test_a_fact_from_far_ahead_of_its_message_does_not_move_time() -> None:
    log = Broker()
    log.now_ms = int((MONDAY - datetime(1970, 1, 1)).total_seconds() * 1000)
    correlator = worker(log)

    correlator.fold([log.publish(*calls(1), call("pbx:2080", MONDAY + 20_000 * DAY)), *log.pass_time()])

    assert correlator.watermark == MONDAY


def test_what_was_said_late_is_late_for_a_restarted_worker_too() -> None:
    log = Broker()
    first = worker(log)
    first.fold([log.publish(*WHO, *calls(1, day=30)), *log.pass_time()])
    told = first.fold([log.publish(*calls(2))])
    assert told.late_count == 2
    assert log.groups()[1].tables["late"].num_rows == 2

    other = worker(log)

    assert other.sizes() == first.sizes()
    assert other.closed_through == first.closed_through


def test_a_rebuild_folds_at_once_what_cannot_make_a_difference() -> None:
    log = Broker()
    first = worker(log)
    first.fold([log.publish(*WHO, *calls(1, day=30)), *log.pass_time()])
    today = MONDAY + 30 * DAY
    for number in range(5):
        first.fold([log.publish(activity(f"late{number}", "09:00"))])
    first.fold([log.publish(activity("moved", today))])
    moved = log.publish(activity("moved", "09:00", raw_id="crm:moved:2", updated_at=today + DAY))
    assert first.fold([moved]).late_count == 0, "a version of it was known"
    first.fold([log.publish(*calls(1, day=31))])

    other = Correlator(RULES, 0, log)
    recovery = other.start()

    assert recovery.fold_count == 3, "the one that closed time, those before the moved one, and it with those after it"
    assert other.sizes() == first.sizes()
    assert other.fold([log.publish(activity("moved", "09:00", raw_id="crm:moved:3", deleted=True))]).late_count == 0


def test_a_lane_that_was_read_far_ahead_makes_no_fact_of_another_one_late() -> None:
    log = Broker()
    correlator = worker(log)

    late_count = 0
    for place in range(30):
        behind = MONDAY + place * DAY
        ahead = MONDAY + 10 * place * DAY + timedelta(hours=2)
        entries = [
            log.publish_lanes(5, fast=call(f"gsm:{place}", ahead)),
            log.publish_lanes(5, slow=call(f"pbx:{place}", behind)),
        ]
        late_count += correlator.fold(entries).late_count

    assert late_count == 0
    assert correlator.closed_through is not None
    assert correlator.watermark is not None
    assert correlator.watermark <= behind
    assert len(log.ledger().interactions) == 60


@pytest.mark.parametrize("has_checkpoint", [True, False])
def test_a_restart_knows_how_far_each_lane_had_come(has_checkpoint: bool) -> None:
    log = Broker()
    first, other = worker(log), Correlator(RULES, 0, log)
    for place in range(8):
        day = MONDAY + place * DAY
        lasting = log.publish_lanes(10, fast=call(f"gsm:{place}", day + 90 * DAY), slow=call(f"pbx:{place}", day))
        first.fold([lasting])
    assert first.watermark is not None
    if has_checkpoint:
        first.checkpoint()

    other.start()
    assert other.watermark == first.watermark
    other.fold([log.publish_lanes(10, fast=call("gsm:99", MONDAY + 200 * DAY)) for _ in range(3)])

    assert other.watermark is not None
    assert first.watermark <= other.watermark <= MONDAY + 7 * DAY


def test_groups_of_an_earlier_version_leave_their_watermark() -> None:
    log = Broker()
    first = worker(log)
    first.fold([log.publish(*calls(1)), *log.pass_time()])
    (entry,) = log.read(OUTCOMES, 0, 1, 2)
    content = unpack(entry.value or b"")
    head = {name: value for name, value in content.head.items() if name != "lanes"}
    log.append([Draft(OUTCOMES, 0, pack(Pack({**head, "first": 8, "last": 8}, content.tables)))])
    log.publish()

    assert worker(log).watermark == MONDAY


def test_facts_that_are_no_longer_kept_stop_the_start_with_a_remedy() -> None:
    log = Broker()
    worker(log).fold(published(log, [calls(1, day) for day in range(3)]))
    log.expire(FACTS, 0, 1)

    with pytest.raises(ConfigurationError, match=rf"facts/0 is kept from 1 on, but 0 is needed.*{REMEDY}"):
        worker(log)


def test_facts_that_expired_before_they_were_folded_stop_the_worker() -> None:
    log = Broker()
    correlator = worker(log)
    entries = published(log, [calls(1, day) for day in range(3)])
    log.expire(FACTS, 0, 2)

    with pytest.raises(ConfigurationError, match=REMEDY):
        correlator.fold(entries[2:])


def test_outcomes_that_are_no_longer_kept_stop_the_start_with_a_remedy() -> None:
    log = Broker()
    worker(log).fold(published(log, [calls(1, day) for day in range(3)]))
    log.expire(OUTCOMES, 0, 2)

    with pytest.raises(ConfigurationError, match=rf"outcomes/0 is kept from 2 on.*{REMEDY}"):
        worker(log)


def test_history_may_expire_behind_a_checkpoint() -> None:
    log = Broker()
    first = worker(log)
    first.fold(published(log, [calls(1, day) for day in range(3)]))
    first.checkpoint()
    log.expire(FACTS, 0, 3)
    log.expire(OUTCOMES, 0, 2)

    assert worker(log).position == 3


def test_outcomes_that_tell_of_facts_which_are_not_there_stop_the_start() -> None:
    log, other = Broker(), Broker()
    worker(log).fold(published(log, [calls(1, day) for day in range(3)]))
    for entry in log.read(OUTCOMES, 0, 0, 9):
        other.append([Draft(OUTCOMES, 0, entry.value, entry.key)])

    with pytest.raises(ConfigurationError, match="ends at 0, but outcomes tell of facts up to 2"):
        worker(other)


@pytest.mark.parametrize("has_checkpoint", [True, False])
def test_other_settings_stop_the_start_when_something_was_said(has_checkpoint: bool) -> None:
    log = Broker()
    worker(log, RULES.model_copy(update={"too_short_seconds": 9.0}))
    first = worker(log)
    first.fold([log.publish(*calls(1))])
    if has_checkpoint:
        first.checkpoint()

    with pytest.raises(ConfigurationError, match="other settings"):
        worker(log, RULES.model_copy(update={"too_short_seconds": 9.0}))
    assert worker(log, RULES.model_copy(update={"lateness": DAY})).position == 1


def test_a_worker_that_did_not_start_does_nothing() -> None:
    log = Broker()
    with pytest.raises(TransientError, match="has not started"):
        Correlator(RULES, 0, log).fold([log.publish(*calls(1))])
