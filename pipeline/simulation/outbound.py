"""Calls that the company's people make: to customers, to each other, and to numbers that never count."""

from __future__ import annotations

from pipeline.simulation import numbers
from pipeline.simulation.company import Representative, Team
from pipeline.simulation.customers import draw_person
from pipeline.simulation.exchange import TRUNK, Disposition, Frame
from pipeline.simulation.floor import Floor, Party, national, number_of

_ANSWER_SHARE = 0.64
_EMERGENCY_SECONDS = 45


def call_customer(floor: Floor, at: int, team: Team, member: Representative) -> None:
    """Play a call to a customer. Click-to-dial rings the representative first, and that leg counts as answered."""
    rng, exchange = floor.rng, floor.exchange
    at = max(at, floor.busy_until.get(member, 0) + rng.randint(5, 60))
    everybody = floor.clientele.everybody
    portfolio = floor.clientele.portfolios[member.representative_id] if team.profile.owns_customers else everybody
    customer = portfolio.draw(rng)
    person = draw_person(customer, rng)
    number = number_of(customer, person, 0.4, rng)
    by_click = rng.random() < team.profile.dials_by_click_share
    dst = number if by_click else numbers.dialled(number, rng)
    src = national(numbers.COMPANY_MAIN) if rng.random() < 0.2 else member.extension
    side = exchange.side(member.extension, at, team.profile.slug)
    call = exchange.open(side)
    lifted = at + rng.randint(2, 6) if by_click else at
    device = exchange.side(TRUNK, lifted)
    is_answered = rng.random() < _ANSWER_SHARE
    disposition: Disposition = "ANSWERED"
    talk = floor.talk_seconds() if is_answered else 0
    answer = lifted + rng.randint(4, 20) if is_answered else None
    if answer is None:
        disposition = rng.choices(("NO ANSWER", "BUSY", "FAILED"), (28, 6, 2))[0]
    end = answer + talk if answer is not None else lifted + (rng.randint(15, 35) if disposition == "NO ANSWER" else 2)
    if by_click:
        own = Frame(src, dst, member.name, "from-internal", "AppDial2", "(Outgoing Line)")
        exchange.row(call, side, None, own, start=at, answer=lifted, end=lifted if is_answered else end)
    frame = Frame(src, dst, member.name, "from-internal", data=f"PJSIP/{TRUNK}/sip:{dst}@192.0.2.10,40")
    exchange.row(call, side, device, frame, start=lifted, answer=answer, end=end, disposition=disposition)
    floor.busy_until[member] = end + 5
    if is_answered:
        floor.conclude(call, Party(customer, person, number, dst), "outbound", [(member, talk)], at, end)


def call_colleague(floor: Floor, at: int) -> None:
    """Play a call between colleagues, some of them to a mobile phone."""
    rng, exchange = floor.rng, floor.exchange
    free = floor.free(floor.present, at)
    if len(free) < 2:
        return
    first, second = rng.sample(free, 2)
    to_mobile = rng.random() < 0.1
    dst = national(numbers.mobile_number(second.extension)) if to_mobile else second.extension
    data = f"PJSIP/{TRUNK}/sip:{dst}@192.0.2.10,20" if to_mobile else f"PJSIP/{dst},20"
    side = exchange.side(first.extension, at, floor.account(first))
    device = exchange.side(TRUNK if to_mobile else second.extension, at)
    answer = at + rng.randint(2, 15) if rng.random() < 0.7 else None
    end = answer + floor.talk_seconds() if answer is not None else at + 20
    exchange.row(
        exchange.open(side), side, device, Frame(first.extension, dst, first.name, "from-internal", data=data),
        start=at, answer=answer, end=end, disposition="NO ANSWER" if answer is None else "ANSWERED",
    )  # fmt: skip
    for person in (first, second):
        floor.busy_until[person] = end + 5


def call_uncounted(floor: Floor, at: int, dst: str) -> None:
    """Play a call to a number that never counts: an emergency number, or one on the list."""
    exchange = floor.exchange
    free = floor.free(floor.present, at)
    if not free:
        return
    member = floor.rng.choice(free)
    talk = floor.talk_seconds() if dst != numbers.EMERGENCY else _EMERGENCY_SECONDS
    side = exchange.side(member.extension, at, floor.account(member))
    device = exchange.side(TRUNK, at)
    data = f"PJSIP/{TRUNK}/sip:{dst}@192.0.2.10,40"
    frame = Frame(member.extension, dst, member.name, "from-internal", data=data)
    exchange.row(exchange.open(side), side, device, frame, start=at, answer=at + 5, end=at + 5 + talk)
    floor.busy_until[member] = at + 10 + talk
