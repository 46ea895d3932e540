"""The telephone traffic of a day: how many calls of each kind, and when.

All the shapes that make counting calls hard occur: legs that lose, a menu or voicemail that "answers",
transfers, calls sent on to a mobile phone, click-to-dial, and two calls of one switchboard at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from pipeline.simulation import numbers
from pipeline.simulation.company import Representative, Team
from pipeline.simulation.floor import Floor, national
from pipeline.simulation.inbound import come_to_group, come_to_person, come_to_queue
from pipeline.simulation.outbound import call_colleague, call_customer, call_uncounted
from pipeline.simulation.worktime import HOUR, MINUTE, Calendar, poisson

ATTEMPTS_PER_ANSWER: Final = 1.18
OUTBOUND_ATTEMPTS_PER_ANSWER: Final = 1.6
SATURDAY_LOAD: Final = 0.25
_TWIN_SHARE: Final = 0.05  # of calls from a switchboard: a colleague calls at the same moment
_INTERNAL_CALLS: Final = 2.0
_NEVER_LOGGED_CALLS: Final = 0.05
_EMERGENCY_CALLS: Final = 0.004


def play_calls(floor: Floor, calendar: Calendar, day: int) -> None:
    """Play one day's calls in the order of their beginnings. Sundays are quiet."""
    is_saturday = calendar.is_saturday(day)
    if not (is_saturday or calendar.is_workday(day)):
        return
    floor.open(day)
    load = SATURDAY_LOAD if is_saturday else 1.0
    actions: list[Callable[[int], None]] = []
    for team in floor.company.teams:
        if not is_saturday or team.profile.works_on_saturday:
            members = [p for p in team.members_on(day) if p in floor.present]
            actions.extend(_team_calls(floor, team, members, load))
    if not is_saturday:
        actions.extend(_other_calls(floor))
    if floor.company.teams[0].profile.access == "queue":
        floor.exchange.queue_event(None, calendar.at(day, 6 * HOUR + 25 * MINUTE), "NONE", "NONE", "QUEUESTART", "")
    times = sorted((calendar.at(day, calendar.busy_time(floor.rng)), order) for order in range(len(actions)))
    for at, order in times:
        actions[order](at)


def _team_calls(
    floor: Floor, team: Team, members: Sequence[Representative], load: float
) -> list[Callable[[int], None]]:
    rng, profile = floor.rng, team.profile
    inbound = profile.inbound_calls * ATTEMPTS_PER_ANSWER * load
    outbound = profile.outbound_calls * OUTBOUND_ATTEMPTS_PER_ANSWER * load
    calls: list[Callable[[int], None]] = []
    if profile.access == "direct":
        for member in members:
            calls += [partial(_call_person, floor, team, member)] * poisson(rng, inbound)
    else:
        calls += [partial(_call_team, floor, team, members)] * poisson(rng, inbound * len(members))
    for member in members:
        calls += [partial(_call_out, floor, team, member)] * poisson(rng, outbound)
    return calls


def _other_calls(floor: Floor) -> list[Callable[[int], None]]:
    rng, staff = floor.rng, len(floor.present)
    calls: list[Callable[[int], None]] = [partial(call_colleague, floor)] * poisson(rng, _INTERNAL_CALLS * staff)
    for number, rate in ((national(numbers.NEVER_LOGGED), _NEVER_LOGGED_CALLS), (numbers.EMERGENCY, _EMERGENCY_CALLS)):
        calls += [partial(call_uncounted, floor, dst=number)] * poisson(rng, rate * staff)
    return calls


def _call_team(floor: Floor, team: Team, members: Sequence[Representative], at: int) -> None:
    """Let somebody call a team, and sometimes a colleague of theirs at the same moment from the same number."""
    come = come_to_queue if team.profile.access == "queue" else come_to_group
    customer = floor.clientele.everybody.draw(floor.rng)
    come(floor, at, team, members, floor.caller(customer))
    if customer.switchboard and floor.rng.random() < _TWIN_SHARE:
        come(floor, at + floor.rng.randint(0, 40), team, members, floor.caller(customer))


def _call_person(floor: Floor, team: Team, member: Representative, at: int) -> None:
    come_to_person(floor, at, team, member)


def _call_out(floor: Floor, team: Team, member: Representative, at: int) -> None:
    call_customer(floor, at, team, member)
