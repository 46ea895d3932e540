"""A fictitious company whose systems' files and truth are made from a seed.

What it is good for: trying the product without anybody's data, and knowing how far the measured share is
from the true one. The same arguments give the same bytes, on any machine and day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from random import Random
from typing import Final

from pipeline.errors import ConfigurationError
from pipeline.simulation.calls import play_calls
from pipeline.simulation.company import Company, found_company
from pipeline.simulation.crm import Logging
from pipeline.simulation.customers import Clientele
from pipeline.simulation.exchange import Exchange
from pipeline.simulation.floor import Floor
from pipeline.simulation.mail import MailTraffic
from pipeline.simulation.mailbox import PostOffice
from pipeline.simulation.records import Ledger
from pipeline.simulation.salesforce import SalesforceIds
from pipeline.simulation.truth import Interaction, truth_lines
from pipeline.simulation.worktime import Calendar

DEFAULT_DAYS: Final = 28
DEFAULT_REPRESENTATIVES: Final = 60
DEFAULT_SEED: Final = 1
DEFAULT_START: Final = date(2025, 10, 6)  # a Monday; the clocks go back on the 26th
_LONGEST: Final = 366
_LARGEST: Final = 5000


@dataclass(frozen=True)
class SimulatedCompany:
    """A company's files and its truth. Both are made once and may be read as often as needed."""

    company: Company
    interactions: list[Interaction]
    _files: list[tuple[str, bytes]]

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Yield each file's path, relative to the company's directory, and its content."""
        yield from self._files

    def truth(self) -> Iterator[bytes]:
        """Yield the truth: one line of JSON per true interaction, in the order of their starts."""
        calendar = self.company.calendar
        yield from truth_lines(self.interactions, calendar.ends_at, calendar.utc)


def truth_path(directory: Path) -> Path:
    """Return where the truth of a simulated company lies: beside its directory, so that no replay reads it."""
    return directory.with_name(f"{directory.name}.truth.jsonl")


def simulate(
    days: int = DEFAULT_DAYS,
    representatives: int = DEFAULT_REPRESENTATIVES,
    seed: int = DEFAULT_SEED,
    start: date = DEFAULT_START,
) -> SimulatedCompany:
    """Return a company that was watched for so many days from `start` on.

    Raises:
        ConfigurationError: when there would be nothing to watch, or more than memory holds.
    """
    if not 1 <= days <= _LONGEST:
        raise ConfigurationError(f"{days} days; expected 1 to {_LONGEST}")
    if not 1 <= representatives <= _LARGEST:
        raise ConfigurationError(f"{representatives} representatives; expected 1 to {_LARGEST}")
    streams = {name: Random(f"{seed}/{name}") for name in ("company", "customers", "calls", "mail", "crm", "paper")}
    calendar = Calendar(start, days)
    ids = SalesforceIds()
    company = found_company(
        streams["company"], calendar, representatives, [ids.new("005") for _ in range(representatives)]
    )
    clientele = Clientele(streams["customers"], company, ids)
    exchange, post = Exchange(calendar, streams["paper"]), PostOffice(calendar, streams["paper"])
    floor = Floor(streams["calls"], company, clientele, exchange)
    mail = MailTraffic(streams["mail"], company, clientele, post, calendar)
    for day in range(days):
        play_calls(floor, calendar, day)
        mail.play(day)
    # Sorting is stable, so the parties of one email stay together.
    interactions = sorted(floor.interactions + mail.interactions, key=_end_then_evidence)
    ledger = Ledger(streams["crm"], company, clientele, calendar, ids)
    Logging(streams["crm"], company, clientele, calendar, ledger).log(interactions)
    files = [
        ("bypassflow.toml", company.configuration()),
        ("directory.csv", company.directory()),
        *exchange.files(),
        *post.files(),
        *ledger.files(),
    ]
    return SimulatedCompany(company, sorted(interactions, key=_start), files)


def _end_then_evidence(interaction: Interaction) -> tuple[int, int]:
    return interaction.ended_at, interaction.started_at


def _start(interaction: Interaction) -> int:
    return interaction.started_at
