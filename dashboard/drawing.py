"""A management report drawn on a sheet of paper, A4 upright; it needs no display."""

from __future__ import annotations

import io
import textwrap
from typing import TYPE_CHECKING, Any, Final

import matplotlib
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dashboard.management_report import ManagementReport

_WIDTH: Final = 8.27
_HEIGHT: Final = 11.69
_LEFT: Final = 0.09
_RIGHT: Final = 0.93
_INK: Final = "#16202a"
_SOFT: Final = "#4a5866"
_LINE: Final = "#d5dce3"
# Blue, orange and vermilion: the colour-blind tell them apart.
COLOURS: Final = {"traced": "#0b6ea8", "siloed": "#d99000", "bypassed": "#c8480f", "pending": "#7a8794"}
_LONGEST_NAME: Final = 26
_MOST_TICKS: Final = 6
_DPI: Final = 150


def trend_points(report: ManagementReport, width: float, height: float) -> list[dict[str, Any]]:
    """Return where each interval of the trend lies on a drawing, 0 % at its foot; None where nothing is decided."""
    step = width / max(1, len(report.trend))

    def down(share: float | None) -> float | None:
        return None if share is None else round(height * (1 - share), 1)

    return [
        {
            "x": round((number + 0.5) * step, 1),
            "left": round(number * step, 1),
            "width": round(step, 1),
            "y": down(row["bypass_share"]),
            "low": down(row["bypass_share_low"]),
            "high": down(row["bypass_share_high"]),
            "label": report.language.group(report.interval, row[report.interval]),
            "is_unsettled": report.is_unsettled(row),
            "row": row,
        }
        for number, row in enumerate(report.trend)
    ]


def drawn(report: ManagementReport, kind: str) -> bytes:
    """Return the sheet as pdf or png."""
    # Letters are kept as letters, so that a report can be searched and read aloud; a dollar sign begins no formula.
    with matplotlib.rc_context({"pdf.fonttype": 42, "font.family": "DejaVu Sans", "text.parse_math": False}):
        figure = Figure(figsize=(_WIDTH, _HEIGHT), facecolor="white")
        _Sheet(figure, report).draw()
        content = io.BytesIO()
        # Without its time the same report is the same file.
        about = {"CreationDate": None, "Title": report.language.say("Bypass share")} if kind == "pdf" else {}
        figure.savefig(content, format=kind, dpi=_DPI, metadata=about)
        return content.getvalue()


class _Sheet:
    """Draws from the top down; places are proportions of the sheet."""

    def __init__(self, figure: Figure, report: ManagementReport) -> None:
        self._figure = figure
        self._report = report
        self._t = report.language

    def draw(self) -> None:
        """Draw everything."""
        say, row = self._t.say, self._report.overall
        self._write(0.955, say("How much bypasses the CRM?"), size=18, weight="bold")
        self._write(0.933, self._report.about(), size=10, color=_SOFT)
        self._write(0.868, self._t.percent(row["bypass_share"]), size=40, weight="bold", color=COLOURS["bypassed"])
        if row["decided_count"]:
            self._write(
                0.916,
                say(
                    "Of %(decided)s interactions that are decided, %(untraced)s left no trace on a customer in "
                    "the CRM.",
                    decided=self._t.count(row["decided_count"]),
                    untraced=self._t.count(self._report.untraced_count),
                ),
                at=0.4,
                size=10,
                wrap=62,
            )
            interval = self._t.interval(row["bypass_share_low"], row["bypass_share_high"])
            self._write(0.85, f"{say('95 % interval')} {interval}", size=9, color=_SOFT)
            self._levels()
        else:
            self._write(0.9, say("Nothing is decided in this period."), at=0.4, size=10)
        if self._report.change is not None:
            change = self._report.change
            self._write(
                0.835,
                say(
                    "%(points)s points against the period before",
                    points=self._t.points(change["bypass_share_change"]),
                )
                + f" ({self._t.points(change['bypass_share_change_low'])} … "
                f"{self._t.points(change['bypass_share_change_high'])})",
                size=9,
                color=_SOFT,
            )
        self._title(0.795, say("Since when?"))
        self._trend(self._axes(0.62, 0.16))
        self._title(0.565, say("Where?"))
        self._foot(self._heat(0.55) - 0.05)

    def _write(self, y: float, text: str, *, at: float = _LEFT, wrap: int | None = None, **style: Any) -> int:
        """Write a text; return how many lines it took."""
        lines = textwrap.wrap(_plain(text), wrap) if wrap else [_plain(text)]
        self._figure.text(at, y, "\n".join(lines), va="top" if wrap else "baseline", **({"color": _INK} | style))
        return len(lines)

    def _title(self, y: float, text: str) -> None:
        self._write(y, text, size=12, weight="bold")

    def _axes(self, bottom: float, height: float, left: float = _LEFT, right: float = _RIGHT) -> Axes:
        axes = self._figure.add_axes((left, bottom, right - left, height))
        for side in ("top", "right", "left", "bottom"):
            axes.spines[side].set_visible(False)
        axes.tick_params(length=0, labelsize=8, labelcolor=_SOFT)
        return axes

    def _levels(self) -> None:
        row = self._report.overall
        axes = self._axes(0.865, 0.014, left=0.4)
        axes.set_xlim(0, 1)
        axes.set_axis_off()
        left, parts = 0.0, []
        for name in ("traced", "siloed", "bypassed"):
            axes.barh(0, row[f"{name}_share"], left=left, height=1, color=COLOURS[name])
            left += row[f"{name}_share"]
            parts.append((name, f"{self._t.title(name)} {self._t.percent(row[f'{name}_share'])}"))
        parts.append(("pending", f"{self._t.title('pending')} {self._t.count(row['pending_count'])}"))
        at = 0.4
        for name, text in parts:
            self._write(0.848, "■", at=at, size=9, color=COLOURS[name])
            self._write(0.848, text, at=at + 0.016, size=7.5)
            at += 0.028 + 0.0068 * len(text)

    def _trend(self, axes: Axes) -> None:
        rows = self._report.trend
        axes.set_ylim(0, 100)
        axes.set_xlim(-0.5, max(0.5, len(rows) - 0.5))
        axes.yaxis.grid(True, color=_LINE, linewidth=0.7)
        axes.set_axisbelow(True)
        axes.set_yticks([0, 25, 50, 75, 100], [self._t.percent(share, 0) for share in (0, 0.25, 0.5, 0.75, 1)])
        known = [(x, row) for x, row in enumerate(rows) if row["bypass_share"] is not None]
        if known:
            places = [x for x, _ in known]
            axes.fill_between(
                places,
                [100 * row["bypass_share_low"] for _, row in known],
                [100 * row["bypass_share_high"] for _, row in known],
                color=COLOURS["bypassed"],
                alpha=0.2,
                linewidth=0,
            )
            shares = [100 * row["bypass_share"] for _, row in known]
            axes.plot(places, shares, color=COLOURS["bypassed"], marker="o", markersize=3, linewidth=1.4)
        for x, row in enumerate(rows):
            if self._report.is_unsettled(row):
                axes.axvspan(
                    x - 0.5,
                    x + 0.5,
                    facecolor="none",
                    edgecolor=COLOURS["pending"],
                    hatch="////",
                    linewidth=0,
                    alpha=0.5,
                )
        every = max(1, -(-len(rows) // _MOST_TICKS))
        shown = range(0, len(rows), every)
        names = [self._t.group(self._report.interval, rows[x][self._report.interval]) for x in shown]
        axes.set_xticks(list(shown), names)

    def _heat(self, top: float) -> float:
        """Draw the table of teams and channels, and beside it what leaks most; return where they end."""
        teams, channels = self._report.teams, self._report.channels
        if not teams:
            return top
        line = 0.0235
        left, column = _LEFT + 0.2, min(0.085, 0.26 / len(channels))
        for number, channel in enumerate(channels):
            self._write(
                top - 0.012, self._t.title(channel), at=left + (number + 0.5) * column, size=8, color=_SOFT, ha="center"
            )
        foot = top - 0.02 - line * len(teams)
        axes = self._axes(foot, line * len(teams), left=left, right=left + column * len(channels))
        axes.set_axis_off()
        axes.set_xlim(0, len(channels))
        axes.set_ylim(len(teams), 0)
        for y, team in enumerate(teams):
            self._write(top - 0.02 - line * (y + 0.65), _short(self._t.group("team", team)), size=8.5)
            for x, channel in enumerate(channels):
                row = self._report.cells.get((team, channel))
                share = row["bypass_share"] if row else None
                axes.add_patch(
                    matplotlib.patches.Rectangle(
                        (x, y), 1, 1, facecolor=COLOURS["bypassed"] if share is not None else "white",
                        alpha=0.6 * share if share is not None else 1, edgecolor="white", linewidth=1,
                    )
                )  # fmt: skip
                axes.text(
                    x + 0.5, y + 0.5, self._t.percent(share, 0), ha="center", va="center", size=8, color=_INK,
                )  # fmt: skip
        if self._report.hidden_teams:
            said = self._t.say_many("and %(n)s more team", "and %(n)s more teams", self._report.hidden_teams)
            foot -= 0.014
            self._write(foot, said, size=8, color=_SOFT)
        return min(foot, self._leaks(top))

    def _leaks(self, top: float) -> float:
        at, y = 0.58, top - 0.005
        self._write(y, self._t.say("Which leaks most, for sure?"), at=at, size=10, weight="bold")
        y -= 0.012
        for number, row in enumerate(self._report.leaks, 1):
            y -= 0.013 * self._write(y, f"{number}. {self._report.group(row)}", at=at, size=9, weight="bold", wrap=44)
            y -= 0.012 * self._write(y - 0.001, self._report.leak(row), at=at, size=8.5, color=_SOFT, wrap=48) + 0.012

        return y

    def _foot(self, y: float) -> None:
        self._title(y, self._t.say("How sure is that?"))
        y -= 0.012
        for each in self._report.doubts():
            y -= 0.0125 * self._write(y, f"• {each}", size=8.5, color=_SOFT, wrap=115) + 0.003


def _plain(text: str) -> str:
    """Return a text without characters that control something."""
    return "".join(character if character.isprintable() else " " for character in text)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"
