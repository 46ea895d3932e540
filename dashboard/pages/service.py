"""What customers who write and call get back, beside figures that were published."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from dashboard.pages import pictures
from dashboard.pages.rendering import Context, View
from sinks.metrics import delay, missed, scatter, service

MOST_MISSED: Final = 50


def emails(view: View) -> Context:
    """Return what mail got back, and how fast traces are logged."""
    filters = view.filters()
    (mail,) = service.emails(view.store, filters)
    (openings,) = service.emails(view.store, filters, openings_only=True)
    curve = delay.curve(view.store, filters=filters)
    return {
        "mail": mail,
        "openings": openings,
        "published": {
            "source": service.PUBLISHED_SOURCE,
            "unanswered_share": service.PUBLISHED_UNANSWERED_SHARE,
            "unacknowledged_share": service.PUBLISHED_UNACKNOWLEDGED_SHARE,
            "response_seconds": service.PUBLISHED_RESPONSE.total_seconds(),
        },
        "curve": curve,
        "picture": pictures.curve(
            view.language, curve, "hours", "logged_share", "logged_share_low", "logged_share_high",
            lambda row: view.language.length(row["hours"] * 3_600),
        ),
        "delays": delay.delays(view.store, (), filters)[0],
    }  # fmt: skip


def calls(view: View) -> Context:
    """Return what became of calls that nobody took. Only the period counts: a call nobody took has no team."""
    (row,) = missed.calls(view.store, replace(view.filters(), values={}))
    return {"calls": row}


def lost(view: View) -> Context:
    """Return the last calls that nobody took, and after which nobody called back."""
    filters = replace(view.filters(MOST_MISSED), values={})
    return {"missed": missed.missed_calls(view.store, filters, fate="lost")}


def continuity(view: View) -> Context:
    """Return over how many systems histories lie, and how often customers must explain everything again."""
    return {
        "systems": scatter.scatter(view.store, view.filters()),
        "returns": scatter.continuity(view.store, view.filters()),
        "published": {"systems": scatter.PUBLISHED_SYSTEMS, "not_found_share": scatter.PUBLISHED_NOT_FOUND_SHARE},
    }
