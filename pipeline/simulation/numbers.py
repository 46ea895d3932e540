"""Telephone numbers that belong to nobody, and the many ways in which people and exchanges write them.

Finland reserves no range for fiction, so Finnish numbers come from 047 and 048, mobile prefixes of the
numbering plan that no operator has been given. Foreign ones come from the ranges that the regulators of
Sweden, Germany, France and North America keep free for films and books.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

COMPANY_MAIN: Final = "+358480110000"
NEVER_LOGGED: Final = "+358480199999"
EMERGENCY: Final = "112"

_NORTH_AMERICAN_AREAS: Final = (202, 303, 312, 404, 415, 503, 617, 702, 808, 907)


def direct_number(extension: str) -> str:
    """Return the number at which the world reaches an extension."""
    return f"+35848010{extension:0>4}"


def mobile_number(extension: str) -> str:
    """Return the representative's mobile number."""
    return f"+35848020{extension:0>4}"


def team_number(index: int) -> str:
    """Return the number at which the world reaches a team's queue or ring group."""
    return f"+35848011{1000 + index:04d}"


class NumberPlan:
    """Hands out customers' numbers in E.164, each once."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._given: set[str] = set()

    def mobile(self) -> str:
        return self._fresh(lambda: f"+35847{self._rng.randrange(10_000_000):07d}")

    def switchboard(self) -> str:
        return self._fresh(lambda: f"+35848{self._rng.randrange(9_000_000, 10_000_000)}")

    def foreign(self) -> str:
        return self._fresh(self._foreign)

    def _fresh(self, draw: Callable[[], str]) -> str:
        while (number := draw()) in self._given:
            pass
        self._given.add(number)
        return number

    def _foreign(self) -> str:
        rng = self._rng
        kind = rng.random()
        if kind < 0.2:
            return f"+467017406{rng.randrange(5, 100):02d}"
        if kind < 0.35:
            return f"+468465004{rng.randrange(100):02d}"
        if kind < 0.6:
            return f"+493023125{rng.randrange(1000):03d}"
        if kind < 0.85:
            return f"+331990{rng.randrange(100_000):05d}"
        return f"+1{rng.choice(_NORTH_AMERICAN_AREAS)}55501{rng.randrange(100):02d}"


# How people type a number into a CRM: weight, and a template with {a} the two digits after the country code or
# trunk zero, {b} the next three and {c} the last four.
_TYPED: Final[tuple[tuple[int, str], ...]] = (
    (20, "+358 {a} {b} {c}"),
    (18, "+358{a}{b}{c}"),
    (14, "0{a}{b}{c}"),
    (14, "0{a} {b} {c}"),
    (8, "0{a}-{b}{c}"),
    (5, "0{a} {b}{c}"),
    (4, "0{a}-{b} {c}"),
    (3, "+358 (0){a} {b} {c}"),
    (3, "(0{a}) {b} {c}"),
    (2, "+358-{a}-{b}{c}"),
    (2, "00358 {a} {b}{c}"),
    (2, "358{a}{b}{c}"),
    (1, "{a}{b}{c}"),  # a spreadsheet took the zero
    (1, "0{a}.{b}.{c}"),
    (1, "0{a}\u00a0{b}\u00a0{c}"),
    (1, "p. 0{a} {b} {c}"),
    (1, "tel:+358-{a}-{b}{c}"),
    (1, "0{a} {b} {c} (työ)"),
    (1, "0{a} {b} {c} / vaihde"),
)
_TYPED_TEMPLATES: Final = [template for _, template in _TYPED]
_TYPED_WEIGHTS: Final = [weight for weight, _ in _TYPED]
_COUNTRY_CODES: Final = ("46", "49", "33", "1")


def typed(number: str, rng: Random) -> str:
    """Return a number as somebody typed it into the CRM."""
    if number.startswith("+358"):
        template = rng.choices(_TYPED_TEMPLATES, _TYPED_WEIGHTS)[0]
        return template.format(a=number[4:6], b=number[6:9], c=number[9:])
    code = next(code for code in _COUNTRY_CODES if number.startswith(f"+{code}"))
    rest = number[1 + len(code) :]
    forms = (number, f"+{code} {rest[:2]} {rest[2:]}", f"00{code} {rest}", f"+{code} {rest[:3]}-{rest[3:]}")
    return rng.choice(forms)


def shown(number: str, rng: Random) -> str:
    """Return a caller's number as the operator's trunk presents it."""
    if not number.startswith("+358"):
        return number
    kind = rng.random()
    if kind < 0.50:
        return number
    if kind < 0.90:
        return f"0{number[4:]}"
    if kind < 0.95:
        return f"00{number[1:]}"
    return number[1:]


def dialled(number: str, rng: Random) -> str:
    """Return a number as a representative dials it: desk phones get the outside line with a 0."""
    national = f"0{number[4:]}" if number.startswith("+358") else f"00{number[1:]}"
    kind = rng.random()
    if kind < 0.75:
        return f"0{national}"
    return number if kind < 0.85 or not number.startswith("+358") else national
