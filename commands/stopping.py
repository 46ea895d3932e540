"""Ctrl-C and SIGTERM."""

from __future__ import annotations

import queue
import signal
import threading


def stop_at_signals() -> threading.Event:
    """Return what is set at Ctrl-C and SIGTERM. To be called on the main thread.

    A handler runs between two steps of the main thread, which may just hold the event's own lock: setting the event
    there would wait for ever. So another thread sets it, told by a queue that may be interrupted anywhere.
    """
    stop, asked = threading.Event(), queue.SimpleQueue[int]()

    def set_when_asked() -> None:
        asked.get()
        stop.set()

    threading.Thread(target=set_when_asked, name="stop", daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: asked.put(number))
    return stop
