"""Columns of CRMs' exports, by the names that a system documents, however an export writes them.

One field is createdAt in an answer of the interface, created_at in the database and createdat in a table whose header
lost its case; exports for people write Created At. Letters and digits alone tell them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from pipeline.errors import ConfigurationError
from pipeline.sources.registry import ReadContext
from pipeline.sources.translation import Fields, check_mapping

_BETWEEN: Final = re.compile(r"[\W_]+")
# What spreadsheets would take for a formula is written behind an apostrophe: every number that begins with a plus.
_AGAINST_FORMULAS: Final = re.compile(r"'(?=[-+=@])")


@lru_cache(maxsize=16_384)
def squeezed(column: str) -> str:
    """Return the letters and digits of a column's name, in lower case.

    >>> squeezed("createdAt") == squeezed("Created at") == squeezed("created_at")
    True
    """
    return _BETWEEN.sub("", column.casefold())


class Columns:
    """Gives a record's values by their documented names.

    `fields` are those that are read and that a mapping may name. `others` are other names of some of them, each tried
    in turn before the field's own: an export for people has names in one column and ids in another.
    """

    def __init__(
        self, fields: Sequence[str], others: Mapping[str, Sequence[str]], context: ReadContext | None = None
    ) -> None:
        mapping = context.mapping if context is not None else {}
        if context is not None:
            check_mapping(context, fields)
        self._places = {
            name: tuple(map(squeezed, [mapping[name]] if name in mapping else [*others.get(name, ()), name]))
            for name in fields
        }

    def names(self, columns: Iterable[str]) -> frozenset[str]:
        """Return the fields that these columns give."""
        held = set(map(squeezed, columns))
        return frozenset(name for name, places in self._places.items() if held.intersection(places))

    def values(self, record: Mapping[str, Any]) -> Fields:
        """Return what a record says, by fields; what is empty, or no field, is left out."""
        held = {squeezed(str(name)): value for name, value in record.items() if value is not None and value != ""}
        found = {}
        for name, places in self._places.items():
            for place in places:
                if place in held:
                    value = held[place]
                    found[name] = _AGAINST_FORMULAS.sub("", value, count=1) if isinstance(value, str) else value
                    break
        return found

    def require(self, name: str, columns: Collection[str], file: str) -> None:
        """Make sure that a table has a column for a field.

        Raises:
            ConfigurationError: when it has not.
        """
        if name not in self.names(columns):
            raise ConfigurationError(
                f"{file}: no column {name!r}; export it too, or if another one says it, give "
                f'mapping = {{ {name} = "Column" }}; if the file is of another system, leave out format'
            )


def marks(groups: Mapping[str, Sequence[str]]) -> Mapping[str, tuple[frozenset[str], ...]]:
    """Return fields that tell objects, as `told_by` takes them; a group of them is written as words.

    >>> told_by({"id", "b", "c"}, marks({"one": ("a",), "two": ("a b", "b c")}))
    'two'
    """
    return {name: tuple(frozenset(group.split()) for group in each) for name, each in groups.items()}


def told_by(names: Collection[str], groups: Mapping[str, tuple[frozenset[str], ...]]) -> str | None:
    """Return the first object of which one group of fields is there as a whole."""
    held = frozenset(names)
    return next((name for name, each in groups.items() if any(group <= held for group in each)), None)
