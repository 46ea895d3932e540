"""The command line itself, and how its commands are registered."""

from __future__ import annotations

import errno
import functools
from collections.abc import Callable
from typing import Annotated, ParamSpec

import typer

from agents.exit_codes import EXIT_CONFIGURATION, EXIT_TRANSIENT
from commands import logs
from commands.output import failure
from pipeline.errors import BypassflowError, TransientError

__version__ = "0.1.0"

app = typer.Typer(
    name="bypassflow",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Measures the share of a company's customer interactions that leave no trace in its CRM.",
)
P = ParamSpec("P")


def command(function: Callable[P, None]) -> Callable[P, None]:
    """Register a command whose expected errors become one sentence on standard error and exit code 1."""
    return app.command()(guarded(function))


def process(function: Callable[P, None]) -> Callable[P, None]:
    """Register a command that runs on; by its exit code a service manager knows whether to start it again."""
    return app.command()(guarded(function, refused=EXIT_CONFIGURATION, waiting=EXIT_TRANSIENT))


def guarded(function: Callable[P, None], *, refused: int = 1, waiting: int = 1) -> Callable[P, None]:
    """Return a command that fails with a sentence.

    It ends with `refused` when only a person can help, and with `waiting` when something is away that will come back.
    """

    @functools.wraps(function)
    def run(*arguments: P.args, **options: P.kwargs) -> None:
        try:
            function(*arguments, **options)
        except BypassflowError as error:
            raise failure(str(error), waiting if isinstance(error, TransientError) else refused) from None
        except KeyboardInterrupt:
            raise failure("interrupted; the store is whole, and the same command run again starts afresh") from None
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            place = f"{error.filename}: " if error.filename else ""
            raise failure(f"{place}{(error.strerror or str(error)).lower()}") from None

    return run


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bypassflow {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
    log_format: Annotated[
        logs.LogFormat,
        typer.Option(envvar=logs.FORMAT_VARIABLE, help="How standard error is written: for people, or in JSON lines."),
    ] = logs.LogFormat.CONSOLE,
    log_level: Annotated[
        logs.LogLevel, typer.Option(envvar=logs.LEVEL_VARIABLE, help="The least that is told on standard error.")
    ] = logs.LogLevel.INFO,
) -> None:
    """Measures the share of a company's customer interactions that leave no trace in its CRM."""
    logs.begin(log_format, log_level, context.invoked_subcommand or "bypassflow")
