"""Reading the configuration again at SIGHUP, while a process runs: what is safe to take is taken, the rest is named.

What decides about results is never taken: it would hold from a moment that nobody could tell afterwards.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from commands.company import Company
from commands.output import say
from pipeline.errors import ConfigurationError
from schemas.settings import Configuration

Take = Callable[[Company], object]


class Reloading:
    """What a process does with a configuration that was changed."""

    def __init__(self, company: Company, again: Callable[[], Company], takes: Mapping[str, Take]) -> None:
        """`again` reads the configuration; `takes`: by the name of a table, what takes it."""
        self._running = company.configuration
        self._again = again
        self._takes = takes
        self._lock = threading.Lock()

    def reload(self) -> None:
        """Read the configuration, take what can be taken, and say what became of it."""
        with self._lock:
            try:
                company = self._again()
                changed = [
                    name
                    for name in Configuration.model_fields
                    if getattr(company.configuration, name) != getattr(self._running, name)
                ]
                taken = [name for name in changed if name in self._takes]
                for take in dict.fromkeys(self._takes[name] for name in taken):
                    take(company)
            except ConfigurationError as error:
                say(f"the configuration is not taken, and what was read before goes on: {error}")
                return
            self._running = self._running.model_copy(
                update={name: getattr(company.configuration, name) for name in taken}
            )
            waiting = [name for name in changed if name not in taken]
        if taken:
            say(f"read again and taken: {_tables(taken)}")
        if waiting:
            say(f"changed, and not taken before this process starts again: {_tables(waiting)}")
        if not changed:
            say("the configuration was read again; nothing in it has changed")


@contextmanager
def reloading(
    company: Company, again: Callable[[], Company], takes: Mapping[str, Take] | None = None
) -> Iterator[None]:
    """Reload at SIGHUP meanwhile. At a terminal the signal still ends the process: it says that nobody is there."""
    if sys.stdin is not None and sys.stdin.isatty():
        yield
        return
    reload = Reloading(company, again, takes or {}).reload
    # On a thread of its own: a handler must not wait for what the interrupted code may hold.
    before = signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=reload, name="reload").start())
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def _tables(names: list[str]) -> str:
    return ", ".join(f"[{name}]" for name in names)
