"""What commands print: data on standard output, everything else on standard error."""

from __future__ import annotations

import json
import logging
import os
import sys
from enum import StrEnum
from typing import Any

import typer
from rich.console import Console, RenderableType

from commands import logs

# Without a terminal there is no width to respect; tables are then as wide as they need.
WIDE = 200
# A table of more rows is read by nobody.
TABLE_ROWS = 50


class Shape(StrEnum):
    """How a command prints what it found."""

    TABLE = "table"
    JSON = "json"


class ReportShape(StrEnum):
    """How a report is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"


class RowShape(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


def failure(sentence: str, code: int = 1) -> typer.Exit:
    """Say what failed, and return what ends the command."""
    logs.tell(sentence, logging.ERROR)
    return typer.Exit(code)


def standard_error() -> Console:
    """Return the console of messages."""
    return Console(stderr=True)


def say(thing: RenderableType) -> None:
    """Print on standard error, where everything goes that is no data."""
    if isinstance(thing, str):
        logs.tell(thing)
    else:
        standard_error().print(thing, markup=False, highlight=False)


def standard_output() -> Console:
    """Return the console of data."""
    return Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDE)


def show(*things: RenderableType) -> None:
    """Print on standard output, for people."""
    console = standard_output()
    for thing in things:
        console.print(thing, markup=False, highlight=False)
    sys.stdout.flush()  # before what is said next on standard error


def write_json(value: Any) -> None:
    """Print on standard output, for programs."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))
