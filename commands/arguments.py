"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.output import Shape

DIMENSIONS = (
    "Dimensions, with commas: channel, line, team, function, direction, source, segment, reason, hour, weekday, day, "
    "week, month, representative."
)
LISTEN = "127.0.0.1:8766"
Paths = Annotated[list[Path], typer.Argument(help="Files and directories to read.")]
Directory = Annotated[Path, typer.Argument(help="Directory with the files.")]
Config = Annotated[
    Path | None, typer.Option(help="Configuration; default: bypassflow.toml in the given directory, if there is one.")
]
CompanyConfig = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Configuration; default: bypassflow.toml beside the store."),
]
KafkaConfig = Annotated[
    Path | None, typer.Option("--config", help="Configuration; default: bypassflow.toml here, if there is one.")
]
StoreConfig = Annotated[
    Path | None,
    typer.Option("--config", help="Configuration; default: bypassflow.toml beside the store, or here."),
]
Bootstrap = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        envvar="BYPASSFLOW_BOOTSTRAP",
        help="Brokers to begin with, with commas; instead of the configuration's.",
    ),
]
Shapes = Annotated[Shape, typer.Option(help="How to print it.")]
Values = Annotated[list[str] | None, typer.Option(metavar="VALUE", help="Only these; may be repeated.")]
Since = Annotated[str | None, typer.Option(metavar="DATE", help="From this day or instant on, in the company's zone.")]
Until = Annotated[str | None, typer.Option(metavar="DATE", help="Before this day or instant.")]
Database = Annotated[Path, typer.Option("--db", envvar="BYPASSFLOW_DB", help="The store, a DuckDB file.")]
AnyDatabase = Annotated[
    Path | None, typer.Option("--db", envvar="BYPASSFLOW_DB", help="The store, a DuckDB file that nobody writes.")
]
Url = Annotated[
    str | None, typer.Option(metavar="URL", help="A running sink, such as http://127.0.0.1:8766, in place of a file.")
]
AnnotationsFile = Annotated[
    Path | None,
    typer.Option(
        "--annotations", envvar="BYPASSFLOW_ANNOTATIONS", metavar="FILE",
        help="Where measures and labels are kept; default: beside the store, *.annotations.sqlite.",
    ),
]  # fmt: skip
Note = Annotated[str, typer.Option(help="What else is to be known.")]
Author = Annotated[str, typer.Option(envvar="USER", show_default=False, help="Who says so; default: who you are.")]
Watching = Annotated[
    str | None,
    typer.Option(
        "--metrics", metavar="HOST:PORT", help="Where to answer /metrics, /healthz and /readyz; not said: nowhere."
    ),
]


def is_typed(context: typer.Context, parameter: str) -> bool:
    """Return whether an option stands on the command line, and is no default or variable of the environment."""
    source = context.get_parameter_source(parameter)
    return source is not None and source.name == "COMMANDLINE"
