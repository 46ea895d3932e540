"""The topics of the live pipeline."""

from __future__ import annotations

import typer

from commands.application import app, guarded
from commands.arguments import Bootstrap, KafkaConfig, Shapes
from commands.company import kafka_here
from commands.output import Shape, failure, say, show, write_json
from dashboard import terminal

topics = typer.Typer(no_args_is_help=True, help="Make and check the topics of the live pipeline.")


app.add_typer(topics, name="topics")


@topics.command("create")
@guarded
def create_topics(config: KafkaConfig = None, bootstrap: Bootstrap = None) -> None:
    """Make the topics that are missing.

    Prints their names. Topics that are there stay as they are.
    """
    from agents import topics as agent

    settings, credentials = kafka_here(config, bootstrap)
    made = agent.create_topics(settings, credentials)
    for name in made:
        typer.echo(name)
    say(f"made {len(made)} of {len(settings.topics())} topics; the others were there")


@topics.command("check")
@guarded
def check_topics(config: KafkaConfig = None, bootstrap: Bootstrap = None) -> None:
    """Compare the topics with the configuration.

    Says what is missing or different, and ends with 1 then.
    """
    from agents import topics as agent

    settings, credentials = kafka_here(config, bootstrap)
    differences = agent.check_topics(settings, credentials)
    for difference in differences:
        say(difference)
    if differences:
        raise failure("the topics are not as the configuration asks for; see above")
    say(f"{len(settings.topics())} topics are as the configuration asks for")


@topics.command("describe")
@guarded
def describe_topics(
    config: KafkaConfig = None,
    bootstrap: Bootstrap = None,
    format: Shapes = Shape.TABLE,
) -> None:
    """Print what the topics are for and how they are kept."""
    from agents import topics as agent

    rows = agent.describe_topics(*kafka_here(config, bootstrap))
    if format is Shape.JSON:
        write_json(rows)
    else:
        show(terminal.topic_table(rows))
