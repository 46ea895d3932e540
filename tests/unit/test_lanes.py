"""How far event time has come: the slowest lane decides, when what it says has stood for a minute."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest

from pipeline import lanes as module
from pipeline.lanes import LaneReach, Lanes, latest
from tests.records import DAY, MONDAY, activity, call, contact, tables

NOON_MS = 4_000_000_000_000


def days(count: float) -> int:
    """Microseconds since 1970 of an event so many days after that Monday."""
    return (MONDAY + count * DAY - datetime(1970, 1, 1)) // timedelta(microseconds=1)


def after(told: Iterable[tuple[float, dict[str, float]]], lanes: Lanes | None = None) -> Lanes:
    """Hear messages: seconds, and how many days after Monday each lane has come."""
    lanes = lanes or Lanes()
    for second, reached in told:
        message = LaneReach(NOON_MS + round(second * 1000), {name: days(day) for name, day in reached.items()})
        lanes = lanes.after(message)
    return lanes


def every(seconds: float, start: float, stop: float, reached: dict[str, float]) -> list[tuple[float, dict[str, float]]]:
    count = round((stop - start) / seconds) + 1
    return [(start + place * seconds, reached) for place in range(count)]


def test_the_slowest_lane_decides() -> None:
    lanes = after(every(5, 0, 60, {"calls": 1, "activities": 200}))

    assert lanes.watermark == MONDAY + DAY


def test_the_slowest_lane_decides_when_each_message_is_of_one_lane() -> None:
    told: list[tuple[float, dict[str, float]]] = []
    for place in range(40):
        told += [(4 * place, {"calls": place / 10}), (4 * place + 2, {"activities": 30.0 * place})]

    lanes = after(told)

    assert lanes.watermark is not None
    assert MONDAY < lanes.watermark <= MONDAY + 4 * DAY


def test_nothing_is_said_before_the_first_minute_is_over() -> None:
    assert after(every(5, 0, 55, {"calls": 1})).watermark is None
    assert after(every(5, 0, 60, {"calls": 1})).watermark == MONDAY + DAY


def test_a_lane_that_is_first_heard_of_within_the_minute_holds_time_back() -> None:
    lanes = after([*every(5, 0, 20, {"activities": 200}), *every(5, 25, 90, {"activities": 210, "calls": 1})])

    assert lanes.watermark == MONDAY + DAY


def test_a_lane_that_is_idle_holds_nothing_back() -> None:
    lanes = after([(0, {"emails": 0}), *every(5, 5, 200, {"calls": 9})])

    assert lanes.watermark == MONDAY + 9 * DAY


def test_time_goes_only_forward() -> None:
    lanes = after([*every(5, 0, 100, {"calls": 9}), *every(5, 105, 300, {"emails": 2, "calls": 10})])

    assert lanes.watermark == MONDAY + 9 * DAY


def test_a_lane_that_goes_back_in_time_stays_where_it_was() -> None:
    lanes = after([(0, {"calls": 9}), *every(5, 5, 100, {"calls": 2})])

    assert lanes.watermark == MONDAY + 9 * DAY


@pytest.mark.parametrize("silence", [61, 3 * 3600, 9 * 24 * 3600])
def test_after_a_silence_of_all_lanes_the_first_that_speaks_does_not_decide(silence: float) -> None:
    before = after(every(5, 0, 100, {"calls": 1, "activities": 1}))
    begin = 100 + silence

    lanes = after([(begin, {"activities": 200}), (begin + 8, {"activities": 300})], before)
    lanes = after([*every(5, begin + 15, begin + 90, {"calls": 2, "activities": 300})], lanes)

    assert lanes.watermark == MONDAY + 2 * DAY


def test_lanes_that_were_idle_before_a_silence_are_waited_for_too() -> None:
    before = after([*every(5, 0, 100, {"calls": 1}), *every(5, 105, 400, {"emails": 1})])

    lanes = after([(9_000, {"activities": 200}), (9_010, {"emails": 3}), (9_030, {"calls": 2})], before)
    lanes = after(every(5, 9_035, 9_100, {"activities": 200, "emails": 4, "calls": 2}), lanes)

    assert lanes.watermark == MONDAY + 2 * DAY


def test_a_process_that_dies_again_and_again_after_its_first_message_does_not_move_time() -> None:
    lanes = after((hour * 3600, {"activities": 200}) for hour in range(5))

    assert lanes.watermark is None


def test_time_goes_on_where_messages_are_rare() -> None:
    lanes = after((hour * 3600, {"calls": hour / 24}) for hour in range(48))

    assert lanes.watermark is not None
    assert MONDAY + timedelta(hours=38) <= lanes.watermark < MONDAY + timedelta(hours=48)


def test_messages_without_event_times_let_time_pass() -> None:
    assert after([(0, {"calls": 1}), *every(5, 5, 60, {})]).watermark == MONDAY + DAY


def test_an_event_time_from_far_ahead_of_its_message_is_not_believed() -> None:
    lanes = after(every(5, 0, 100, {"calls": 1}))
    lanes = after(every(5, 105, 200, {"calls": 40_000, "emails": 40_000}), lanes)

    assert lanes.watermark == MONDAY + DAY
    assert "emails" not in lanes.lanes


def test_a_clock_of_the_broker_that_was_set_back_does_not_stop_time() -> None:
    lanes = after([(3_600, {"calls": 1}), *every(5, 0, 60, {"calls": 1})])

    assert lanes.watermark == MONDAY + DAY


def test_what_is_written_down_goes_on_as_if_nothing_had_happened() -> None:
    told = [*every(7, 0, 100, {"calls": 1, "activities": 50}), *every(7, 105, 220, {"calls": 2})]
    for place in range(len(told)):
        before = after(told[:place])
        again = Lanes.from_json(json.loads(json.dumps(before.to_json())), before.watermark)
        assert again == before
        assert after(told[place:], again) == after(told)


def test_where_nothing_was_written_down_the_watermark_stays() -> None:
    lanes = after(every(5, 0, 100, {"calls": 1}), Lanes.from_json(None, MONDAY + 5 * DAY))

    assert lanes.watermark == MONDAY + 5 * DAY


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FORGOTTEN", 3_600_000)

    lanes = after((5 * place, {f"calls/{place}": 1}) for place in range(2_000))

    assert len(lanes.lanes) <= 3_600 / 5 + 1
    assert len(lanes.proposals) <= 6


def test_the_latest_event_time_is_that_of_observations_and_activities() -> None:
    facts = tables([call("pbx:1", "09:00"), activity("a1", MONDAY + 2 * DAY), contact("c1", "T-anna")])

    assert latest(facts) == days(2)
    assert latest(tables([contact("c1", "T-anna")])) is None
