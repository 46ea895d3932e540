"""What a process does, as spans: whoever works says what it begins, and who listens is another's affair."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, Protocol, Self


class Span(Protocol):
    """Something that a process is doing."""

    def tell(self, **attributes: str | int | float) -> None:
        """Say of it how much it was, where it stands, and how it ended; nothing that names a person."""
        ...

    def rename(self, name: str) -> None:
        """Name it otherwise, now that it is known what it was."""
        ...


class Tracer(Protocol):
    """Begins spans. One per batch, and never one per record."""

    def span(self, name: str) -> AbstractContextManager[Span]:
        """Return what is a span while it is entered; those begun meanwhile on this thread are parts of it."""
        ...


class _Nothing:
    """A span that nobody hears of."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def tell(self, **attributes: str | int | float) -> None:
        """Do nothing."""

    def rename(self, name: str) -> None:
        """Do nothing."""


_NOTHING: Final = _Nothing()


class _Untraced:
    """Begins nothing, at the cost of a call."""

    def span(self, name: str) -> _Nothing:
        """Return the one span that nobody hears of."""
        return _NOTHING


UNTRACED: Final[Tracer] = _Untraced()
