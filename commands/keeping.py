"""Keeping a store: backups, how long its rows stay, who leaves it, and its key."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import Annotated

import typer

from commands.application import __version__, app, command, guarded
from commands.arguments import AnnotationsFile, CompanyConfig, Database
from commands.company import Company, company_of, existing_key, identifiers_of, kafka_of, utc_now
from commands.output import say
from pipeline.errors import ConfigurationError

RenewedSnapshots = Annotated[
    Path | None, typer.Option(help="Folder of snapshots: all are removed, and one is taken anew.")
]


@command
def backup(
    folder: Annotated[Path, typer.Argument(help="Folder to make; it must not be there yet.")],
    db: Database,
    config: CompanyConfig = None,
    annotations: AnnotationsFile = None,
    with_key: Annotated[
        bool, typer.Option("--with-key", help="Copy the secret key too: who has it can test guesses.")
    ] = False,
) -> None:
    """Copy a store and what belongs to it into a folder.

    The store, its annotations and the configuration, with a manifest of checksums and of the rows of each table. While
    a sink writes the store, give its newest snapshot: --db SNAPSHOTS/current/NAME.duckdb.
    """
    from pipeline.configuration import FILE_NAME
    from sinks.annotations import beside
    from sinks.backup import Part, back_up

    company = company_of([db.absolute().parent], config)
    parts: dict[Part, Path] = {
        "annotations": annotations or beside(db),
        "configuration": config or company.base / FILE_NAME,
        "forgotten": company.forgotten_path,
    }
    if with_key:
        parts["key"] = company.key_path
    made = back_up(db, folder, parts, taken_at=utc_now(), bypassflow_version=__version__)
    size = sum(file.byte_count for file in made.files)
    names = ", ".join(file.part for file in made.files)
    say(f"wrote {folder}: {names}; {sum(made.row_counts.values()):,} rows, {size:,} bytes")
    if not with_key:
        say("the key is not in it; keep a copy of it elsewhere, for without it new records meet none of these rows")


@command
def restore(
    folder: Annotated[Path, typer.Argument(help="Folder that `backup` made.")],
    db: Database,
    company: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Put configuration and key into this directory, too.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> None:
    """Put a backup in place, after checking all of it.

    Checksums and the rows of every table are held against the manifest first; the store takes its place last.
    """
    from sinks.restoring import restore as put_back

    for path, part in put_back(folder, db, company, replaces=force).items():
        say(f"restored {path} ({part})")


keys = typer.Typer(no_args_is_help=True, help="Keep the company's secret key.")


app.add_typer(keys, name="keys")


@keys.command("rotate")
@guarded
def rotate_key(
    db: Database,
    snapshot_dir: RenewedSnapshots = None,
    config: CompanyConfig = None,
    annotations: AnnotationsFile = None,
) -> None:
    """Give the company a new key, and the store its tokens.

    Identifiers go on to meet their tokens. Stop the live pipeline first: it begins anew under another prefix, since
    its topics hold the old tokens. After a kill the same command ends what was begun.
    """
    from pipeline.keys import KEY_BYTES, fingerprint
    from sinks.annotations import Annotations, beside
    from sinks.connection import check_file
    from sinks.rotating import rotate
    from sinks.snapshots import renew_snapshots

    check_file(db)
    company = company_of([db.absolute().parent], config)
    kept = Annotations(annotations or beside(db))
    key = rotate(db, company.key_path, kept, secrets.token_bytes(KEY_BYTES), fingerprint)
    if snapshot_dir is not None:
        renew_snapshots(db, snapshot_dir, utc_now().replace(tzinfo=None))
    say(f"rotated {company.key_path.name}, {len(key.links)} times so far, and the tokens of {db}")
    say("next: copy the key to every machine that has it; keep no old copy beside old stores and backups")
    say("other stores of this key must be made again by a replay; live topics begin anew under another [kafka] prefix")


@command
def retain(db: Database, config: CompanyConfig = None) -> None:
    """Let leave what the store has kept for long enough.

    As the configuration's retention says. What leaves is counted, so that the accounts still add up. A replay does
    the same at its end. Run it by a timer, while no sink writes the store.
    """
    from sinks.connection import check_file
    from sinks.retaining import retain as retain_in

    check_file(db)
    company = company_of([db.absolute().parent], config)
    if not company.configuration.retention.is_set:
        raise ConfigurationError(
            "[retention] of the configuration names no length of time, so nothing leaves; set evidence, interactions "
            "or dead_letters, such as evidence = '400d'"
        )
    gone = retain_in(db, company.configuration.retention, utc_now().replace(tzinfo=None))
    say(
        f"left {db}: {gone.event_count:,} raw events, {gone.activity_count:,} activities, "
        f"{gone.interaction_count:,} interactions, {gone.letter_count:,} dead letters"
    )


@command
def forget(
    db: Database,
    identifiers: Annotated[
        list[str] | None,
        typer.Argument(metavar="[IDENTIFIER]...", help="Numbers, addresses, or handles such as whatsapp:anna."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read them from a file, one a line; -: from standard input.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Erase all who were forgotten before, such as after a restore.")
    ] = False,
    snapshot_dir: RenewedSnapshots = None,
    config: CompanyConfig = None,
    annotations: AnnotationsFile = None,
) -> None:
    """Erase people from a store and what lies beside it.

    Everything that names them goes: tokens, masked forms, contacts, keys and places of their records. Their
    interactions stay counted, and nothing tells whose they were. Whatever comes of them later is forgotten as well.
    Prefer --file, or - for standard input: a shell remembers what is typed. Stop the sink first.
    """
    from pipeline.forgetting import identities, significant_digits
    from sinks.annotations import Annotations, beside
    from sinks.connection import check_file
    from sinks.erasure.forgetting import forget as forget_in
    from sinks.erasure.forgetting import require_strangers
    from sinks.erasure.names import clear_patterns
    from sinks.forgotten_list import add

    check_file(db)
    company = company_of([db.absolute().parent], config)
    key = existing_key(company)
    texts = list(identifiers or ())
    if file is not None:
        texts += sys.stdin.read().splitlines() if str(file) == "-" else file.read_text(encoding="utf-8").splitlines()
    named = [] if again and not texts else identities(texts, identifiers_of(company, key))
    tokens = {str(each.token) for each in named}
    require_strangers(db, tokens)
    shown = company.configuration.model_copy(update={"privacy": company.configuration.privacy.shown_clear()})
    clear = identifiers_of(Company(shown, company.base), key)
    forms = [each.display for each in identities(texts, clear)] if named else []
    forgotten = add(company.forgotten_path, key, tokens)
    erased = forget_in(
        db,
        forgotten,
        secrets.token_bytes(32),
        clear_patterns(forms, significant_digits),
        Annotations(annotations or beside(db)),
        snapshot_dir,
        keep=lambda people: add(company.forgotten_path, key, people.tokens, people.ids),
        now=lambda: utc_now().replace(tzinfo=None),
    )
    say(
        f"erased from {db}: {erased.token_count} identifiers, {erased.contact_count} contacts, "
        f"{erased.event_count} raw events, {erased.activity_count} activities; "
        f"{erased.interaction_count} interactions stay counted"
    )
    _say_remains(company, db)


def _say_remains(company: Company, db: Path) -> None:
    """Say where records of somebody who was forgotten may still be."""
    say("what bypassflow does not erase:")
    say("- the records in the source systems and their files; a replay of them forgets again what is on the list")
    say("- backups made before; after a restore run: bypassflow forget --again")
    for name in sorted(path.name for path in company.base.glob(".bypassflow-*") if path.is_dir()):
        say(f"- {company.base / name}: what was received or pulled and not yet given on")
    if company.configuration.company.never_log:
        say("- [company] never_log of the configuration, if it names them")
    if "kafka" in company.configuration.model_fields_set:
        from agents.remaining import remaining

        for sentence in remaining(*kafka_of(company, None), utc_now()):
            say(f"- {sentence}")
