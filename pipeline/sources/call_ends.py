"""Who sits at an end of a call, as far as a number or a name in a switchboard's record tells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from pipeline.errors import ConfigurationError
from pipeline.parties import is_long_number
from pipeline.sources.registry import ReadContext

_SHORT: Final = re.compile(r"\d{1,6}").fullmatch


class End(NamedTuple):
    """Who sits at the end of a call: a device of ours by name, or anybody by number, or a machine."""

    device: str | None = None
    number: str | None = None
    is_machine: bool = False


def end_of_number(text: str | None) -> End:
    """Return who a number in a record stands for: a short one is a device of ours. A word may be a customer's name.

    >>> end_of_number("201"), end_of_number("0401234567").device, end_of_number("maija")
    (End(device='201', number='201', is_machine=False), None, End(device=None, number=None, is_machine=False))
    """
    text = (text or "").strip()
    if _SHORT(text):
        return End(device=text, number=text)
    return End(number=text) if is_long_number(text) else End()


def direction_between(caller: End, called: End) -> str | None:
    """Return the company's view of a call between two ends, as far as their names tell."""
    if caller.device and called.device:
        return "internal"
    if caller.device:
        return "outbound"
    return "inbound" if called.device else None


def machine_patterns(context: ReadContext) -> tuple[str, ...]:
    """Return what a company says of the numbers and devices that answer without being a person: options.machines.

    Raises:
        ConfigurationError: when it is no list of texts.
    """
    value = context.options.get("machines", [])
    if not isinstance(value, list) or not all(isinstance(name, str) and name.strip() for name in value):
        raise ConfigurationError(
            f'{context.file}: options.machines is {value!r}; expected numbers and devices, as in ["5000", "CTI_*"]'
        )
    return tuple(name.strip().casefold() for name in value)


def is_machine(names: Sequence[str], patterns: Sequence[str]) -> bool:
    """Return whether one of the names fits a pattern; "*" stands for any characters, and case says nothing."""
    return any(fnmatchcase(name.casefold(), pattern) for name in names for pattern in patterns)
