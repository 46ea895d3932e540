"""Warnings of many files, said once for each source: thousands of small files would bury what else is said."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

# A warning that counts begins with its count: "pages/7.json: 12 of its records ...", or "in 12 of its records ...".
_COUNTED: Final = re.compile(r"(in )?(\d{1,3}(?:,\d{3})+|\d+) (?=[a-z])")
_COUNT: Final = "\0"


def summed(warnings: Iterable[tuple[str, str, str]]) -> list[str]:
    """Return warnings, given with their source and file, in their order; those that differ by file alone as one.

    Counts with which such warnings begin are added up. What one file alone says stays as it is.

    >>> summed([("pbx", "a", "a: 2 of its records say nothing"), ("pbx", "b", "b: 1,000 of its records say nothing")])
    ['pbx, 2 files: 1,002 of its records say nothing']
    """
    groups: dict[tuple[str, str], dict[str, dict[str, int]]] = {}
    for source, file, warning in warnings:
        text = warning.removeprefix(f"{file}: ")
        found = _COUNTED.match(text) if text != warning else None
        count = int(found[2].replace(",", "")) if found else 0
        form = f"{found[1] or ''}{_COUNT} {text[found.end() :]}" if found else text
        groups.setdefault((source, form), {}).setdefault(file, {})[warning] = count
    told: list[str] = []
    for (source, form), files in groups.items():
        written = dict.fromkeys(warning for counts in files.values() for warning in counts)
        if len(files) == 1 or len(written) == 1:
            told.extend(written)
        else:
            total = sum(count for counts in files.values() for count in counts.values())
            told.append(f"{source}, {len(files):,} files: {form.replace(_COUNT, f'{total:,}')}")
    return list(dict.fromkeys(told))
