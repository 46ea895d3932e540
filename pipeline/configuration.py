"""From an administrator's words to the engine's: what `bypassflow.toml` means, in tokens and instants."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from pipeline.errors import ConfigurationError
from pipeline.groups import GroupRules
from schemas.settings import Configuration, EngineSettings, SettingsError, parse_configuration

if TYPE_CHECKING:
    from pipeline.identifiers import Identifiers

FILE_NAME = "bypassflow.toml"


def load(text: str, name: str) -> Configuration:
    """Return the configuration that a TOML text holds; `name` is the file's name in messages.

    Raises:
        ConfigurationError: with every problem, each with line, what was found and what was expected.
    """
    try:
        return parse_configuration(text, name)
    except SettingsError as error:
        raise ConfigurationError(str(error)) from None


def engine_settings(configuration: Configuration, identifiers: Identifiers) -> EngineSettings:
    """Return what the engine needs to know, with the company's own names and numbers as tokens.

    Raises:
        ConfigurationError: when a domain, number or entry of never_log cannot be read as one.
    """
    company, match, exclude = configuration.company, configuration.match, configuration.exclude
    return EngineSettings(
        company_id=company.id,
        own_domains=frozenset(_own_domain(domain, identifiers) for domain in company.domains),
        own_numbers=frozenset(_own_number(number, identifiers) for number in company.public_numbers),
        never_log=frozenset(
            _never_log(entry, position, identifiers) for position, entry in enumerate(company.never_log, start=1)
        ),
        before=match.before,
        same_representative_after=match.same_representative_after,
        other_representative_after=match.other_representative_after,
        inferred_after=match.inferred_after,
        tiers=frozenset(match.tiers),
        too_short_seconds=exclude.too_short_seconds,
        bulk_recipients=exclude.bulk_recipients,
        merge_tolerance=match.merge_tolerance,
        lateness=match.lateness,
    )


def group_rules(configuration: Configuration, *, is_granted: bool = False) -> GroupRules:
    """Return what may be shown of representatives; `is_granted`: who asks may see single ones, where they are shown."""
    privacy = configuration.privacy
    return GroupRules(privacy.representatives, privacy.minimum_group, privacy.merge_small_teams, is_granted)


def complete_through(configuration: Configuration) -> datetime | None:
    """Return the instant up to which the CRM export is said to be complete: UTC without a zone, or None.

    A date alone includes that whole day of the company's time zone.
    """
    value = configuration.crm.complete_through
    if value is None:
        return None
    zone = ZoneInfo(configuration.company.timezone)
    if not isinstance(value, datetime):
        instant = datetime.combine(value + timedelta(days=1), time.min, zone)
    elif value.tzinfo is None:
        instant = value.replace(tzinfo=zone)
    else:
        instant = value
    return instant.astimezone(UTC).replace(tzinfo=None)


def _own_domain(domain: str, identifiers: Identifiers) -> str:
    token = identifiers.domain_token(domain)
    if token is None:
        raise ConfigurationError(
            f"company.domains: {domain!r} is not a domain that a company can own: it is malformed, a public suffix "
            "or a public mail service; give domains such as 'acme.fi', and single addresses in the directory"
        )
    return token


def _own_number(number: str, identifiers: Identifiers) -> str:
    token = identifiers.phone(number).token
    if token is None:
        raise ConfigurationError(
            f"company.public_numbers: {number!r} is not a whole telephone number; give it with its country or area "
            "code, and extensions in the directory"
        )
    return token


def _never_log(entry: str, position: int, identifiers: Identifiers) -> str:
    """Return the token of an address, number or domain; messages name its position only: it may be a customer's."""
    if "@" in entry.strip().removeprefix("@"):
        token = identifiers.email(entry).token
    elif any(letter.isalpha() for letter in entry):
        token = identifiers.domain_token(entry.strip().removeprefix("@"))
    else:
        token = identifiers.phone(entry).token
    if token is None:
        raise ConfigurationError(
            f"company.never_log: entry {position} is neither a whole telephone number, nor an address, nor the "
            "domain of one organisation (a public mail domain would hide every customer who uses it)"
        )
    return token
