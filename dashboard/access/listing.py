"""Tokens and the trail of access, for people at a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich.table import Column, Table

from dashboard.access.tokens import Token
from dashboard.terminal import instant, or_nothing, right, table

Row = dict[str, Any]


def token_rows(tokens: Iterable[Token], now: datetime) -> list[Row]:
    """Return what may be told of tokens."""
    return [each.model_dump(mode="json", exclude={"digest"}) | {"is_expired": each.is_over(now)} for each in tokens]


def token_table(rows: Sequence[Row]) -> Table:
    """Return the tokens, one line each."""
    result = table(Column("name", no_wrap=True), "scopes", "teams", "created (UTC)", "expires (UTC)")
    for row in rows:
        ends = instant(row["expires_at"]) if row["expires_at"] else "never"
        result.add_row(
            row["name"], ", ".join(row["scopes"]), ", ".join(row["teams"]) or "all", instant(row["created_at"]),
            f"{ends}, expired" if row["is_expired"] else ends,
        )  # fmt: skip
    return result


def trail_table(rows: Sequence[Row]) -> Table:
    """Return lines of the trail, one line each."""
    result = table(
        Column("when (UTC)", no_wrap=True), "who", "route", "format", Column("filter", overflow="fold"), "about",
        right("rows"),
    )  # fmt: skip
    for row in rows:
        filters = "; ".join(f"{name}={','.join(values)}" for name, values in row["filter"].items())
        result.add_row(
            instant(row["at"]), row["who"], row["route"], row["format"], or_nothing(filters), or_nothing(row["about"]),
            or_nothing(None if row["row_count"] is None else f"{row['row_count']:,}"),
        )  # fmt: skip
    return result
