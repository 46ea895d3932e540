"""Spellings of telephone numbers, by column: which texts are numbers, and which are spellings of the same one.

Reading a number costs a few microseconds, and a switchboard writes each customer's in four ways. Where a region's rules
are simple, three of them can be told to be the same without reading them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import phonenumbers
import pyarrow as pa
import pyarrow.compute as pc

_TEXT: Final = pa.string()
_GROUPED: Final = r"^\+?[ ().-]{0,3}[0-9][0-9 ().-]{0,28}$"
_MARKS: Final = "[ ().-]"
_WHOLE: Final = r"^(?:\+[1-9]|0)[0-9]{7,30}$"


def whole_numbers(texts: pa.Array) -> pa.Array:
    """Return the numbers of eight digits or more in texts that begin with a country's code or 0, else null.

    Marks between digits are left out: "+358 40 555 1234", "(040) 555-1234".
    """
    is_grouped = pc.and_not(pc.match_substring_regex(texts, _GROUPED), pc.match_substring(texts, "   "))
    numbers = pc.if_else(is_grouped, pc.replace_substring_regex(texts, _MARKS, ""), texts)
    return pc.if_else(pc.match_substring_regex(numbers, _WHOLE), numbers, pa.scalar(None, _TEXT))


@dataclass(frozen=True)
class HomeRules:
    """How numbers are dialled in a region with one trunk digit 0 and the international prefix 00.

    What the number parser does there with a number X that does not begin with 0, by its own rules:
    00X is +X where +X reads as itself, and if 0X reads as +CX, C being the region's calling code, so does +CX.
    `general_pattern` is what every valid number of the calling code matches.
    """

    calling_code: int
    general_pattern: str

    def common_forms(self, numbers: pa.Array) -> pa.Array:
        """Return for each number the spelling that stands for it: 0... for one of the region, else +..., if it can be.

        Source: maybe_strip_international_prefix_and_normalize and maybe_strip_national_prefix in libphonenumber.
        """
        international = pc.replace_substring_regex(numbers, "^00([1-9])", r"+\1")
        return pc.replace_substring_regex(international, rf"^\+{self.calling_code}([1-9])", r"0\1")

    def may_be_valid(self, forms: pa.Array) -> pa.Array:
        """Return false for common forms that no region of the calling code can have, with the trunk digit or without."""
        is_home = pc.starts_with(forms, "0")
        return pc.or_(pc.invert(is_home), pc.match_substring_regex(forms, f"^0?(?:{self.general_pattern})$"))

    def canonical_form(self, common: str) -> str:
        """Return the canonical form that a common form must have to stand for its other spellings."""
        return f"+{self.calling_code}{common[1:]}" if common[0] == "0" else common


def home_rules(region: str) -> HomeRules | None:
    """Return the rules of a region, None where they are not that simple.

    >>> home_rules("US") is None, home_rules("FI").calling_code
    (True, 358)
    """
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    calling_code = phonenumbers.country_code_for_region(region)
    is_simple = (
        metadata is not None
        and metadata.national_prefix == metadata.national_prefix_for_parsing == "0"
        and not metadata.national_prefix_transform_rule
        and (metadata.international_prefix or "").split("|", 1)[0] == "00"
        and phonenumbers.region_code_for_country_code(calling_code) == region
    )
    if not is_simple:
        return None
    regions = phonenumbers.region_codes_for_country_code(calling_code)
    plans = [phonenumbers.PhoneMetadata.metadata_for_region(name).general_desc for name in regions]
    return HomeRules(calling_code, "|".join(plan.national_number_pattern for plan in plans))
