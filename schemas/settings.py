"""Settings: what the engine needs to know, and what an administrator writes in `bypassflow.toml`.

The file speaks in clear names; `EngineSettings` speaks in tokens, because the engine never sees a
clear identifier. `pipeline.configuration` turns one into the other.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from schemas.access import AccessSettings, OpenIdSettings
from schemas.alerting import AlertSettings, DigestSettings, named_twice
from schemas.crm_database import CrmDatabaseSettings, CrmJoin, CrmTable
from schemas.kafka import KafkaSettings
from schemas.receive import RECEIVERS, Receiver, ReceiveSettings
from schemas.retention import RetentionSettings
from schemas.settings_problems import ProblemWriter, syntax_problem
from schemas.settings_problems import SettingsError as SettingsError
from schemas.settings_values import SOURCE_NAME_PATTERN as SOURCE_NAME_PATTERN
from schemas.settings_values import ColumnName, Count, Duration, GroupSize, Seconds, SettingsTable, TimeZoneName
from schemas.settings_values import parse_duration as parse_duration

Tier = Literal["exact", "same_representative", "other_representative", "inferred"]
ALL_TIERS: frozenset[Tier] = frozenset({"exact", "same_representative", "other_representative", "inferred"})

# Country codes that people write and that are not the country's ISO 3166 code.
_MISTAKEN_REGIONS = {"UK": "GB", "EN": "GB", "SW": "SE", "DA": "DK"}


def slug(name: str) -> str:
    """Return a name in lower-case letters, digits and hyphens; never empty.

    >>> slug("Järvinen & Pojat Oy")
    'jarvinen-pojat-oy'
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "company"


def _region(value: str) -> str:
    # Imported here because it is slow to load and most importers of settings never check a region.
    from phonenumbers import SUPPORTED_REGIONS

    region = value.strip().upper()
    if region in SUPPORTED_REGIONS:
        return region
    hint = f"; did you mean {_MISTAKEN_REGIONS[region]!r}?" if region in _MISTAKEN_REGIONS else ""
    raise ValueError(f"a country's two letters (ISO 3166-1) such as 'FI'{hint}")


RegionCode = Annotated[str, BeforeValidator(lambda value: _region(value) if isinstance(value, str) else value)]


class EngineSettings(SettingsTable):
    """What the engine needs to know. Identifiers are tokens; lengths of time are timedeltas."""

    company_id: str = Field(description="Company that is measured; part of every interaction's id.", examples=["acme"])
    own_domains: frozenset[str] = Field(
        default=frozenset(),
        description="Tokens of the company's registrable mail domains.",
        examples=[["k3JdPz0aQx7b"]],
    )
    own_numbers: frozenset[str] = Field(
        default=frozenset(), description="Tokens of the company's public numbers.", examples=[["9fQmZ2bLw1Ra"]]
    )
    never_log: frozenset[str] = Field(
        default=frozenset(),
        description="Tokens of numbers, addresses and domains whose interactions are never counted.",
        examples=[["Pq81xZaT0vKe"]],
    )
    before: timedelta = Field(
        default=timedelta(minutes=15),
        description="How long before the start of an interaction its trace may have been logged.",
        examples=["PT15M"],
    )
    same_representative_after: timedelta = Field(
        default=timedelta(hours=72),
        description="How long after the end a trace by a representative who took part may be logged.",
        examples=["PT72H"],
    )
    other_representative_after: timedelta = Field(
        default=timedelta(minutes=30),
        description="How long after the end a trace by anybody else may be logged.",
        examples=["PT30M"],
    )
    inferred_after: timedelta = Field(
        default=timedelta(hours=1),
        description="How long after the end a trace of an unknown customer may be logged.",
        examples=["PT1H"],
    )
    tiers: frozenset[Tier] = Field(
        default=ALL_TIERS,
        description="Tiers of traces that count; a tier left out gives no traces.",
        examples=[["exact"]],
    )
    too_short_seconds: float = Field(
        default=5.0, ge=0, description="Calls with less talk than this are excluded. Unit: seconds.", examples=[5.0]
    )
    bulk_recipients: int = Field(
        default=20, ge=0, description="An email to more external recipients than this is bulk.", examples=[20]
    )
    merge_tolerance: timedelta = Field(
        default=timedelta(seconds=30),
        description="How far the clocks of two systems that saw the same call may differ.",
        examples=["PT30S"],
    )
    lateness: timedelta = Field(
        default=timedelta(days=7),
        description="Facts that arrive in any order within this length of event time give the same result.",
        examples=["P7D"],
    )

    @property
    def window_after(self) -> timedelta:
        """The longest time after its end in which an interaction may still get a trace of tiers 2 to 4."""
        lengths = {
            "same_representative": self.same_representative_after,
            "other_representative": self.other_representative_after,
            "inferred": self.inferred_after,
        }
        return max((length for tier, length in lengths.items() if tier in self.tiers), default=timedelta(0))


class CompanySettings(SettingsTable):
    """`[company]`: who is measured, and what is its own."""

    name: str = Field(default="Company", min_length=1, description="Name shown in reports.", examples=["Acme Oy"])
    id: str = Field(
        default="company",
        pattern=r"^[a-z0-9][a-z0-9_-]*$",
        description="Identity of the company; part of every interaction's id. Default: the name in small letters.",
        examples=["acme-oy"],
    )
    domains: tuple[str, ...] = Field(
        default=(),
        description="The company's own mail domains: mail between them is internal.",
        examples=[["acme.fi", "acme.com"]],
    )
    region: RegionCode = Field(
        default="FI",
        description="Country in which numbers without a country code are read (ISO 3166-1).",
        examples=["FI"],
    )
    timezone: TimeZoneName = Field(
        default="Europe/Helsinki",
        description="IANA time zone of the company: of reports, and of logs that name no zone.",
        examples=["Europe/Helsinki"],
    )
    directory: str | None = Field(
        default=None,
        description="CSV file of representatives and teams, relative to the configuration.",
        examples=["directory.csv"],
    )
    outside_prefixes: tuple[str, ...] = Field(
        default=(), description="Digits dialled to get an outside line.", examples=[["0", "9"]]
    )
    public_numbers: tuple[str, ...] = Field(
        default=(),
        description="The company's own numbers that are in no row of the directory, such as the switchboard.",
        examples=[["+358 10 555 0100"]],
    )
    never_log: tuple[str, ...] = Field(
        default=(),
        description="Numbers, addresses and domains whose interactions are never counted.",
        examples=[["occupational-health.example", "+358 40 555 0199"]],
    )

    @model_validator(mode="before")
    @classmethod
    def _derive_id(cls, values: Any) -> Any:
        if isinstance(values, dict) and "id" not in values and isinstance(values.get("name"), str):
            return {**values, "id": slug(values["name"])}
        return values

    @field_validator("domains")
    @classmethod
    def _check_domains(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if "@" in value or "/" in value or "." not in value.strip("."):
                raise ValueError("domains alone, such as 'acme.fi', without '@' or 'https://'")
        return values

    @field_validator("outside_prefixes")
    @classmethod
    def _check_prefixes(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if not re.fullmatch(r"[0-9]{1,4}", value):
                raise ValueError("one to four digits each, such as '0' or '9'")
        return values


class MatchSettings(SettingsTable):
    """`[match]`: how an activity in the CRM is found to be the trace of an interaction."""

    before: Duration = Field(
        default=timedelta(minutes=15),
        description="How long before the start of an interaction its trace may have been logged.",
        examples=["15min"],
    )
    same_representative_after: Duration = Field(
        default=timedelta(hours=72),
        description="How long after the end a trace by a representative who took part may be logged.",
        examples=["72h"],
    )
    other_representative_after: Duration = Field(
        default=timedelta(minutes=30),
        description="How long after the end a trace by anybody else may be logged; longer adds chance matches.",
        examples=["30min"],
    )
    inferred_after: Duration = Field(
        default=timedelta(hours=1),
        description="How long after the end a trace of an unknown customer may be logged.",
        examples=["1h"],
    )
    tiers: tuple[Tier, ...] = Field(
        default=("exact", "same_representative", "other_representative", "inferred"),
        description="Tiers of traces that count.",
        examples=[["exact", "same_representative"]],
    )
    merge_tolerance: Duration = Field(
        default=timedelta(seconds=30),
        description="How far the clocks of two systems that saw the same call may differ.",
        examples=["30s"],
    )
    lateness: Duration = Field(
        default=timedelta(days=7),
        description="How late a record may arrive, in event time, and still count at once.",
        examples=["7d"],
    )


class ExcludeSettings(SettingsTable):
    """`[exclude]`: what does not count as an interaction."""

    too_short_seconds: Seconds = Field(
        default=5.0, description="Calls with less talk than this are excluded. Unit: seconds.", examples=[5]
    )
    bulk_recipients: Count = Field(
        default=20, description="An email to more external recipients than this is bulk.", examples=[20]
    )


class CrmSettings(SettingsTable):
    """`[crm]`: how far the CRM export reaches, when the files cannot tell."""

    complete_through: datetime | date | None = Field(
        default=None,
        description="Every activity logged up to here is in the export; a date alone includes that whole day. "
        "Without a zone: the company's. Default: the latest change seen in the export.",
        examples=["2024-05-31", "2024-05-31T18:00:00"],
    )

    @field_validator("complete_through", mode="before")
    @classmethod
    def _check_instant(cls, value: object) -> object:
        if isinstance(value, str):
            text = value.strip()
            try:
                return date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)
            except ValueError:
                raise ValueError("a date or date and time such as 2024-05-31 or 2024-05-31T18:00:00") from None
        if value is None or isinstance(value, date):
            return value
        raise ValueError("a date or date and time such as 2024-05-31 or 2024-05-31T18:00:00")


class PrivacySettings(SettingsTable):
    """`[privacy]`: what may be shown of a customer's number or address."""

    identifiers: Literal["masked", "clear"] = Field(
        default="masked",
        description="masked: only a masked form is kept beside the token; clear: the number or address itself.",
        examples=["masked"],
    )
    representatives: Literal["off", "groups", "named"] = Field(
        default="off",
        description="off: no figures by representative; groups: by groups of them, never one; named: also single "
        "ones, for who holds the scope representative or reads the store's file.",
        examples=["groups"],
    )
    minimum_group: GroupSize = Field(
        default=8, description="A group has at least so many representatives; never under 5.", examples=[8]
    )
    merge_small_teams: bool = Field(
        default=False,
        description="Teams with fewer representatives than that are shown together wherever the share is by team.",
        examples=[True],
    )
    key_file: str = Field(
        default="bypassflow.key",
        min_length=1,
        description="File of the secret key that tokens are made with, relative to the configuration. Keep it: "
        "another key gives other tokens.",
        examples=["bypassflow.key"],
    )

    @property
    def secret_files(self) -> tuple[str, ...]:
        """The key, and what lies beside it."""
        return self.key_file, f"{self.key_file}.next", self.forgotten_file

    @property
    def forgotten_file(self) -> str:
        """Where the list of the forgotten lies: beside the key."""
        return f"{self.key_file}.forgotten"

    def shown_clear(self) -> PrivacySettings:
        """Return the same settings, with identifiers in clear."""
        return self.model_copy(update={"identifiers": "clear"})


class SourceSettings(SettingsTable):
    """`[[source]]`: one system's files."""

    path: str = Field(
        min_length=1,
        description="File, directory or glob pattern, relative to the configuration.",
        examples=["pbx/Master.csv*"],
    )
    name: str | None = Field(
        default=None,
        pattern=SOURCE_NAME_PATTERN,
        description="Name of the system. Logs of one system share a name; two systems never do. "
        "Default: from the format.",
        examples=["pbx"],
    )
    format: str | None = Field(
        default=None,
        description="Name of the parser, see `bypassflow sources`. Default: recognised by content.",
        examples=["canonical_csv"],
    )
    mapping: dict[str, ColumnName] = Field(
        default_factory=dict,
        description="Field of the format = column of the file; a value that starts with '=' is a constant.",
        examples=[{"kind": "=call", "started_at": "Start", "from": "Caller"}],
    )
    timezone: TimeZoneName | None = Field(
        default=None,
        description="IANA time zone of times that name none. Default: the company's.",
        examples=["UTC"],
    )
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="Further settings of the parser.",
        examples=[{"date_format": "%d.%m.%Y %H:%M"}],
    )


class Configuration(SettingsTable):
    """The whole of `bypassflow.toml`. Every table may be left out."""

    company: CompanySettings = Field(
        default_factory=CompanySettings, description="Who is measured.", examples=[{"name": "Acme Oy"}]
    )
    match: MatchSettings = Field(
        default_factory=MatchSettings, description="Windows and tiers of traces.", examples=[{"before": "15min"}]
    )
    exclude: ExcludeSettings = Field(
        default_factory=ExcludeSettings, description="Thresholds of exclusion.", examples=[{"too_short_seconds": 5}]
    )
    crm: CrmSettings = Field(
        default_factory=CrmSettings,
        description="Reach of the CRM export.",
        examples=[{"complete_through": "2024-05-31"}],
    )
    privacy: PrivacySettings = Field(
        default_factory=PrivacySettings, description="What may be shown.", examples=[{"identifiers": "masked"}]
    )
    retention: RetentionSettings = Field(
        default_factory=RetentionSettings,
        description="How long a store keeps what it was made of.",
        examples=[{"evidence": "400d"}],
    )
    kafka: KafkaSettings = Field(
        default_factory=KafkaSettings,
        description="The broker of the live pipeline and its topics.",
        examples=[{"bootstrap": ["127.0.0.1:9092"]}],
    )
    source: tuple[SourceSettings, ...] = Field(
        default=(), description="Systems and their files. Default: what is recognised.", examples=[[{"path": "pbx"}]]
    )
    crm_database: tuple[CrmDatabaseSettings, ...] = Field(
        default=(),
        description="CRMs' own databases, for `bypassflow crm pull`.",
        examples=[[{"source": "crm", "url_env": "CRM_URL", "mapping": "suitecrm"}]],
    )
    receive: ReceiveSettings = Field(
        default_factory=ReceiveSettings,
        description="The process that takes in events as they happen.",
        examples=[{"folder": ".bypassflow-receive"}],
    )
    receiver: tuple[Receiver, ...] = Field(
        default=(),
        description="What it follows.",
        examples=[[{"kind": "file", "source": "pbx", "path": "Master.csv", "format": "asterisk_cdr"}]],
    )
    alert: tuple[AlertSettings, ...] = Field(
        default=(),
        description="What `bypassflow notify` tells once it is so.",
        examples=[[{"name": "Leaks", "kind": "share", "to_env": ["TEAM_CHAT"]}]],
    )
    digest: tuple[DigestSettings, ...] = Field(
        default=(),
        description="What it tells regularly.",
        examples=[[{"name": "The week", "to_env": ["TEAM_CHAT"]}]],
    )
    access: AccessSettings = Field(
        default_factory=AccessSettings,
        description="Who may look at the pages and ask the API.",
        examples=[{"sign_in": "token"}],
    )

    @model_validator(mode="after")
    def _check_notices(self) -> Configuration:
        if (name := named_twice((*self.alert, *self.digest))) is not None:
            raise PydanticCustomError(
                "inconsistent", "two of [[alert]] and [[digest]] are called {name}", {"name": repr(name)}
            )
        return self


_TABLES: dict[str, type[BaseModel]] = {
    "company": CompanySettings,
    "match": MatchSettings,
    "exclude": ExcludeSettings,
    "crm": CrmSettings,
    "privacy": PrivacySettings,
    "retention": RetentionSettings,
    "kafka": KafkaSettings,
    "source": SourceSettings,
    "crm_database": CrmDatabaseSettings,
    "crm_database.table": CrmTable,
    "crm_database.table.join": CrmJoin,
    "receive": ReceiveSettings,
    "alert": AlertSettings,
    "digest": DigestSettings,
    "access": AccessSettings,
    "access.openid": OpenIdSettings,
    **{f"receiver.{kind}": model for kind, model in RECEIVERS.items()},
}


# What people write has some kilobytes.
_LONGEST_TEXT: Final = 1_000_000


def parse_configuration(text: str, name: str) -> Configuration:
    """Return the configuration that a TOML text holds; `name` is the file's name in messages.

    Raises:
        SettingsError: with every problem found, each with file, line, what was found and what was expected.
    """
    if len(text) > _LONGEST_TEXT or "\\u0000" in text or "\\U00000000" in text:
        found = f"{len(text):,} letters" if len(text) > _LONGEST_TEXT else "a zero character"
        raise SettingsError((f"{name}: found {found}; expected at most {_LONGEST_TEXT:,} letters, none of them zero",))
    try:
        values = tomllib.loads(text)
    except RecursionError:
        raise SettingsError(
            (f"{name}: nested too deeply; expected tables and lists as the reference has them",)
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError((syntax_problem(str(error), text, name),)) from None
    try:
        return Configuration.model_validate(values)
    except ValidationError as error:
        raise SettingsError(ProblemWriter(text, name, _TABLES).sentences(error)) from None
