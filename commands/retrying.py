"""Dead letters of the live pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.application import app, guarded
from commands.arguments import Bootstrap, KafkaConfig, Shapes
from commands.company import company_of, existing_key, kafka_of
from commands.output import TABLE_ROWS, Shape, failure, say, show, write_json
from dashboard import terminal

if TYPE_CHECKING:
    from agents.dead_letters import DeadLetters


dead_letters = typer.Typer(no_args_is_help=True, help="Show records that could not be used, and try them again.")


app.add_typer(dead_letters, name="dead-letters")


Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="Those whose reason contains this text.")]


@dead_letters.command("list")
@guarded
def list_dead_letters(
    reason: Reason = None,
    by_reason: Annotated[bool, typer.Option("--by-reason", help="Count them by source and reason.")] = False,
    limit: Annotated[int | None, typer.Option(help="At most so many; a table shows 50 unless told.")] = None,
    config: KafkaConfig = None,
    bootstrap: Bootstrap = None,
    format: Shapes = Shape.TABLE,
) -> None:
    """Print which records could not be used, where they stand and why."""
    from itertools import islice

    most = limit if limit is not None or format is Shape.JSON else TABLE_ROWS
    with _dead_letters(config, bootstrap) as (letters, _):
        rows: list[dict[str, Any]]
        if by_reason:
            rows = [
                {"source": source, "reason": text, "count": count} for source, text, count in letters.reasons(reason)
            ]
        else:
            rows = [
                {
                    "raw_id": letter.raw_id,
                    "reason": letter.reason,
                    "topic": letter.topic,
                    "refused_at": letter.written_at,
                }
                for letter in islice(letters.find(reason=reason), most)
            ]
    if format is Shape.JSON:
        write_json(rows)
    elif rows:
        show(terminal.letter_table(rows[:most]))
    else:
        say("no dead letters")


@dead_letters.command("show")
@guarded
def show_dead_letter(
    raw_id: Annotated[str, typer.Argument(help="Identity of the record, as list prints it.")],
    config: KafkaConfig = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Print one record as it was received, with everything in clear."""
    with _dead_letters(config, bootstrap) as (letters, _):
        letter = letters.one(raw_id)
    say(f"{letter.raw_id} from {letter.topic}, refused {letter.written_at:%Y-%m-%d %H:%M:%S} UTC: {letter.reason}")
    typer.echo(letter.value)


@dead_letters.command("retry")
@guarded
def retry_dead_letters(
    raw_ids: Annotated[list[str] | None, typer.Argument(metavar="RAW_ID", help="Identities of records.")] = None,
    reason: Reason = None,
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    config: KafkaConfig = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Publish records again, once what was wrong is mended.

    They keep their identity: one that is used then is a dead letter no longer.
    """
    if sum((bool(raw_ids), reason is not None, every)) != 1:
        raise typer.BadParameter("name records, or give one of --reason and --all")
    with _dead_letters(config, bootstrap) as (letters, partitions):
        count = letters.retry(letters.find(raw_ids or (), reason), partitions)
    if not count:
        raise failure("no dead letter fits; `bypassflow dead-letters list` shows them")
    say(f"published {count:,} records again")


@contextmanager
def _dead_letters(config: Path | None, bootstrap: str | None) -> Iterator[tuple[DeadLetters, int]]:
    """Give the company's dead letters, and how many partitions a raw topic has."""
    from agents.dead_letters import DeadLetters
    from agents.log import KafkaLog
    from pipeline.sealing import Seal

    company = company_of([Path()], config)
    settings, credentials = kafka_of(company, bootstrap)
    seal = Seal(existing_key(company))
    with KafkaLog(settings, credentials) as log:
        yield DeadLetters(log, company.configuration.company.id, settings.fact_partitions, seal), settings.partitions
