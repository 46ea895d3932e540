"""What was done on a day with our customers, and what was ever done with one of them."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

import pyarrow as pa

from dashboard import api_models as models
from dashboard.api import NotThere, counted
from dashboard.formats import schema_of
from dashboard.pages.rendering import Context, Row, View
from sinks import paging
from sinks.measures import Filters
from sinks.metrics import customers, split
from sinks.metrics.split import levels

MOST_CUSTOMERS: Final = 200
MOST_INTERACTIONS: Final = 500
MOST_DOWNLOADED: Final = 100_000


def day(view: View) -> Context:
    """Return a day: as the address says, else the last one on which anything was done.

    Raises:
        NotThere: when the address names no day.
    """
    named = view.path.get("day")
    try:
        of = date.fromisoformat(named) if named else view.last_day
    except ValueError:
        of = date.max
    if of is not None and of.year in (date.min.year, date.max.year):  # where no day is before it, or after
        raise NotThere("there is no such day; expected one such as 2024-05-31")
    if of is None:
        return {"day": None}
    filters = view.filters(MOST_CUSTOMERS + 1)
    rows = customers.day(view.store, of, filters=filters)
    asked = view.asked.of(of, of)
    (overall,) = split.share(view.store, (), None, asked.filters(view.language.zone))
    return {
        "asked": asked,
        "day": of,
        "before": of - timedelta(days=1),
        "after": of + timedelta(days=1),
        "rows": rows[:MOST_CUSTOMERS],
        "is_cut": len(rows) > MOST_CUSTOMERS,
        "overall": overall,
    }


def history_rows(view: View) -> tuple[list[Row], pa.Schema]:
    """Return the interactions with a customer or an identifier to download, the first of them."""
    names = {"customer": view.path.get("customer_id"), "token": view.path.get("token")}
    values = {name: [value] for name, value in names.items() if value is not None}
    rows = paging.interactions(view.store, Filters(values, limit=MOST_DOWNLOADED))
    if not rows:
        raise NotThere("there is no interaction with this customer in the store")
    return rows, schema_of(models.InteractionRow)


def history(view: View) -> Context:
    """Return the history of a customer of the CRM, or of an identifier that it does not know.

    Raises:
        NotThere: when nothing was ever done with that customer.
    """
    customer, token = view.path.get("customer_id"), view.path.get("token")
    filters = view.filters(MOST_INTERACTIONS + 1)
    rows = customers.history(view.store, customer=customer, token=token, filters=filters)
    if not rows:
        raise NotThere("there is no interaction with this customer in the store")
    found = counted([row["outcome"] for row in rows])
    shown = rows[-MOST_INTERACTIONS:][::-1]
    return {
        "customer": customer,
        "token": token,
        "name": customer or rows[0]["identifier"] or view.language.say("unknown"),
        "rows": shown,
        "is_cut": len(rows) > MOST_INTERACTIONS,
        "overall": found | levels(found),
        "channels": sorted({row["channel"] for row in rows}),
    }
