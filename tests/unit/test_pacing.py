"""How often each sender may ask: as often as agreed upon in the long run, a little more at once, and bounded memory."""

from __future__ import annotations

import pytest

from agents.receivers import pacing
from agents.receivers.pacing import Pace


def test_a_sender_may_ask_at_once_what_two_seconds_allow_and_then_as_time_passes() -> None:
    now = 0.0
    pace = Pace(10, lambda: now)
    assert [pace.wait("a") for _ in range(21)] == [0] * 20 + [1]
    assert pace.wait("b") == 0
    now = 0.1
    assert [pace.wait("a"), pace.wait("a")] == [0, 1]
    now = 100.0
    assert [pace.wait("a") for _ in range(21)] == [0] * 20 + [1]


def test_who_asks_again_and_again_is_not_kept_out_for_longer() -> None:
    now = 0.0
    pace = Pace(1, lambda: now)
    answers = []
    for tenth in range(100):
        now = tenth / 10
        answers.append(pace.wait("a"))
    assert answers.count(0) == 2 + 9


def test_senders_are_forgotten_when_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "_MOST_SENDERS", 3)
    pace = Pace(1, lambda: 0.0)
    for number in range(10):
        pace.wait(str(number))
    assert list(pace._left) == ["7", "8", "9"]
