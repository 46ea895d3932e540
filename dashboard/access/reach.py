"""What the one who asks can reach, so that no page offers a way that ends in a refusal."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from html import unescape
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from starlette.routing import BaseRoute, Match

from dashboard.access.routes import NEEDS, Need
from dashboard.access.visitors import Visitor
from schemas.access import SCOPES, Scope

# Parameters of a question that name teams.
_TEAMS: Final = ("team", "compare_with")
# What leads somewhere: a link, and what a page loads into itself when it is shown or opened.
_LEADING: Final = re.compile(r"<(?:a|div|details)\b[^>]*>")
_THERE: Final = re.compile(r' (?:href|hx-get)="([^"]*)"')
_WAY: Final = re.compile(r' (?:href|hx-[a-z-]+)="[^"]*"| download(?=[ >])')

Pairs = Iterable[tuple[str, str]]


def need_of(routes: Sequence[BaseRoute], scope: dict[str, Any]) -> tuple[str, dict[str, str], Need]:
    """Return the route that will answer, what its path names, and what it asks."""
    method = "GET" if scope["method"] == "HEAD" else scope["method"]
    for route in routes:
        match, child = route.matches(scope)
        if match is Match.FULL:
            name = f"{method} {getattr(route, 'path', '')}"
            # Nothing opens what nobody thought of.
            return name, child.get("path_params", {}), NEEDS.get(name, Need(frozenset(), whole_company=True))
    return "", {}, Need(frozenset())


def asked_scopes(need: Need, asked: Pairs) -> set[Scope]:
    """Return what a route asks of a visitor with these parameters."""
    scopes: set[Scope] = set(need.scopes or ())
    # Figures by representative are asked for by dividing by them, wherever figures are.
    if any(name == "by" and "representative" in value.split(",") for name, value in asked):
        scopes.add("representative")
    return scopes


def is_of_other_teams(need: Need, asked: Pairs, teams: Collection[str]) -> bool:
    """Return whether somebody who may see only these teams asks for others, or for the whole company."""
    return need.whole_company or any(name in _TEAMS and value and value not in teams for name, value in asked)


def without_closed_ways(page: str, visitor: Visitor, routes: Sequence[BaseRoute]) -> str:
    """Return a page whose links lead only to what a visitor may open; the others stay as texts."""
    if visitor.teams is None and visitor.scopes >= set(SCOPES):
        return page
    known: dict[str, bool] = {}

    def may_open(address: str) -> bool:
        if address not in known:
            known[address] = _may_open(address, visitor, routes)
        return known[address]

    return _LEADING.sub(lambda found: _kept(found[0], may_open), page)


def _kept(tag: str, may_open: Callable[[str], bool]) -> str:
    there = _THERE.search(tag)
    if there is None or may_open(unescape(there[1])):
        return tag
    mark = ' aria-disabled="true"' if tag.startswith("<a ") else ""
    return f"{_WAY.sub('', tag)[:-1]}{mark}>"


def _may_open(address: str, visitor: Visitor, routes: Sequence[BaseRoute]) -> bool:
    if not address.startswith("/"):
        return True
    parts = urlsplit(address)
    asked = parse_qsl(parts.query)
    scope = {"type": "http", "method": "GET", "path": unquote(parts.path), "root_path": "", "headers": []}
    _, _, need = need_of(routes, scope)
    if need.scopes is None:
        return True
    if not visitor.scopes >= asked_scopes(need, asked):
        return False
    return visitor.teams is None or not is_of_other_teams(need, asked, visitor.teams)
