"""The gist of a period in words, in the reader's language: what reports and digests tell alike."""

from __future__ import annotations

from dataclasses import dataclass

from dashboard.pages.languages import Language
from sinks.gist import Gist, Row


@dataclass(frozen=True, kw_only=True)
class GistTold(Gist):
    """A gist, and the language in which it is told."""

    language: Language

    @property
    def untraced_count(self) -> int:
        """How many decided interactions left no trace on a customer."""
        return int(self.overall["siloed_count"] + self.overall["bypassed_count"])

    def about(self) -> str:
        """Return in words what it is about: the days from the first interaction to the last, and the filters."""
        t = self.language
        said = [t.say("no interaction")]
        if self.first_day is not None and self.last_day is not None:
            said = [f"{t.day(self.first_day)} – {t.day(self.last_day)}"]
        for name, values in self.wanted.items():
            said.append(f"{t.title(name)}: {', '.join(t.group(name, each) for each in values)}")
        return " · ".join(said)

    def changed(self) -> str:
        """Return in words how the share changed, in which days, and how sure that is; empty when nothing is known."""
        if self.change is None:
            return ""
        t, row = self.language, self.change
        said = t.say("%(points)s points against the period before", points=t.points(row["bypass_share_change"]))
        sure = f"{t.points(row['bypass_share_change_low'])} … {t.points(row['bypass_share_change_high'])}"
        if self.compared is None:
            return f"{said} ({sure})"
        days = " – ".join(t.day(day) for day in dict.fromkeys(self.compared))
        return f"{days}: {said} ({sure})"

    def leak(self, row: Row) -> str:
        """Return in words how much of a group leaves no trace."""
        say, t = self.language.say, self.language
        return say(
            "%(untraced)s of %(decided)s left no trace: %(share)s (95 %% interval %(interval)s)",
            untraced=t.count(row["siloed_count"] + row["bypassed_count"]),
            decided=t.count(row["decided_count"]),
            share=t.percent(row["bypass_share"]),
            interval=t.interval(row["bypass_share_low"], row["bypass_share_high"]),
        )

    def doubts(self) -> list[str]:
        """Return in words how sure the number is."""
        say, t, row = self.language.say, self.language, self.overall
        said = []
        if row["pending_count"]:
            said.append(
                say(
                    "%(pending)s interactions are pending and in no share: with them it lies between %(lowest)s and "
                    "%(highest)s.",
                    pending=t.count(row["pending_count"]),
                    lowest=t.percent(row["lowest_bypass_share"]),
                    highest=t.percent(row["highest_bypass_share"]),
                )
            )
        if self.unsettled_from is not None:
            said.append(
                say(
                    "From %(day)s on, traces are still being logged; what is decided so far does not stand for the "
                    "whole.",
                    day=t.day(self.unsettled_from),
                )
            )
        if self.complete_through is not None:
            said.append(say("The CRM has been read to %(moment)s.", moment=t.moment(self.complete_through)))
        said.append(
            say(
                "The interval is that of chance alone; how far matches can be trusted is measured by a placebo and a "
                "judged sample."
            )
        )
        return [*said, *self.warnings]
