"""Versions of our own messages: one that a newer bypassflow wrote stops whoever meets it, and is never passed by.

Passed as damaged, its records would be missing for good; guessed at, they would be wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pipeline.errors import ConfigurationError
from schemas.log import Entry
from schemas.packing import NewerPack
from schemas.topics import DEAD_LETTERS

# Of the headers of dead letters, which are no packed messages. Letters without the header are of version 1.
LETTER_VERSION: Final = 1
LETTER_HEADER: Final = "version"


def newer(topic: str, offset: int, version: object, known: int) -> ConfigurationError:
    """Return what stops a process that meets a message of a newer version."""
    return ConfigurationError(
        f"{topic}@{offset} was written by a newer bypassflow (version {version} of the message; this one knows "
        f"{known}); upgrade bypassflow here: nothing was passed by, and it goes on at that message"
    )


@contextmanager
def known(topic: str, offset: int) -> Iterator[None]:
    """Raise a ConfigurationError for a packed message of a newer version; `topic` and `offset` say where it stands."""
    try:
        yield
    except NewerPack as error:
        raise newer(topic, offset, error.version, error.known) from None


def require_known_letter(entry: Entry) -> None:
    """Raise a ConfigurationError when a dead letter is of a newer version."""
    version = entry.headers.get(LETTER_HEADER, b"1").decode("ascii", "replace")
    if version.isdecimal() and int(version) > LETTER_VERSION:
        raise newer(DEAD_LETTERS, entry.offset, version, LETTER_VERSION)
