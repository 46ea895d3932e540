"""The languages of the pages: messages from a catalogue, and numbers, days and lengths of time as people write them.

Messages stand in English in the code and the templates; `dashboard/translations` has a catalogue for each other
language.
"""

from __future__ import annotations

import gettext
import io
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from babel import Locale, dates, numbers, units
from babel.core import UnknownLocaleError, negotiate_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations

from pipeline.sentences import Instant, LocalTime, Name, Points, Sentence, Value

CATALOGUES: Final = Path(__file__).parents[1] / "translations"
# British English writes the day before the month and 24 hours, as the rest of Europe.
LOCALES: Final[Mapping[str, str]] = {"en": "en_GB", "fi": "fi_FI"}
LANGUAGES: Final = tuple(LOCALES)
NOTHING: Final = "–"
_DAYS: Final[Mapping[str, str]] = {"en": "ccc d MMM y", "fi": "ccc d.M.y"}
_UNITS: Final = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def _(message: str) -> str:
    """Mark a message for the catalogue; it is translated where it is shown."""
    return message


# What the store calls things, as a reader calls them.
NAMES: Final[Mapping[str, str]] = {
    "traced": _("traced"),
    "siloed": _("siloed"),
    "bypassed": _("bypassed"),
    "pending": _("pending"),
    "call": _("call"),
    "email": _("email"),
    "sms": _("text message"),
    "chat": _("chat"),
    "social": _("social media"),
    "fax": _("fax"),
    "pbx": _("PBX"),
    "mobile": _("mobile"),
    "contact_center": _("contact centre"),
    "other": _("other"),
    "inbound": _("inbound"),
    "outbound": _("outbound"),
    "not_logged": _("not logged"),
    "unknown_customer": _("unknown customer"),
    "withheld": _("withheld number"),
    "exact": _("exact"),
    "same_representative": _("same representative"),
    "other_representative": _("other representative"),
    "inferred": _("inferred"),
    "trace": _("trace"),
    "redundant": _("redundant"),
    "unexplained": _("unexplained"),
    "none": _("none"),
    "channel": _("Channel"),
    "line": _("Line"),
    "team": _("Team"),
    "function": _("Function"),
    "direction": _("Direction"),
    "source": _("Source"),
    "segment": _("Segment"),
    "reason": _("Reason"),
    "outcome": _("Outcome"),
    "tier": _("Tier"),
    "hour": _("Hour"),
    "weekday": _("Weekday"),
    "day": _("Day"),
    "week": _("Week"),
    "month": _("Month"),
    "customer": _("Customer"),
    "token": _("Identifier"),
    "representative": _("Representative"),
    "contact": _("Contact"),
    "activity": _("Activity"),
    "ticket": _("ticket"),
    "company": _("Company"),
    "kept": _("known"),
    "broken": _("unknown"),
    "called_back": _("called back"),
    "called_again": _("called again"),
    "lost": _("lost"),
    "open": _("open"),
    "meeting": _("meeting"),
    "note": _("note"),
    "task": _("task"),
    "phone": _("phone number"),
    "handle": _("handle"),
    "account": _("account"),
    "correct": _("its outcome is right"),
    "logged_elsewhere": _("it was logged, and not found"),
    "wrong_contact": _("what was logged belongs elsewhere"),
    "no_customer": _("it was no customer"),
    "duplicate": _("duplicate"),
    "internal": _("internal"),
    "automated": _("automated"),
    "bulk": _("bulk"),
    "emergency": _("emergency"),
    "never_log": _("never logged"),
    "unanswered": _("unanswered"),
    "no_human": _("no human"),
    "too_short": _("too short"),
    "rejected": _("rejected"),
    "late": _("late"),
    "unaccounted": _("unaccounted for"),
    "interaction": _("interaction"),
}


@cache
def catalogue(language: str) -> gettext.NullTranslations:
    """Return the messages of a language; English is as it stands in the code."""
    path = CATALOGUES / f"{language}.po"
    if not path.exists():
        return gettext.NullTranslations()
    with path.open("rb") as file:
        messages = read_po(file, locale=language)
    compiled = io.BytesIO()
    write_mo(compiled, messages)
    compiled.seek(0)
    return Translations(compiled)


def negotiated(accept: str | None) -> str:
    """Return the language that a browser asks for by Accept-Language, of those that there are; else English.

    >>> negotiated("sv, fi;q=0.8, en;q=0.7"), negotiated("de"), negotiated(None)
    ('fi', 'en', 'en')
    """
    weighed = []
    for place, part in enumerate((accept or "").split(",")):
        name, _, quality = part.partition(";")
        try:
            weight = float(quality.partition("=")[2]) if quality else 1.0
        except ValueError:
            continue
        weighed.append((-weight, place, name.strip().replace("-", "_")))
    try:
        return negotiate_locale([name for _, _, name in sorted(weighed)], LANGUAGES) or "en"
    except (UnknownLocaleError, ValueError):
        return "en"


class Language:
    """One language in one time zone: everything that is shown goes through it. Instants are UTC without a zone."""

    def __init__(self, name: str, zone: str) -> None:
        self.name = name
        self.zone = ZoneInfo(zone)
        self.locale = Locale.parse(LOCALES[name])
        self.messages = catalogue(name)

    # -- messages ------------------------------------------------------------------------------------------------------

    def say(self, message: str, **values: object) -> str:
        """Return a message in this language, its values put in."""
        said = self.messages.gettext(message)
        return said % values if values else said

    def say_many(self, one: str, many: str, number: int, **values: object) -> str:
        """Return a message that depends on a number, which is its value `n`; templates call it `many`."""
        return self.messages.ngettext(one, many, number) % {"n": self.count(number), **values}

    def title(self, name: str | None) -> str:
        """Return what readers call something that the store has a name for; what people named stays as it is."""
        if name is None:
            return NOTHING
        return self.messages.gettext(NAMES[name]) if name in NAMES else str(name)

    def group(self, dimension: str, value: object) -> str:
        """Return what readers call a value of a dimension."""
        if value is None:
            return self.say("none")
        if dimension == "weekday":
            return self.weekday(int(str(value)))
        if dimension == "hour":
            return f"{int(str(value)):02d}:00"
        if dimension == "day":
            return self.day(date.fromisoformat(str(value)))
        if dimension == "week":
            year, week = str(value).split("-W")
            return self.say("week %(week)s/%(year)s", week=int(week), year=year)
        if dimension == "month":
            return dates.format_skeleton("yMMM", date.fromisoformat(f"{value}-01"), locale=self.locale)
        if dimension in ("team", "segment", "source", "customer", "representative", "token"):
            return str(value)
        return self.title(str(value))

    def told(self, sentence: str) -> str:
        """Return a sentence of the core; one that was not kept apart from its values stays in English."""
        if not isinstance(sentence, Sentence):
            return sentence
        said = self.messages.gettext(sentence.template)
        return said % {name: self._value(value) for name, value in sentence.values.items()} if sentence.values else said

    def _value(self, value: Value) -> str:
        match value:
            case str():
                return self.told(value)
            case int():
                return self.count(value)
            case timedelta():
                return self.length(value.total_seconds())
            case Instant():
                return self.moment(value.at)
            case LocalTime():
                return f"{self.day(value.at.date())} {dates.format_time(value.at, 'HH:mm', locale=self.locale)}"
            case Points():
                return self.points(value.change)
            case Name():
                return self.title(value.name)

    # -- numbers -------------------------------------------------------------------------------------------------------

    def count(self, number: int | None) -> str:
        """Return a count."""
        return NOTHING if number is None else numbers.format_decimal(number, locale=self.locale)

    def decimal(self, number: float | None, digits: int = 1) -> str:
        """Return a number with so many digits behind the point."""
        if number is None:
            return NOTHING
        return numbers.format_decimal(number, format=f"#,##0.{'0' * digits}", locale=self.locale)

    def percent(self, share: float | None, digits: int = 1) -> str:
        """Return a proportion as a percentage."""
        if share is None:
            return NOTHING
        behind = f".{'0' * digits}" if digits else ""
        return numbers.format_percent(share, format=f"#,##0{behind}\N{NO-BREAK SPACE}%", locale=self.locale)

    def interval(self, low: float | None, high: float | None) -> str:
        """Return an interval of proportions."""
        if low is None or high is None:
            return NOTHING
        return f"{self.decimal(100 * low)}–{self.percent(high)}"

    def points(self, change: float | None) -> str:
        """Return a difference of proportions, in percentage points with its sign."""
        if change is None:
            return NOTHING
        sign = "+" if change > 0 else "−" if change < 0 else "±"
        return f"{sign}{self.decimal(abs(100 * change))}"

    # -- time ----------------------------------------------------------------------------------------------------------

    def local(self, moment: datetime) -> datetime:
        """Return an instant in the company's time zone."""
        return moment.replace(tzinfo=UTC).astimezone(self.zone)

    def moment(self, moment: datetime | None, seconds: bool = False) -> str:
        """Return an instant in local time."""
        if moment is None:
            return NOTHING
        clock = self.clock(moment, seconds)
        return f"{self.day(self.local(moment).date())} {clock}"

    def clock(self, moment: datetime | None, seconds: bool = False) -> str:
        """Return the local time of day of an instant."""
        if moment is None:
            return NOTHING
        shape = "HH:mm:ss" if seconds else "HH:mm"
        return dates.format_time(self.local(moment), shape, tzinfo=self.zone, locale=self.locale)

    def day(self, day: date | None) -> str:
        """Return a day with its weekday."""
        return NOTHING if day is None else dates.format_date(day, _DAYS[self.name], locale=self.locale)

    def weekday(self, number: int) -> str:
        """Return the name of a weekday; 1 is Monday."""
        return str(dates.get_day_names("wide", "stand-alone", self.locale)[number - 1])

    def length(self, seconds: float | None) -> str:
        """Return a length of time in its two largest units."""
        if seconds is None:
            return NOTHING
        left = round(abs(seconds))
        parts: list[str] = []
        for unit, size in _UNITS:
            number, left = divmod(left, size)
            if number or (unit == "second" and not parts):
                parts.append(units.format_unit(number, f"duration-{unit}", length="short", locale=self.locale))
            elif parts:
                break
            if len(parts) == 2:
                break
        return ("−" if seconds < 0 else "") + " ".join(parts)
