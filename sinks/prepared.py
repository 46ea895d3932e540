"""Engines made ahead: an explanation folds its interaction alone, since what all share has been folded before."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Final

from pipeline.engine import Engine
from pipeline.errors import BypassflowError
from sinks.asking import Asking
from sinks.explanations import SHARED, engine_of
from sinks.store import Store

Version = tuple[object, ...]

_COUNTS: Final = "SELECT " + ", ".join(f"(SELECT count(*) FROM {kind}) AS {kind}" for kind in SHARED)


class PreparedEngines:
    """Keeps one engine ready for whoever asks next why an interaction has its outcome. Serves all threads."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._lock = threading.Lock()
        self._ready: tuple[Version, Engine] | None = None
        self._is_preparing = False

    @property
    def ready(self) -> Engine | None:
        """The engine that is ready for whoever asks next."""
        return None if self._ready is None else self._ready[1]

    def take(self, store: Store) -> Engine:
        """Return an engine that has folded the store's shared facts, for one explanation.

        Raises:
            ConfigurationError: when the store holds no run.
        """
        version = _version(store)
        with self._lock:
            ready, self._ready = self._ready, None
            prepares = not self._is_preparing
            self._is_preparing = True
        if prepares:
            threading.Thread(target=self._prepare, name="next-engine").start()
        return ready[1] if ready is not None and ready[0] == version else engine_of(store)

    def _prepare(self) -> None:
        # Whoever finds none ready makes one, and then says what is wrong.
        with suppress(BypassflowError):
            self._ready = self._asking.ask(lambda store: (_version(store), engine_of(store)))
        self._is_preparing = False


def _version(store: Store) -> Version:
    """Return what changes with the shared facts of a store; they are only ever added to."""
    return (store.origin, store.last_run(), *store.rows(_COUNTS)[0].values())
