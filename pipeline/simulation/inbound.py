"""Calls that come in: through a menu and queue, to a ring group, or straight to somebody's telephone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from pipeline.simulation import numbers
from pipeline.simulation.company import Representative, Team
from pipeline.simulation.exchange import TRUNK, Call, Disposition, Frame, Side
from pipeline.simulation.floor import Floor, Party, national
from pipeline.simulation.transfers import Transfer, carry_out, plan_transfer

_MENU_DROP_SHARE: Final = 0.07
_MISSED_ROUND_SHARE: Final = 0.1
_GROUP_ANSWER_SHARE: Final = 0.86
_DIRECT_ANSWER_SHARE: Final = 0.82
_THROUGH_LOCAL_SHARE: Final = 0.3  # ring groups that dial their members through Local channels


@dataclass(frozen=True, slots=True)
class _Queued:
    """A call that waits: its first instant, when it left the menu, when the next row begins, who is rung and when."""

    began: int
    entered: int
    row_start: int
    ready: int
    ringing: Sequence[Representative]


def come_to_queue(floor: Floor, at: int, team: Team, members: Sequence[Representative], party: Party) -> None:
    """Play a call to a team that answers from a queue: menu, waiting, rounds of ringing, talk or giving up."""
    rng, exchange = floor.rng, floor.exchange
    side = exchange.side(TRUNK, at)
    call = exchange.open(side)
    menu = Frame(party.src, national(team.number), party.name, app="BackGround", data=f"menu-{team.profile.slug}")
    menu_end = at + rng.randint(6, 25)
    if rng.random() < _MENU_DROP_SHARE:
        exchange.row(call, side, None, menu, start=at, answer=at, end=rng.randint(at + 2, menu_end))
        return
    frame = replace(menu, app="Queue", data=f"{team.group},t,,,300")
    exchange.queue_event(call, menu_end, team.group, "NONE", "ENTERQUEUE", "", party.src, 1)
    gives_up = menu_end + 20 + int(rng.expovariate(1 / 110))
    now, start = menu_end, at
    while True:
        ready = min((max(now, floor.busy_until.get(m, 0)) for m in members), default=gives_up)
        if ready >= gives_up:
            if not call.rows:
                exchange.row(call, side, None, frame, start=at, answer=at, end=gives_up)
            exchange.queue_event(call, gives_up, team.group, "NONE", "ABANDON", 1, 1, gives_up - menu_end)
            return
        free = floor.free(members, ready)
        ringing = rng.sample(free, min(len(free), rng.randint(1, 4)))
        if rng.random() >= _MISSED_ROUND_SHARE:
            break
        now = min(ready + 15, gives_up)
        for member in ringing:
            device = exchange.side(member.extension, ready, team.profile.slug)
            exchange.row(call, side, device, frame, start=start, answer=start, end=now, disposition="NO ANSWER")
            exchange.queue_event(call, now, team.group, _agent(team, member), "RINGNOANSWER", (now - ready) * 1000)
            start = ready
    _answer_in_queue(floor, call, side, frame, team, party, _Queued(at, menu_end, start, ready, ringing))


def _answer_in_queue(
    floor: Floor, call: Call, side: Side, frame: Frame, team: Team, party: Party, queued: _Queued
) -> None:
    rng, exchange = floor.rng, floor.exchange
    winner = rng.choice(queued.ringing)
    agent = _agent(team, winner)
    ring = rng.randint(2, 12)
    picked = queued.ready + ring
    hold = picked - queued.entered
    talk = floor.talk_seconds()
    end = picked + talk
    transfer = plan_transfer(floor, winner, end, talk)
    start = queued.row_start
    for member in queued.ringing:
        device = exchange.side(member.extension, queued.ready, team.profile.slug)
        if member is winner:
            frame = _redirected(frame, transfer)
            exchange.row(call, side, device, frame, start=start, answer=start, end=end)
            exchange.queue_event(call, picked, team.group, agent, "CONNECT", hold, device.unique_id, ring)
        else:
            exchange.row(call, side, device, frame, start=start, answer=start, end=picked, disposition="NO ANSWER")
        start = queued.ready
    if transfer is None:
        event = rng.choice(("COMPLETECALLER", "COMPLETEAGENT"))
        exchange.queue_event(call, end, team.group, agent, event, hold, talk, 1)
    elif transfer.is_blind:
        to = (transfer.target.extension, "from-internal")
        exchange.queue_event(call, end, team.group, agent, "BLINDTRANSFER", *to, hold, talk, 1)
    else:
        to = ("BRIDGE", call.linked_id)
        exchange.queue_event(call, end, team.group, agent, "ATTENDEDTRANSFER", *to, hold, talk, 1)
    talks, end = carry_out(floor, transfer, call, side, frame, winner, talk, end)
    floor.conclude(call, party, "inbound", talks, queued.began, end)


def come_to_group(floor: Floor, at: int, team: Team, members: Sequence[Representative], party: Party) -> None:
    """Play a call that rings everybody who is free at once; each telephone is a row, the winner's the talk."""
    rng, exchange = floor.rng, floor.exchange
    side = exchange.side(TRUNK, at)
    call = exchange.open(side)
    free = floor.free(members, at)
    ringing = rng.sample(free, min(len(free), 5))
    dialled = "&".join(f"PJSIP/{member.extension}" for member in ringing)
    frame = Frame(party.src, national(team.number), party.name, data=f"{dialled},25")
    winner = rng.choice(ringing) if ringing and rng.random() < _GROUP_ANSWER_SHARE else None
    picked = at + (rng.randint(3, 18) if winner else 25)
    talk = floor.talk_seconds() if winner else 0
    end = picked + talk
    transfer = plan_transfer(floor, winner, end, talk) if winner else None
    through_local = rng.random() < _THROUGH_LOCAL_SHARE
    for member in ringing:
        if member is winner:
            frame = _redirected(frame, transfer)
        answer, last = (picked, end) if member is winner else (None, picked)
        disposition: Disposition = "ANSWERED" if member is winner else "NO ANSWER"
        caller_side, leg = side, frame
        if through_local:
            first, caller_side = exchange.local_pair(f"{member.extension}@from-group", at)
            outer = replace(frame, data=f"Local/{member.extension}@from-group,25")
            exchange.row(call, side, first, outer, start=at, answer=answer, end=last, disposition=disposition)
            leg = replace(frame, dst=member.extension, data=f"PJSIP/{member.extension},25")
        device = exchange.side(member.extension, at, team.profile.slug)
        exchange.row(call, caller_side, device, leg, start=at, answer=answer, end=last, disposition=disposition)
    if winner is None:
        _leave(floor, call, side, frame, team.group, picked, voicemail_share=0.4)
        return
    talks, end = carry_out(floor, transfer, call, side, frame, winner, talk, end)
    floor.conclude(call, party, "inbound", talks, at, end)


def come_to_person(floor: Floor, at: int, team: Team, member: Representative) -> None:
    """Play a call to a direct number: answered, busy, sent on to the mobile phone, or left to the voicemail."""
    rng, exchange = floor.rng, floor.exchange
    party = floor.caller(floor.clientele.portfolios[member.representative_id].draw(rng))
    side = exchange.side(TRUNK, at)
    call = exchange.open(side)
    device = exchange.side(member.extension, at, team.profile.slug)
    number = national(numbers.direct_number(member.extension))
    frame = Frame(party.src, number, party.name, data=f"PJSIP/{member.extension},20")
    if not floor.free([member], at):
        exchange.row(call, side, device, frame, start=at, answer=None, end=at, disposition="BUSY")
        _leave(floor, call, side, frame, member.extension, at, voicemail_share=0.45)
        return
    if rng.random() >= _DIRECT_ANSWER_SHARE:
        exchange.row(call, side, device, frame, start=at, answer=None, end=at + 20, disposition="NO ANSWER")
        if rng.random() < team.profile.forwards_to_mobile_share:
            _forward(floor, call, side, frame, party, member, at, at + 20)
        else:
            _leave(floor, call, side, frame, member.extension, at + 20, voicemail_share=0.45)
        return
    picked = at + rng.randint(3, 18)
    talk = floor.talk_seconds()
    end = picked + talk
    transfer = plan_transfer(floor, member, end, talk)
    frame = _redirected(frame, transfer)
    exchange.row(call, side, device, frame, start=at, answer=picked, end=end)
    talks, end = carry_out(floor, transfer, call, side, frame, member, talk, end)
    floor.conclude(call, party, "inbound", talks, at, end)


def _forward(
    floor: Floor, call: Call, side: Side, frame: Frame, party: Party, member: Representative, began: int, at: int
) -> None:
    """Send a call on to a mobile phone. Where its operator's voicemail answers, no record tells it from a person."""
    rng, exchange = floor.rng, floor.exchange
    mobile = national(numbers.mobile_number(member.extension))
    frame = replace(frame, dst=mobile, data=f"PJSIP/{TRUNK}/sip:{mobile}@192.0.2.10,25")
    out = exchange.side(TRUNK, at)
    draw = rng.random()
    if draw >= 0.78:
        exchange.row(call, side, out, frame, start=at, answer=None, end=at + 25, disposition="NO ANSWER")
        return
    answer = at + rng.randint(4, 15)
    is_person = draw < 0.75
    talk = floor.talk_seconds() if is_person else rng.randint(6, 30)
    exchange.row(call, side, out, frame, start=at, answer=answer, end=answer + talk)
    if is_person:
        floor.conclude(call, party, "inbound", [(member, talk)], began, answer + talk)


def _leave(
    floor: Floor, call: Call, side: Side, frame: Frame, box: str, at: int, voicemail_share: float
) -> None:  # fmt: skip
    """Let a caller whom nobody answered talk to the voicemail, or hang up."""
    if floor.rng.random() < voicemail_share:
        voicemail = replace(frame, app="VoiceMail", data=f"{box}@default,u")
        floor.exchange.row(call, side, None, voicemail, start=at, answer=at, end=at + floor.rng.randint(4, 60))
    else:
        hangup = replace(frame, app="Hangup", data="")
        floor.exchange.row(call, side, None, hangup, start=at, answer=None, end=at, disposition="NO ANSWER")


def _redirected(frame: Frame, transfer: Transfer | None) -> Frame:
    """Return the frame of an answered leg: a blind transfer rewrites whom it says was called."""
    return replace(frame, dst=transfer.target.extension) if transfer and transfer.is_blind else frame


def _agent(team: Team, member: Representative) -> str:
    """Return how the queues' log names a member: one queue was set up with devices, the other with names."""
    return f"PJSIP/{member.extension}" if team.profile.slug == "service" else member.name
