"""How the live pipeline is doing: what is still to be read by whom, and what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from agents.lag import Lag, Readers
from dashboard.terminal import NOTHING, count


@dataclass(frozen=True)
class Progress:
    """The state of a company's pipeline. `sink` is the sink's own status; None: it does not answer."""

    lags: tuple[Lag, ...]
    ingest_workers: int
    correlate_workers: int
    sink: Mapping[str, Any] | None
    topic_problems: tuple[str, ...] = ()

    @property
    def behind(self) -> int:
        """Messages that somebody still has to read; each agent's counted."""
        return sum(lag.behind for lag in self.lags)

    @property
    def is_done(self) -> bool:
        """Whether all that was published stands in the store."""
        return self.sink is not None and not self.behind

    @property
    def problems(self) -> list[str]:
        """What is wrong, a sentence each with its remedy; a lag alone is not."""
        found = list(self.topic_problems)
        for role, workers in (("ingest", self.ingest_workers), ("correlate", self.correlate_workers)):
            if not workers:
                found.append(f"no {role} worker is running; start one: bypassflow worker --only {role}")
        if self.sink is None:
            found.append("the sink does not answer; start it: bypassflow sink, and name its address with --url")
        elif self.sink["state"] != "running":
            found.append(f"the sink is {self.sink['state']}: {self.sink['reason']}")
        if self.sink is not None and self.sink["damaged_count"]:
            found.append(
                f"{self.sink['damaged_count']} messages of ours were damaged: reset the live topics and replay"
            )
        return found

    def row(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        return {
            "is_well": not self.problems,
            "is_done": self.is_done,
            "problems": self.problems,
            "ingest_workers": self.ingest_workers,
            "correlate_workers": self.correlate_workers,
            "lags": [
                {
                    "agent": lag.agent,
                    "topic": lag.topic,
                    "partition": lag.partition,
                    "position": lag.position,
                    "end": lag.end,
                    "behind": lag.behind,
                }
                for lag in self.lags
            ],
            "sink": self.sink,
        }


def progress(readers: Readers, sink: Mapping[str, Any] | None, topic_problems: Sequence[str] = ()) -> Progress:
    """Return the pipeline's state from what the broker and the sink say."""
    lags = [lag for lag in readers.ingest if lag.end]
    if sink is not None:
        partition = int(sink.get("partition", 0))
        lags.append(Lag("correlate", "facts", partition, int(sink["folded"]) + 1, readers.facts_end))
        for topic, place in sink["topics"].items():
            # The broker's word on facts is newer than the sink's.
            end = readers.facts_end if topic == "facts" else place["end"] or place["position"]
            lags.append(Lag("sink", topic, partition, place["position"], end))
    return Progress(tuple(lags), readers.ingest_workers, readers.correlate_workers, sink, tuple(topic_problems))


def progress_table(found: Progress) -> RenderableType:
    """Return the state for a terminal: lags by agent and topic, and how far event time is."""
    table = Table("agent", "topic", "partition", box=None, pad_edge=False)
    for title in ("position", "end", "behind"):
        table.add_column(title, justify="right")
    for lag in found.lags:
        table.add_row(lag.agent, lag.topic, str(lag.partition), count(lag.position), count(lag.end), count(lag.behind))
    sink = found.sink or {}
    facts = Table.grid(padding=(0, 2))
    for name, value in (
        ("workers", f"{found.ingest_workers} ingest, {found.correlate_workers} correlate"),
        ("sink", sink.get("state", "does not answer")),
        ("event time read to", sink.get("watermark") or NOTHING),
        ("closed through", sink.get("closed_through") or NOTHING),
    ):
        facts.add_row(name, str(value))
    return Group(table, "", facts)
