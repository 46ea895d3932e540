"""Whether our program would take a command line that stands in a file for somebody else's program to run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer

import cli


def refusal(arguments: Sequence[str]) -> str | None:
    """Return why the arguments after `bypassflow` are refused, None when they are taken. Nothing is run.

    >>> refusal(["topics", "create"])
    >>> refusal(["topics", "make"])
    "No such command 'make'."
    >>> refusal(["sink"])
    "Missing option '--db'."
    """
    command: Any = typer.main.get_command(cli.app)
    rest, name = list(arguments), "bypassflow"
    try:
        while hasattr(command, "commands"):
            context = command.make_context(name, rest)
            name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        command.make_context(name, rest)
    except Exception as error:
        # Typer brings a Click of its own; only its errors know how they are told.
        if not hasattr(error, "format_message"):
            raise
        return str(error.format_message())
    return None
