"""Values as people and spreadsheets write them: instants, lengths of time, yes and no, directions, lists.

Ambiguity is refused, not resolved: 03/04/2024 is April or March, and only the administrator knows which.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

import orjson

from pipeline.errors import InvalidRecord
from pipeline.json_text import load_json

_MEMORY: Final = 50_000

_TRUE: Final = frozenset({"1", "true", "t", "yes", "y", "x", "on", "kyllä", "ja"})
_FALSE: Final = frozenset({"0", "false", "f", "no", "n", "off", "ei", "nej"})

_DIRECTIONS: Final = {
    "inbound": "inbound incoming in i received mt mtc saapuva saapunut tuleva vastaanotettu inkommande mottaget "
    "eingehend",
    "outbound": "outbound outgoing out o dialled dialed originated made placed mo moc lähtevä lahteva lähtenyt "
    "soitettu utgående utgaende ausgehend",
    "internal": "internal int sisäinen sisainen intern",
}
# Lists of calls on a telephone name these where others name a direction: a call that came in and was not answered.
_MISSED: Final = frozenset({"missed", "rejected", "declined", "blocked", "vastaamaton", "hylätty", "missat", "avvisat"})
_STATUSES: Final = {
    "answered": "answered answer completed complete connected connect accepted ok talk vastattu besvarat",
    "unanswered": "unanswered no_answer noanswer not_answered missed abandoned cancelled canceled cancel rejected "
    "declined timeout ring_no_answer vastaamaton ei_vastattu obesvarat missat",
    "busy": "busy varattu upptaget",
    "failed": "failed fail failure congestion error chanunavail unreachable epäonnistui misslyckades",
    "voicemail": "voicemail voice_mail vm vastaaja vastaajaan röstbrevlåda",
    "ivr": "ivr announcement playback menu",
}
_LINES: Final = {
    "contact_center": "contact_center contact_centre contactcenter call_center call_centre cc asiakaspalvelu",
    "pbx": "pbx vaihde switchboard växel desk",
    "mobile": "mobile cell cellular gsm matkapuhelin mobiili mobil",
}


def _words(groups: Mapping[str, str]) -> dict[str, str]:
    return {word: meaning for meaning, words in groups.items() for word in words.split()}


WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "direction": _words(_DIRECTIONS),
    "status": _words(_STATUSES),
    "line": _words(_LINES),
    "function": _words({"contact_center": _LINES["contact_center"], "other": "other others muu muut"}),
}

_CLOCK: Final = r"(?P<hour>\d{1,2})[:.](?P<minute>\d{2})(?:[:.](?P<second>\d{2})(?:[.,]\d+)?)?"
_POINTED: Final = re.compile(
    rf"(?P<day>\d{{1,2}})\.(?P<month>\d{{1,2}})\.(?P<year>\d{{4}})(?:,?\s+(?:klo\s+)?{_CLOCK})?"
)
_YEAR_FIRST: Final = re.compile(r"\d{4}[-/]\d{1,2}[-/]\d{1,2}")
_SLASHED: Final = re.compile(r"\d{1,2}[/-]\d{1,2}[/-]\d{2,4}")
# Not the hours and minutes of an offset, before which there is a sign.
_NO_SECONDS: Final = re.compile(r"(?<![:.\d+-])\d{1,2}[:.]\d{2}(?:\s*(?:Z|UTC|[+-]\d{2}:?\d{2}))?$")
_COLONS: Final = re.compile(r"(?:(\d+):)?(\d{1,3}):([0-5]?\d(?:[.,]\d+)?)")
_UNITS: Final = re.compile(
    r"(?:(\d+)\s*(?:h|hrs?|hours?|t)\s*)?(?:(\d+)\s*(?:m|mins?|minutes?)\s*)?(?:(\d+(?:[.,]\d+)?)\s*(?:s|secs?|seconds?)\s*)?",
    re.IGNORECASE,
)
_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)?")

SECONDS_PER_UNIT: Final[Mapping[str, float]] = {"seconds": 1, "minutes": 60, "milliseconds": 0.001}


@lru_cache(maxsize=4096)
def word_key(text: str) -> str:
    """Return the form in which words are compared: case, hyphens and spaces make no difference."""
    return re.sub(r"[\s_-]+", "_", text.strip().casefold()).strip("_")


def is_missed_call(text: str) -> bool:
    """Return whether a word in a column of directions means a call that came in and was not answered."""
    return word_key(text) in _MISSED


def read_word(field: str, text: str, own_words: Mapping[str, str]) -> str:
    """Return the contract's word for what a file says; a word that nobody knows is returned as it is."""
    key = word_key(text)
    if key in own_words:
        return own_words[key]
    known = WORDS.get(field, {})
    return known.get(key, key)


def read_flag(text: str) -> bool:
    """Return yes or no.

    Raises:
        InvalidRecord: when the text says neither.
    """
    word = text.strip().casefold()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise InvalidRecord("expected true or false")


def read_list(text: str) -> list[str]:
    """Return the members of a list: a JSON array, or parts between semicolons or bars, or else commas.

    >>> read_list("a@x.example; b@x.example"), read_list('["a","b"]')
    (['a@x.example', 'b@x.example'], ['a', 'b'])
    """
    text = text.strip()
    if text.startswith("["):
        try:
            members = load_json(text)
        except orjson.JSONDecodeError:
            raise InvalidRecord("expected a list: a JSON array, or members between semicolons") from None
        return [str(member) for member in members]
    separator = next((mark for mark in (";", "|", "\n") if mark in text), ",")
    return [member.strip() for member in text.split(separator) if member.strip()]


def read_seconds(text: str, unit: str = "seconds") -> float:
    """Return a length of time in seconds; `unit` is that of a bare number.

    >>> [read_seconds(text) for text in ("312", "0:05:12", "5:12", "312,5", "5 min 12 s")]
    [312.0, 312.0, 312.0, 312.5, 312.0]

    Raises:
        InvalidRecord: when the text is no length of time.
    """
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return float(text.replace(",", ".")) * SECONDS_PER_UNIT[unit]
    colons = _COLONS.fullmatch(text)
    if colons:
        hours, minutes, seconds = colons.groups()
        return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds.replace(",", "."))
    units = _UNITS.fullmatch(text)
    if units and text:
        hours, minutes, seconds = units.groups()
        return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float((seconds or "0").replace(",", "."))
    raise InvalidRecord("expected a length of time such as 312, 0:05:12 or 5:12")


def has_no_seconds(text: str) -> bool:
    """Return whether a time of day is given to the minute only.

    >>> [has_no_seconds(text) for text in ("2.5.2024 9:15", "2024-05-02T09:15+03:00", "2024-05-02T09:15:04+03:00")]
    [True, True, False]
    """
    return _NO_SECONDS.search(text.strip()) is not None


class InstantReader:
    """Reads dates and times; remembers what it read, since logs repeat themselves.

    `date_format` is the administrator's own, in the notation of strptime, and then the only one that counts.
    """

    def __init__(self, date_format: str | None = None) -> None:
        self._format = date_format
        self._known: dict[str, datetime | date] = {}

    def read(self, text: str) -> datetime | date:
        """Return a date with a time of day, or a date alone where the text has no more.

        Raises:
            InvalidRecord: when the text is no date, or could be two.
        """
        known = self._known.get(text)
        if known is None:
            known = self._read(text.strip())
            if len(self._known) >= _MEMORY:
                self._known.clear()
            self._known[text] = known
        return known

    def _read(self, text: str) -> datetime | date:
        if self._format is not None:
            try:
                return datetime.strptime(text, self._format)
            except ValueError:
                raise InvalidRecord("expected a date as options.date_format says") from None
        for reader in _READERS:
            try:
                found = reader(text)
            except (ValueError, OverflowError):
                found = None
            if found is not None:
                return found
        if _SLASHED.match(text):
            raise InvalidRecord("a date that could be two: set options.date_format, for example %d/%m/%Y %H:%M")
        raise InvalidRecord("expected a date and time such as 2024-05-02T09:15:04+03:00 or 2.5.2024 9:15")


def _read_digits(text: str) -> datetime | date | None:
    """Return what digits alone mean: seconds or milliseconds since 1970, or a date without separators."""
    whole, _, fraction = text.partition(".")
    if not whole.isdigit() or not whole.isascii():
        return None
    if len(whole) == 10:
        return datetime.fromtimestamp(float(text), UTC)
    if fraction:
        return None
    if len(whole) == 13:
        return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=int(whole))
    forms = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
    if len(whole) not in forms:
        return None
    moment = datetime.strptime(whole, forms[len(whole)])
    return moment.date() if len(whole) == 8 else moment


def _read_iso(text: str) -> datetime | date | None:
    if not _YEAR_FIRST.match(text):
        return None
    if len(text) >= 16:
        with suppress(ValueError):  # the common case, ten times faster
            return datetime.fromisoformat(text)
    text = text.replace("/", "-", 2)
    if text.upper().endswith(" UTC"):
        text = text[:-4] + "Z"
    day = re.fullmatch(r"(\d{4})-(\d{1,2})-(\d{1,2})", text)
    if day:
        return date(int(day[1]), int(day[2]), int(day[3]))
    # A decimal comma and a blank before the offset are met in exports; ISO 8601 in Python 3.11 takes neither.
    text = re.sub(r"(?<=\d),(?=\d{1,9}\b)", ".", text)
    text = re.sub(r"\s{1,9}(?=[+-]\d{2}:?\d{2}$)", "", text)
    text = re.sub(r"^(\d{4})-(\d{1,2})-(\d{1,2})[T\s]+(\d):", r"\1-\2-\3 0\4:", text)
    text = re.sub(r"^(\d{4})-(\d)-", r"\1-0\2-", text)
    text = re.sub(r"^(\d{4}-\d{2})-(\d)(?=[T\s])", r"\1-0\2", text)
    return datetime.fromisoformat(text)


def _read_pointed(text: str) -> datetime | date | None:
    """Return 2.5.2024 9:15:04 and its like: day, month, year between points mean the same everywhere."""
    found = _POINTED.fullmatch(text)
    if found is None:
        return None
    day = date(int(found["year"]), int(found["month"]), int(found["day"]))
    if found["hour"] is None:
        return day
    return datetime(day.year, day.month, day.day, int(found["hour"]), int(found["minute"]), int(found["second"] or 0))


def _read_mail_date(text: str) -> datetime | None:
    return parsedate_to_datetime(text) if re.search(r"\d{1,2} [A-Za-z]{3} \d{4} \d", text) else None


_READERS: Final[tuple[Callable[[str], datetime | date | None], ...]] = (
    _read_digits,
    _read_iso,
    _read_pointed,
    _read_mail_date,
)
