"""Progress of long work in a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from dashboard.terminal import count


class Reading:
    """A progress bar over bytes read, with the rate of records; silent when the console is no terminal."""

    def __init__(self, console: Console, total_bytes: int) -> None:
        self._bytes = self._records = 0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}", style="cyan"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("reading", total=max(total_bytes, 1), rate="")

    def __enter__(self) -> Reading:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def advance(self, byte_count: int, record_count: int) -> None:
        """Move on by so many bytes and records."""
        self._bytes += byte_count
        self.reach(self._bytes, self._records + record_count)

    def reach(self, byte_count: int, record_count: int) -> None:
        """Move on to so many bytes and records in all."""
        self._records = record_count
        elapsed = self._bar.tasks[self._task].elapsed
        rate = f"{count(round(record_count / elapsed))} records/s" if elapsed else ""
        self._bar.update(self._task, completed=byte_count, rate=rate)

    def begin(self, description: str, done: int = 0, total: int | None = None) -> None:
        """Show another kind of work; without a total its length is not known."""
        self._bar.remove_task(self._task)
        self._task = self._bar.add_task(description, total=total, completed=done, rate="")
