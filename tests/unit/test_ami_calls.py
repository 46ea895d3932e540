"""Channel events are handed on call by call: whole, once, beside what they are understood by, in bounded memory."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from pipeline.ami import Line, line_of
from pipeline.ami_calls import QUIET, Calls, Stretch

NUMBERS = count()


def event(call: str, name: str, channel: str = "1.1") -> Line:
    """Return an event that no other one is equal to."""
    fields = {"event": "CEL", "eventname": name, "linkedid": call, "uniqueid": channel, "appdata": str(next(NUMBERS))}
    line = line_of(fields)
    assert line is not None
    return line


def handed_on(stretch: Stretch | None) -> list[str]:
    """Return the lines of a stretch that are handed on."""
    if stretch is None:
        return []
    lines = stretch.content.decode().split("\n")
    return [line for number, line in enumerate(lines[1:], 2) if stretch.place(str(number)) is not None]


def texts(lines: Sequence[Line]) -> list[str]:
    return [line.text for line in lines]


def test_a_call_is_handed_on_when_it_has_ended_and_not_before() -> None:
    calls = Calls(10**6)
    lines = [event("a", name) for name in ("CHAN_START", "ANSWER", "CHAN_END", "LINKEDID_END")]
    other = event("b", "CHAN_START", "2.1")
    for line in (lines[0], other, *lines[1:3]):
        calls.hear(line, 0)
        assert calls.due(0) is None
    calls.hear(lines[3], 0)
    assert handed_on(calls.due(0)) == texts(lines)
    calls.told()
    assert calls.due(0) is None
    assert handed_on(calls.due(0, everything=True)) == [other.text]


def test_a_call_of_which_nothing_is_heard_is_handed_on_and_what_follows_is_understood_by_it() -> None:
    calls = Calls(10**6)
    entered, left, ended = event("a", "BRIDGE_ENTER"), event("a", "BRIDGE_EXIT"), event("a", "LINKEDID_END")
    calls.hear(entered, 0)
    assert calls.due(QUIET - 1) is None
    assert handed_on(calls.due(QUIET)) == [entered.text]
    calls.told()
    calls.hear(left, QUIET + 1)
    calls.hear(ended, QUIET + 1)
    stretch = calls.due(QUIET + 1)
    assert handed_on(stretch) == [left.text, ended.text]
    assert stretch is not None
    assert entered.text in stretch.content.decode()


def test_an_ended_call_is_kept_while_a_channel_of_it_goes_on_in_another() -> None:
    calls = Calls(10**6)
    entered = event("consultation", "BRIDGE_ENTER", "3.1")
    for line in (entered, event("consultation", "LINKEDID_END", "2.1")):
        calls.hear(line, 0)
    assert calls.due(0) is not None
    calls.told()
    left = [event("first", name, "3.1") for name in ("BRIDGE_EXIT", "CHAN_END", "LINKEDID_END")]
    for line in left:
        calls.hear(line, 1)
    stretch = calls.due(1)
    assert handed_on(stretch) == texts(left)
    assert stretch is not None
    assert entered.text in stretch.content.decode()
    calls.told()
    assert calls._kept == []


def test_an_event_of_no_call_is_handed_on_at_once() -> None:
    calls = Calls(10**6)
    line = event("", "USER_DEFINED", "")
    calls.hear(line, 0)
    assert handed_on(calls.due(0)) == [line.text]


@given(st.randoms(use_true_random=False), st.integers(300, 5_000))
def test_each_event_is_handed_on_once_in_order_and_no_more_is_kept_than_there_is_room_for(
    chance: random.Random, most_bytes: int
) -> None:
    calls = Calls(most_bytes)
    told: list[str] = []
    heard: list[str] = []
    for now in range(60):
        channel = str(chance.randrange(6))
        line = event(
            chance.choice("abcd"), chance.choice(("CHAN_START", "CHAN_END", "LINKEDID_END", "ANSWER")), channel
        )
        heard.append(line.text)
        calls.hear(line, now * chance.choice((1, 100)))
        if stretch := calls.due(now):
            found = handed_on(stretch)
            assert found
            assert sorted(found, key=heard.index) == found
            told += found
            calls.told()
        assert sum(kept.size for kept in calls._kept) <= most_bytes
    told += handed_on(calls.due(10**6, everything=True))
    assert sorted(told) == sorted(heard)
