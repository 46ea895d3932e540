"""Questions to a store from any thread: each on a connection of its own, and within bounds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import duckdb

from pipeline.errors import TransientError
from sinks.store import Store

MOST_SECONDS: Final = 30.0
_AT_ONCE: Final = 4
_WAIT_SECONDS: Final = 5.0
_ENDING: Final = "the process is ending; ask again when it runs"

T = TypeVar("T")


class Busy(TransientError):
    """Too many ask at once; asked again in a moment, the answer comes."""


class Asking:
    """Asks a store until it is closed; the store itself stays with its owner."""

    def __init__(self, store: Store, at_once: int = _AT_ONCE) -> None:
        """`at_once`: how many questions are answered at the same time; others wait for some seconds."""
        self._held = _Held(store.reader())
        self._leaving: list[_Held] = []
        self._lock = threading.Lock()
        self._asked: set[Store] = set()
        self._is_ending = self._is_closed = False
        self._at_once = at_once
        self._places = threading.BoundedSemaphore(at_once)
        # What is done with each reader before a question is put to it.
        self.prepare: Callable[[Store], None] = lambda store: None

    def ask(self, question: Callable[[Store], T], most_seconds: float | None = None) -> T:
        """Answer a question on a connection of its own; `most_seconds` by default those of this module.

        Raises:
            Busy: when too many ask at once.
            TransientError: when the answer takes too long.
        """
        seconds = MOST_SECONDS if most_seconds is None else most_seconds
        if not self._places.acquire(timeout=_WAIT_SECONDS):
            raise Busy("the store is answering others; ask again")
        try:
            with self._lock:
                if self._is_ending:
                    raise TransientError(_ENDING)
                held = self._held
                store = held.store.reader()
                held.question_count += 1
                self._asked.add(store)
            timer = threading.Timer(seconds, store.connection.interrupt)
            timer.start()
            try:
                self.prepare(store)
                return question(store)
            except duckdb.InterruptException:
                if self._is_ending:
                    raise TransientError(_ENDING) from None
                raise TransientError(
                    f"the answer took more than {seconds:.0f} s; ask for less with --since and --until, "
                    "or read a snapshot of the store with --db"
                ) from None
            finally:
                timer.cancel()
                with self._lock:
                    self._asked.discard(store)
                    store.close()
                    held.question_count -= 1
                self._let_go()
        finally:
            self._places.release()

    def turn_to(self, store: Store, let_go: Callable[[], None]) -> None:
        """Answer from another store from now on; it stays with its owner, too.

        Questions that are under way end on the store on which they began; `let_go` is called after the last of them,
        by any thread, for its owner to close it.
        """
        with self._lock:
            before, self._held = self._held, _Held(store.reader())
            before.let_go = let_go
            self._leaving.append(before)
        self._let_go()

    def interrupt(self) -> None:
        """Break off what is being answered, because the process ends."""
        with self._lock:
            self._is_ending = True
            for store in self._asked:
                store.connection.interrupt()

    def close(self) -> None:
        """Take no more questions, and wait for those that are under way."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        self.interrupt()
        held_places = [self._places.acquire(timeout=_WAIT_SECONDS) for _ in range(self._at_once)]
        self._places.release(sum(held_places))
        with self._lock:
            held = [*self._leaving, self._held]
            self._leaving.clear()
        for each in held:
            each.close()

    def _let_go(self) -> None:
        """Close what was turned away from and is asked no more."""
        with self._lock:
            done = [held for held in self._leaving if not held.question_count]
            self._leaving = [held for held in self._leaving if held.question_count]
        for held in done:
            held.close()


@dataclass(eq=False)
class _Held:
    """A store's reader, from which those of the questions are made, and which ends them when it is closed."""

    store: Store
    question_count: int = 0
    let_go: Callable[[], None] = lambda: None

    def close(self) -> None:
        self.store.close()
        self.let_go()
