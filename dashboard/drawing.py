"""A management report drawn on a sheet of paper, A4 upright; it needs no display."""

from __future__ import annotations

import bisect
import io
import warnings
from typing import TYPE_CHECKING, Any, Final

import matplotlib
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

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
_FONT: Final = "DejaVu Sans"
# Of a longer text no more than this is looked at.
_LONGEST_NAME: Final = 200
_MEASURE: Final = TextToPath()
_POINTS: Final = 72 * _WIDTH
_COLUMN: Final = 0.58
_LOWEST: Final = 0.025
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
    with (
        warnings.catch_warnings(),
        matplotlib.rc_context({"pdf.fonttype": 42, "font.family": _FONT, "text.parse_math": False}),
    ):
        # A letter that the font lacks is a box; whoever sends the report sees it, and no warning helps.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=(_WIDTH, _HEIGHT), facecolor="white")
        draw_sheet(figure, report)
        content = io.BytesIO()
        # Without its time the same report is the same file.
        about = {"CreationDate": None, "Title": report.language.say("Bypass share")} if kind == "pdf" else {}
        figure.savefig(content, format=kind, dpi=_DPI, metadata=about)
        return content.getvalue()


def draw_sheet(figure: Figure, report: ManagementReport) -> None:
    """Draw everything on a figure of A4's size, whatever its letters will be drawn with."""
    _Sheet(figure, report).draw()


class _Sheet:
    """Draws from the top down; places are proportions of the sheet."""

    def __init__(self, figure: Figure, report: ManagementReport) -> None:
        self._figure = figure
        self._report = report
        self._t = report.language

    def draw(self) -> None:
        """Draw everything."""
        say, row = self._t.say, self._report.overall
        self._write(0.978, _cut(self._report.company, _RIGHT - _LEFT, 9), size=9, color=_SOFT)
        self._write(0.955, say("How much bypasses the CRM?"), size=18, weight="bold")
        self._write(0.933, _cut(self._report.about(), _RIGHT - _LEFT, 10), size=10, color=_SOFT)
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
                room=_RIGHT - 0.4,
            )
            interval = self._t.interval(row["bypass_share_low"], row["bypass_share_high"])
            self._write(0.85, f"{say('95 % interval')} {interval}", size=9, color=_SOFT)
            self._levels()
        else:
            self._write(0.9, say("Nothing is decided in this period."), at=0.4, size=10)
        if self._report.change is not None:
            self._write(0.823, self._report.changed(), size=9, color=_SOFT)
        self._title(0.795, say("Since when?"))
        self._trend(self._axes(0.62, 0.16))
        self._title(0.57, say("Where?"))
        self._foot(self._heat(0.56) - 0.035)

    def _write(self, y: float, text: str, *, at: float = _LEFT, room: float | None = None, **style: Any) -> int:
        """Write a text, in as few lines as have room; return how many it took."""
        lines = [_plain(text)]
        if room is not None:
            lines = _lines(text, room, style["size"], style.get("weight", "normal"))
        self._figure.text(at, y, "\n".join(lines), va="top" if room else "baseline", **({"color": _INK} | style))
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
            at += 0.03 + _extent(text, 7.5)

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
        axes.tick_params(axis="x", pad=8)

    def _heat(self, top: float) -> float:
        """Draw the table of teams and channels, and beside it what leaks most; return where they end."""
        teams, channels = self._report.teams, self._report.channels
        if not teams:
            return top
        line = 0.0235
        named = 0.2 if len(channels) <= 3 else 0.15
        left = _LEFT + named
        column = min(0.11, (_COLUMN - 0.01 - left) / len(channels))
        for number, channel in enumerate(channels):
            words = self._t.title(channel).split()
            size = min(8.0, *(8 * 0.94 * column / _extent(word, 8) for word in words))
            at = left + (number + 0.5) * column
            self._figure.text(at, top - 0.016, "\n".join(words), size=size, color=_SOFT, ha="center", va="bottom")
        cells = {place: self._cell(row) for place, row in self._report.cells.items()}
        is_counted = all(_extent(text, 7.5) < 0.96 * column for text in cells.values())
        if is_counted:
            said = f"{self._t.say('Bypass share')} / {self._t.say('Decided')}"
            self._write(top - 0.014, _cut(said, named - 0.01, 7), size=7, color=_SOFT)
        foot = top - 0.02 - line * len(teams)
        axes = self._axes(foot, line * len(teams), left=left, right=left + column * len(channels))
        axes.set_axis_off()
        axes.set_xlim(0, len(channels))
        axes.set_ylim(len(teams), 0)
        for y, team in enumerate(teams):
            name = _cut(self._t.group("team", team), named - 0.01, 8.5)
            self._write(top - 0.02 - line * (y + 0.65), name, size=8.5)
            for x, channel in enumerate(channels):
                row = self._report.cells.get((team, channel))
                share = row["bypass_share"] if row else None
                axes.add_patch(
                    matplotlib.patches.Rectangle(
                        (x, y), 1, 1, facecolor=COLOURS["bypassed"] if share is not None else "white",
                        alpha=0.6 * share if share is not None else 1, edgecolor="white", linewidth=1,
                    )
                )  # fmt: skip
                text = cells.get((team, channel), "–") if is_counted else self._t.percent(share, 0)
                axes.text(x + 0.5, y + 0.5, text, ha="center", va="center", size=7.5, color=_INK)
        if self._report.hidden_teams:
            said = self._t.say_many("and %(n)s more team", "and %(n)s more teams", self._report.hidden_teams)
            foot -= 0.014
            self._write(foot, said, size=8, color=_SOFT)
        return min(foot, self._leaks(top))

    def _cell(self, row: dict[str, Any]) -> str:
        if row["bypass_share"] is None:
            return self._t.percent(None)
        return f"{self._t.percent(row['bypass_share'], 0)} / {self._t.count(row['decided_count'])}"

    def _leaks(self, top: float) -> float:
        at, y = _COLUMN, top - 0.005
        room = _RIGHT - at
        self._write(y, self._t.say("Which leaks most, for sure?"), at=at, size=10, weight="bold")
        y -= 0.012
        for number, row in enumerate(self._report.leaks, 1):
            team = f"{number}. {self._t.group('team', row['team'])}"
            channel = f", {self._t.title(row['channel'])}"
            if _extent(team + channel, 9, "bold") > room:
                team = _cut(team, room - _extent(channel, 9, "bold"), 9, "bold")
            y -= 0.013 * self._write(y, team + channel, at=at, size=9, weight="bold", room=room)
            y -= 0.012 * self._write(y - 0.001, self._report.leak(row), at=at, size=8.5, color=_SOFT, room=room) + 0.012
        return y

    def _foot(self, y: float) -> None:
        self._title(y, self._t.say("How sure is that?"))
        y -= 0.012
        doubts = [_lines(f"• {each}", _RIGHT - _LEFT, 8.5) for each in self._report.doubts()]
        # Many warnings are written smaller, so that none runs off the sheet.
        heights = [0.0125 * len(lines) + 0.003 for lines in doubts]
        scale = min(1.0, (y - _LOWEST) / sum(heights))
        for lines, height in zip(doubts, heights, strict=True):
            self._figure.text(_LEFT, y, "\n".join(lines), va="top", size=8.5 * scale, color=_SOFT)
            y -= height * scale


def _plain(text: str) -> str:
    """Return a text without characters that control something."""
    return "".join(character if character.isprintable() else " " for character in text)


def _extent(text: str, size: float, weight: str = "normal") -> float:
    """Return how wide a text is, as a proportion of the sheet; `size` in points."""
    font = FontProperties(family=_FONT, size=size, weight=weight)
    return float(_MEASURE.get_text_width_height_descent(_plain(text), font, False)[0]) / _POINTS


def _cut(text: str, room: float, size: float, weight: str = "normal") -> str:
    """Return as much of a text as has room."""
    text = _plain(text)
    if len(text) <= _LONGEST_NAME and _extent(text, size, weight) <= room:
        return text
    lengths = range(min(len(text), _LONGEST_NAME) + 1)
    fitting = bisect.bisect_right(lengths, room, key=lambda length: _extent(f"{text[:length]}…", size, weight))
    return f"{text[: max(0, fitting - 1)].rstrip()}…"


def _lines(text: str, room: float, size: float, weight: str = "normal") -> list[str]:
    """Return a text in at most two lines that have room; what is left over is cut."""
    words = _plain(text).split(" ")
    fitting = 1
    while fitting < len(words) and _extent(" ".join(words[: fitting + 1]), size, weight) <= room:
        fitting += 1
    lines = [" ".join(words[:fitting]), " ".join(words[fitting:])]
    return [_cut(line, room, size, weight) for line in lines if line]
