"""Before a run: write a configuration, check the files, make a fictitious company, list what is known."""

from __future__ import annotations

import os
import secrets
from dataclasses import asdict
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from commands.application import command
from commands.arguments import Config, Directory, Shapes
from commands.company import company_of, identifiers_of, utc_now
from commands.output import Shape, failure, say, show, standard_error, write_json
from dashboard import terminal
from dashboard.reading import Reading
from pipeline.errors import ConfigurationError


@command
def init(
    directory: Directory,
    force: Annotated[bool, typer.Option("--force", help="Replace a bypassflow.toml that is there.")] = False,
) -> None:
    """Write a commented bypassflow.toml.

    Looks at the files in the directory, guesses the columns of tables that no parser knows, and makes the company's
    secret key.
    """
    from pipeline.configuration import FILE_NAME
    from pipeline.sources import discovery, proposal
    from schemas.settings import Configuration
    from sinks.keyfile import load_or_create_key

    target = directory / FILE_NAME
    if target.exists() and not force:
        raise ConfigurationError(f"{target} is there already; change it, or replace it with --force")
    survey = discovery.survey([directory], Configuration(), directory)
    company = proposal.describe_company(directory.absolute().name, survey.inputs)
    proposed = proposal.propose(survey, company, _local_zone())
    target.write_text(proposed.text, encoding="utf-8")
    say(
        f"wrote {target}: {len(survey.inputs)} recognised, {proposed.guessed_count} guessed from the names of their "
        f"columns, {proposed.unread_count} not read yet"
    )
    key_path = directory / Configuration().privacy.key_file
    _, is_new = load_or_create_key(key_path, secrets.token_bytes)
    if is_new:
        say(f"made {key_path}, the secret key of the tokens; keep it with the store's backups, but not beside them")
    say(f"next: look at {target.name}, then: bypassflow check {directory}")


@command
def check(directory: Directory, config: Config = None) -> None:
    """Check configuration and files; write nothing.

    Recognises and counts every file, validates the directory of representatives, and shows the first problems with
    their lines. Then it sets the sources side by side: the time that each covers, when it was silent though usually it
    is not, and who took part in its records without being in the directory.
    """
    from pipeline.configuration import engine_settings
    from pipeline.coverage import Coverage
    from pipeline.keys import KEY_BYTES
    from pipeline.sources import discovery
    from pipeline.summing import summed
    from sinks.inspection import inspect
    from sinks.keyfile import load_key

    company = company_of([directory], config)
    key = load_key(company.key_path) if company.key_path.exists() else secrets.token_bytes(KEY_BYTES)
    identifiers = identifiers_of(company, key)
    coverage = Coverage(
        engine_settings(company.configuration, identifiers), ZoneInfo(company.configuration.company.timezone)
    )
    survey = discovery.survey([directory], company.configuration, company.base)
    with Reading(standard_error(), sum(item.size_bytes for item in survey.inputs)) as reading:
        findings = list(inspect(survey.inputs, identifiers, utc_now(), advance=reading.advance, coverage=coverage))
    findings.sort(key=lambda found: (found.item.source, found.item.file))
    show(terminal.file_table(found.summary for found in findings))
    if covered := coverage.sources():
        show(terminal.coverage_table(covered))
    problems = [problem for found in findings for problem in found.problems]
    warnings = summed((found.item.source, found.item.file, warning) for found in findings for warning in found.warnings)
    refused = [f"{unknown.file}: {unknown.reason}" for unknown in survey.unknown]
    told = (
        ("rejected records", problems),
        ("not recognised", refused),
        ("to look at", warnings),
        ("sources side by side", coverage.sentences()),
    )
    for name, sentences in told:
        if sentences:
            show(f"{name}:", terminal.problem_list(sentences))
    if refused or any(found.failure for found in findings):
        raise failure("a replay of this directory would stop; see above")
    say("ready to replay" if not problems else "ready to replay; the rejected records would be kept as dead letters")


def _local_zone() -> str:
    """Return the name of this machine's time zone, or the default one when it says none."""
    import zoneinfo

    from schemas.settings import CompanySettings

    names = zoneinfo.available_timezones()
    for name in (os.environ.get("TZ", ""), os.path.realpath("/etc/localtime").partition("zoneinfo/")[2]):
        if name in names and name not in ("UTC", "Etc/UTC", "localtime"):
            return name
    return CompanySettings().timezone


@command
def simulate(
    directory: Annotated[Path, typer.Argument(help="Directory to make; it must be new or empty.")],
    days: Annotated[int, typer.Option(help="Days that the company is watched.")] = 28,
    representatives: Annotated[int, typer.Option(help="Its representatives.")] = 60,
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 1,
) -> None:
    """Make a fictitious company.

    Writes its files in the systems' own formats, and its truth into a file beside the directory.
    """
    from pipeline.simulate import simulate as invent
    from pipeline.simulate import truth_path

    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ConfigurationError(f"{directory} is not empty; name a new directory")
    company = invent(days, representatives, seed)
    for name, content in company.files():
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    truth = truth_path(directory)
    truth.write_bytes(b"".join(company.truth()))
    say(f"wrote {directory} and its truth, {truth}: {len(company.interactions):,} interactions")


@command
def sources(
    format: Shapes = Shape.TABLE,
    tried: Annotated[
        Path | None, typer.Option("--try", metavar="FILE", help="Show how each parser judges this file or directory.")
    ] = None,
) -> None:
    """List the formats that are known.

    And how each is recognised. With --try: what each parser says of a file, and what the first of its records would
    become, for those who write a parser or wonder why a file is read as what it is.
    """
    from pipeline.sources.registry import sources as known

    if tried is not None:
        _try_sources(tried, format)
        return
    rows = [{"format": source.name, "title": source.title, "description": source.description} for source in known()]
    if format is Shape.JSON:
        write_json(rows)
    else:
        show(terminal.source_table(rows))


def _try_sources(path: Path, format: Shape) -> None:
    from pipeline.identifiers import Identifiers
    from pipeline.keys import KEY_BYTES
    from pipeline.sources.trial import try_path

    company = company_of([path if path.is_dir() else path.parent], None)
    # Tokens are for nobody to keep here.
    identifiers = Identifiers(secrets.token_bytes(KEY_BYTES), company.configuration.company.region)
    trial = try_path(path, identifiers, ZoneInfo(company.configuration.company.timezone), utc_now())
    if format is Shape.JSON:
        write_json(asdict(trial))
    else:
        show(terminal.judgement_table(trial.judgements), terminal.trial_summary(trial))
    if trial.chosen is None:
        raise failure(f"no parser recognises {path}; it {trial.appearance}")


@command
def schemas(
    name: Annotated[str | None, typer.Argument(help="One contract, such as call; default: all of them.")] = None,
) -> None:
    """Print the contracts as JSON Schema.

    Of the records that files and topics may hold, and of the results.
    """
    from schemas.export import json_schemas

    known = json_schemas()
    if name is not None and name not in known:
        raise typer.BadParameter(f"unknown contract {name!r}; expected one of {', '.join(known)}")
    write_json(known if name is None else known[name])
