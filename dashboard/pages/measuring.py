"""What the company did so that more is logged, and what came of it."""

from __future__ import annotations

from dashboard.access.visitors import may
from dashboard.api import NotThere
from dashboard.pages.rendering import Context, View
from sinks.effects import effect


def measures(view: View) -> Context:
    """Return the company's measures."""
    return {
        "measures": view.annotations.measures() if view.annotations is not None else [],
        "can_add": view.annotations is not None and may("admin"),
    }


def measure(view: View) -> Context:
    """Return a measure with what it changed.

    Raises:
        NotThere: when there is none of this number.
    """
    if view.annotations is None:
        raise NotThere("no measures are kept beside this store")
    known = {str(each.measure_id): each for each in view.annotations.measures()}
    found = known.pop(view.path["measure_id"], None)
    if found is None:
        raise NotThere("there is no measure of this number; the page of measures lists them")
    return {"measure": found, "found": effect(view.store, found, others=list(known.values()))}
