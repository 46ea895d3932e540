"""Options of a [[source]]: what a parser does not know stops the run, so that a misspelt one is never lost."""

from __future__ import annotations

import difflib
from collections.abc import Collection

from pipeline.errors import ConfigurationError
from pipeline.sources.registry import ReadContext


def check_options(context: ReadContext, known: Collection[str]) -> None:
    """Make sure that the source has no options but these.

    Raises:
        ConfigurationError: when it has.
    """
    for option in context.options:
        if option not in known:
            near = difflib.get_close_matches(option, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
            raise ConfigurationError(f"{context.file}: unknown option {option!r}{hint}")


def encoding_option(context: ReadContext) -> str | None:
    """Return how the text of a file is written by options.encoding, null where it is not given.

    Raises:
        ConfigurationError: when there is no such encoding.
    """
    given = text_option(context, "encoding")
    try:
        if given is not None:
            b"a".decode(given)
    except (LookupError, ValueError):
        raise ConfigurationError(
            f"{context.file}: options.encoding is {given!r}; expected a name such as latin-1, cp1252 or utf-8"
        ) from None
    return given


def text_option(context: ReadContext, name: str) -> str | None:
    """Return an option that is a text, null where it is not given.

    Raises:
        ConfigurationError: when it is something else.
    """
    given = context.options.get(name)
    if given is not None and not isinstance(given, str):
        raise ConfigurationError(f"{context.file}: options.{name} is {given!r}; expected a text")
    return given
