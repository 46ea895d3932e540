"""The `bypassflow` command.

Its commands stand in `commands/`, the only place that builds and connects things, and the only one that asks for the
clock, the environment and randomness. Data goes to standard output, everything else to standard error. Exit codes: 0
fine, 1 failure, 2 usage.

Heavy modules are imported by the commands that need them: --help and shell completion must be quick.
"""

from __future__ import annotations

# A command is there once its module is imported; in the order of --help.
# isort: off
import commands.preparing
import commands.replaying
import commands.answering
import commands.accounting
import commands.measuring
import commands.labelling
import commands.topics
import commands.workers
import commands.sink
import commands.receiving
import commands.retrying
import commands.pulling
import commands.examining
import commands.serving
import commands.admitting
import commands.notifying
import commands.keeping

# isort: on
from commands import logs
from commands.application import __version__, app

__all__ = ["__version__", "app", "commands", "main"]


def main() -> None:
    """Run the command line."""
    logs.catch_all()
    app()


if __name__ == "__main__":
    main()
