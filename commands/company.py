"""The company that a command is about: its configuration, key, identifiers and brokers."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from commands.application import __version__
from commands.output import say
from pipeline.errors import ConfigurationError

if TYPE_CHECKING:
    from pipeline.forgetting import Forgotten
    from pipeline.groups import GroupRules
    from pipeline.identifiers import Identifiers
    from pipeline.sources.discovery import Input
    from schemas.kafka import KafkaSettings, Secrets
    from schemas.settings import Configuration, EngineSettings
    from sinks.annotations import Annotations
    from sinks.store import RunRecord


@dataclass(frozen=True)
class Company:
    """A configuration and where it stands; `text` is empty when there is no file."""

    configuration: Configuration
    base: Path
    text: str = ""

    @property
    def key_path(self) -> Path:
        return self.base / self.configuration.privacy.key_file

    @property
    def forgotten_path(self) -> Path:
        return self.base / self.configuration.privacy.forgotten_file


def company_of(paths: Sequence[Path], config: Path | None) -> Company:
    """Return the configuration that is named, or that stands in one of the directories, or the default one."""
    from pipeline.configuration import FILE_NAME, load
    from schemas.settings import Configuration

    if config is None:
        found = sorted({path / FILE_NAME for path in paths if (path / FILE_NAME).is_file()})
        if len(found) > 1:
            raise ConfigurationError(f"{found[0]} and {found[1]} both apply; name one with --config")
        if not found:
            folders = [path.absolute() if path.is_dir() else path.absolute().parent for path in paths]
            return Company(Configuration(), Path(os.path.commonpath(folders)))
        config = found[0]
    try:
        text = config.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is no UTF-8 text" if isinstance(error, UnicodeDecodeError) else (error.strerror or "").lower()
        raise ConfigurationError(f"{config} cannot be read: {reason}; `bypassflow init DIR` writes one") from None
    return Company(load(text, str(config)), config.absolute().parent, text)


def identifiers_of(company: Company, key: bytes) -> Identifiers:
    from pipeline.identifiers import Identifiers

    settings = company.configuration
    is_clear = settings.privacy.identifiers == "clear"
    return Identifiers(key, settings.company.region, settings.company.outside_prefixes, clear=is_clear)


def inputs_of(paths: Sequence[Path], company: Company, skip_unknown: bool) -> list[Input]:
    from pipeline.sources import discovery

    inputs = discovery.discover(paths, company.configuration, company.base, skip_unknown)
    if skip_unknown:
        for unknown in discovery.survey(paths, company.configuration, company.base).unknown:
            say(f"skipped {unknown.file}: {unknown.reason}")
    return inputs


def groups_of(db: Path | None, config: Path | None, *, is_granted: bool = False) -> GroupRules:
    """Return what may be shown of representatives: as the configuration beside the store says, or else the one here."""
    from pipeline.configuration import FILE_NAME, group_rules

    beside = [db.absolute().parent] if db is not None and (db.absolute().parent / FILE_NAME).is_file() else [Path()]
    return group_rules(company_of(beside, config).configuration, is_granted=is_granted)


def key_of(company: Company) -> bytes:
    """Return the company's secret key; made when there is none."""
    from sinks.keyfile import load_or_create_key

    key, is_new = load_or_create_key(company.key_path, secrets.token_bytes)
    if is_new:
        say(f"made {company.key_path}, the secret key of the tokens; keep it as long as the store")
    return key


def existing_key(company: Company) -> bytes:
    """Return the key of a company whose tokens must be those of its other processes: it is never made here."""
    from sinks.keyfile import load_key

    if not company.key_path.exists():
        raise ConfigurationError(
            f"{company.key_path} is not there: copy the company's key file from where its other processes run; "
            "`bypassflow init` or a first replay makes one for a new company"
        )
    return load_key(company.key_path)


def forgotten_of(company: Company, key: bytes) -> Forgotten:
    from sinks.forgotten_list import load

    return load(company.forgotten_path, key)


def last_look(company: Company, key: bytes, db: Path) -> Callable[[Path], None]:
    """Return what erases the forgotten and what is too old from a new store, before it takes its place at `db`."""
    from sinks.erasure.forgetting import erase_draft
    from sinks.retaining import retain_draft

    forgotten = forgotten_of(company, key)

    def last(draft: Path) -> None:
        erase_draft(draft, forgotten, secrets.token_bytes(32))
        retain_draft(draft, db, company.configuration.retention, utc_now().replace(tzinfo=None))

    return last


def run_record(company: Company, rules: EngineSettings, key: bytes, started_at: datetime) -> RunRecord:
    """Return what a store keeps of a run that begins now."""
    from pipeline.configuration import complete_through
    from pipeline.keys import fingerprint
    from sinks.store import RunRecord

    return RunRecord(
        started_at=started_at.replace(tzinfo=None),
        finished_at=started_at.replace(tzinfo=None),
        bypassflow_version=__version__,
        configuration_digest=digest(company.text.encode()),
        key_digest=fingerprint(key),
        company_id=rules.company_id,
        timezone=company.configuration.company.timezone,
        settings=rules.model_dump_json(),
        complete_through=complete_through(company.configuration),
    )


def kafka_here(config: Path | None, bootstrap: str | None) -> tuple[KafkaSettings, Secrets]:
    """Return how the broker is reached: what the configuration says, with files whole and secrets read."""
    return kafka_of(company_of([Path()], config), bootstrap)


def kafka_of(company: Company, bootstrap: str | None) -> tuple[KafkaSettings, Secrets]:
    from agents.access import read_secrets
    from schemas.kafka import with_bootstrap

    quiet_kafka()
    settings = company.configuration.kafka.beside(str(company.base))
    if bootstrap is not None:
        try:
            settings = with_bootstrap(settings, bootstrap)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--bootstrap") from None
    return settings, read_secrets(settings, os.environ)


def quiet_kafka() -> None:
    import logging

    # Its complaints about a broker that is away repeat, for engineers, what we say in one sentence.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


def annotations_of(db: Path, file: Path | None) -> Annotations:
    from sinks.annotations import Annotations, beside
    from sinks.connection import check_file

    check_file(db)
    return Annotations(file or beside(db))


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def utc_now() -> datetime:
    return datetime.now(UTC)
