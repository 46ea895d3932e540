"""Transfers: one call of a customer, two colleagues who talk."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from pipeline.simulation.company import Representative
from pipeline.simulation.exchange import Call, Frame, Side
from pipeline.simulation.floor import Floor, Talks
from pipeline.simulation.worktime import long_tailed

TRANSFER_SHARE: Final = 0.05
_LEAST_TALK: Final = 60


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer to come. `talk` is 0 when the colleague does not answer."""

    is_blind: bool
    target: Representative
    ring: int
    talk: int


def plan_transfer(floor: Floor, first: Representative, at: int, talk: int) -> Transfer | None:
    """Return the transfer that ends a stretch of talk, if there is one and somebody is free to take it."""
    rng = floor.rng
    if talk < _LEAST_TALK or rng.random() >= TRANSFER_SHARE:
        return None
    others = [p for p in floor.free(floor.present, at) if p is not first]
    if not others:
        return None
    is_blind = rng.random() < 0.6
    is_answered = not is_blind or rng.random() < 0.88
    second_talk = long_tailed(rng, 150, 0.8, 20, 2400) if is_answered else 0
    return Transfer(is_blind, rng.choice(others), rng.randint(3, 12), second_talk)


def carry_out(
    floor: Floor,
    transfer: Transfer | None,
    call: Call,
    side: Side,
    frame: Frame,
    first: Representative,
    talk: int,
    end: int,
) -> tuple[Talks, int]:
    """Return who talked how long with the customer, and when that ended, after the transfer if there is one."""
    if transfer is None:
        return [(first, talk)], end
    exchange, target = floor.exchange, transfer.target
    dial = Frame(first.extension, target.extension, first.name, "from-internal", data=f"PJSIP/{target.extension},20")
    leg = replace(dial, src=frame.src, name=frame.name)
    if transfer.is_blind:
        device = exchange.side(target.extension, end, floor.account(target))
        if not transfer.talk:
            exchange.row(call, side, device, leg, start=end, answer=None, end=end + 20, disposition="NO ANSWER")
            return [(first, talk)], end
        answer = end + transfer.ring
    else:
        # The consultation is a call of its own between colleagues; then the customer joins the second telephone.
        asked = end - min(40, talk // 2)
        own = exchange.side(first.extension, asked, floor.account(first))
        device = exchange.side(target.extension, asked, floor.account(target))
        lifted = asked + min(transfer.ring, end - asked)
        exchange.row(exchange.open(own), own, device, dial, start=asked, answer=lifted, end=end)
        answer = end
    exchange.row(call, side, device, leg, start=end, answer=answer, end=answer + transfer.talk)
    return [(first, talk), (target, transfer.talk)], answer + transfer.talk
