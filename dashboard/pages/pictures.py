"""What the charts of the pages show, as data: how it is drawn stands in `static/pictures.js`.

Whatever is shown as a picture is in a table too; the pictures are not needed to understand a page.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from dashboard.pages.languages import Language

Row = Mapping[str, Any]
Picture = dict[str, Any]


def trend(
    language: Language,
    rows: Sequence[Row],
    interval: str,
    link: Callable[[Row], str | None],
    *,
    unsettled: Collection[str] = (),
    notes: Mapping[str, Sequence[str]] | None = None,
) -> Picture:
    """Return the share over time with its interval; percentages 0-100.

    `unsettled` are names of intervals whose share is not to be believed yet, `notes` what happened in an interval.
    """
    said = notes or {}
    return {
        "kind": "trend",
        "names": {
            "share": language.say("bypass share"),
            "interval": language.say("95 % interval"),
            "unsettled": language.say("not settled yet"),
        },
        "language": language.locale.language,
        "points": [
            {
                "label": language.group(interval, row[interval]),
                "share": _hundred(row["bypass_share"]),
                "low": _hundred(row["bypass_share_low"]),
                "high": _hundred(row["bypass_share_high"]),
                "said": f"{language.percent(row['bypass_share'])} "
                f"({language.interval(row['bypass_share_low'], row['bypass_share_high'])})",
                "isUnsettled": row[interval] in unsettled,
                "notes": list(said.get(row[interval], ())),
                "link": link(row),
            }
            for row in rows
        ],
    }


def curve(
    language: Language, rows: Sequence[Row], x: str, y: str, low: str, high: str, label: Callable[[Row], str]
) -> Picture:
    """Return a share that grows with something, with its interval."""
    return {
        "kind": "curve",
        "names": {"share": language.say("logged"), "interval": language.say("95 % interval")},
        "language": language.locale.language,
        "points": [
            {
                "label": label(row),
                "x": row[x],
                "share": _hundred(row[y]),
                "low": _hundred(row[low]),
                "high": _hundred(row[high]),
                "said": language.percent(row[y]),
            }
            for row in rows
        ],
    }


def _hundred(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 2)
