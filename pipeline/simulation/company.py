"""The fictitious company itself: its people, teams, numbers and mailboxes, and the files that describe them."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Final

from pipeline.simulation import names, numbers
from pipeline.simulation.teams import TEAMS, TeamProfile
from pipeline.simulation.worktime import Calendar

NAME: Final = "Mallila Energia Oy"
DOMAIN: Final = "mallila.example"
FORMER_DOMAIN: Final = "mallilanvoima.example"
NEVER_LOGGED_DOMAIN: Final = "tyoterveys.example"
_MOVE_SHARE: Final = 0.02  # of representatives who change their team half way


@dataclass(eq=False, slots=True)
class Representative:
    """A person of the company. From day `moves_on` they work in `next_team`."""

    representative_id: str
    first_name: str
    last_name: str
    address: str
    extension: str
    team: TeamProfile
    user_id: str
    next_team: TeamProfile | None = None
    moves_on: int = 0

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"

    @property
    def mailbox(self) -> str:
        return f"{self.address.split('@')[0]}.mbox"

    def team_on(self, day: int) -> TeamProfile:
        return self.next_team if self.next_team and day >= self.moves_on else self.team


@dataclass(eq=False, slots=True)
class Team:
    """A team at work: its profile, what it shares, and who is in it on a day."""

    profile: TeamProfile
    representatives: list[Representative]
    number: str
    group: str = ""
    address: str = ""

    def members_on(self, day: int) -> list[Representative]:
        return [r for r in self.representatives if r.team_on(day) is self.profile]


@dataclass(eq=False)
class Company:
    """All who work there. `teams` are those with at least one representative."""

    representatives: list[Representative]
    teams: list[Team]
    calendar: Calendar
    _by_profile: dict[str, Team] = field(default_factory=dict)

    def team_of(self, representative: Representative, day: int) -> Team:
        return self._by_profile[representative.team_on(day).slug]

    def directory(self) -> bytes:
        """Return directory.csv."""
        lines = ["representative_id,name,email,extension,direct_number,mobile_number,team,function,valid_from,valid_to"]
        for person in self.representatives:
            numbers_ = f"{numbers.direct_number(person.extension)},{numbers.mobile_number(person.extension)}"
            start = f"{person.representative_id},{person.name},{person.address},{person.extension},{numbers_}"
            if person.next_team is None:
                lines.append(f"{start},{person.team.name},{person.team.function},,")
            else:
                moved = self.calendar.date(person.moves_on).isoformat()
                lines.append(f"{start},{person.team.name},{person.team.function},,{moved}")
                lines.append(f"{start},{person.next_team.name},{person.next_team.function},{moved},")
        for team in self.teams:
            profile = team.profile
            if team.group or team.address:
                number = team.number if team.group else ""
                lines.append(
                    f",{profile.name},{team.address},{team.group},{number},,{profile.name},{profile.function},,"
                )
        return ("\n".join(lines) + "\n").encode()

    def configuration(self) -> bytes:
        """Return bypassflow.toml."""
        complete_through = self.calendar.utc(self.calendar.ends_at)
        return _CONFIGURATION.format(
            name=NAME,
            domain=DOMAIN,
            former=FORMER_DOMAIN,
            main=numbers.COMPANY_MAIN,
            never_number=numbers.NEVER_LOGGED,
            never_domain=NEVER_LOGGED_DOMAIN,
            complete_through=complete_through,
        ).encode()


_CONFIGURATION: Final = """\
# A fictitious company, as `bypassflow simulate` made it. No person, firm or number in it is real.

[company]
name = "{name}"
domains = ["{domain}", "{former}"]
region = "FI"
timezone = "Europe/Helsinki"
directory = "directory.csv"
outside_prefixes = ["0"]          # desk phones dial 0 for an outside line
public_numbers = ["{main}"]
never_log = ["{never_domain}", "{never_number}"]  # occupational health

[crm]
# The exports end here: what happened in the last days before may still be logged, and is pending.
complete_through = {complete_through}

[[source]]
name = "asterisk"
path = "asterisk"                 # call records and the queues' log of one exchange, in its local time

[[source]]
name = "mail"
path = "mail"                     # one mbox per mailbox

[[source]]
name = "salesforce"
path = "salesforce"               # exports of the Data Loader
"""


def found_company(rng: Random, calendar: Calendar, representatives: int, user_ids: list[str]) -> Company:
    """Return a company of so many representatives, divided among teams by size; small companies have fewer teams."""
    people: list[Representative] = []
    taken: set[str] = set()
    digits = 3 if representatives < 700 else 4
    for profile, count in zip(TEAMS, _headcounts(representatives), strict=True):
        for _ in range(count):
            first, last = _unused_name(rng, taken)
            index = len(people)
            people.append(
                Representative(
                    representative_id=f"r{index + 1:03d}",
                    first_name=first,
                    last_name=last,
                    address=f"{names.ascii_slug(first)}.{names.ascii_slug(last)}@{DOMAIN}",
                    extension=str((200 if digits == 3 else 2000) + index),
                    team=profile,
                    user_id=user_ids[index],
                )
            )
    _move_some(rng, people, calendar)
    teams = []
    for index, profile in enumerate(TEAMS):
        members = [p for p in people if p.team is profile or p.next_team is profile]
        if members:
            group = {"queue": profile.slug, "ring_group": str(100 + index), "direct": ""}[profile.access]
            address = f"{profile.slug}@{DOMAIN}" if profile.has_shared_mailbox else ""
            teams.append(Team(profile, members, numbers.team_number(index), group, address))
    return Company(people, teams, calendar, {team.profile.slug: team for team in teams})


def _headcounts(representatives: int) -> list[int]:
    exact = [profile.headcount_share * representatives for profile in TEAMS]
    counts = [int(share) for share in exact]
    by_remainder = sorted(range(len(TEAMS)), key=lambda i: (counts[i] - exact[i], i))
    for index in by_remainder[: representatives - sum(counts)]:
        counts[index] += 1
    return counts


def _unused_name(rng: Random, taken: set[str]) -> tuple[str, str]:
    while True:
        first, last = rng.choice(names.FIRST_NAMES), rng.choice(names.LAST_NAMES)
        if len(taken) > len(names.FIRST_NAMES) * len(names.LAST_NAMES) // 2:
            last = f"{last}-{rng.choice(names.LAST_NAMES)}"
        key = f"{names.ascii_slug(first)}.{names.ascii_slug(last)}"
        if key not in taken:
            taken.add(key)
            return first, last


def _move_some(rng: Random, people: list[Representative], calendar: Calendar) -> None:
    """Let some change between the two teams of the contact centre half way through."""
    service, support = TEAMS[0], TEAMS[1]
    movers = [p for p in people if p.team is service]
    if not any(p.team is support for p in people) or len(movers) < 3 or calendar.days < 2:
        return
    for person in rng.sample(movers, max(1, round(_MOVE_SHARE * len(people)))):
        person.next_team, person.moves_on = support, calendar.days // 2
