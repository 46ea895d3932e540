"""The words of operators' itemisations: names of columns, kinds of service, directions, marks for hidden digits.

Every operator lays its table out in its own way and words it in the customer's language: Finnish, Swedish or English.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from pipeline.sources.written_values import word_key

Service = Literal["call", "voicemail", "sms", "fax", "none"]
Direction = Literal["inbound", "outbound"]

# Names of columns by what they hold, compared without case, blanks and what stands in brackets.
_COLUMNS: Final[Mapping[str, str]] = {
    "started_at": "alkoi alkamisaika aloitusajankohta alkamisajankohta ajankohta tapahtuma_aika aikaleima starttid "
    "started started_at start_date_and_time date_and_time date_time timestamp päivä_ja_aika datum_och_tid",
    "date": "päivä päivämäärä pvm alkupvm aloituspäivä aloituspvm tapahtumapäivä datum startdatum date start_date "
    "call_date",
    "time": "klo kello kellonaika aika alkuaika aloitusaika tid klockslag time start_time call_time starttid",
    "talk_seconds": "kesto puhelun_kesto puheaika kesto_sekunteina pituus längd varaktighet samtalstid samtalslängd "
    "duration call_duration duration_seconds length talk_time",
    "representative": "liittymä liittymänumero liittymän_numero oma_numero tilaajanumero abonnemang abonnemangsnummer "
    "abonnentnummer eget_nummer subscription subscription_number subscriber subscriber_number msisdn own_number",
    "from": "a_numero a_nro a_tilaaja soittaja soittajan_numero soittava_numero lähettäjä a_nummer uppringande "
    "a_number calling_number caller calling_party",
    "to": "b_numero b_nro b_tilaaja vastaanottaja valittu_numero soitettu_numero kohdenumero b_nummer uppringt_nummer "
    "uppringd b_number called_number called_party dialled_number dialed_number",
    "customer": "numero puhelinnumero vastapuoli vastanumero toinen_osapuoli nummer motpart telefonnummer number "
    "other_party other_number phone_number",
    "direction": "suunta puhelun_suunta riktning direction",
    "service": "palvelu palvelulaji palvelutyyppi laji tapahtumalaji tapahtumatyyppi tapahtuma puhelulaji "
    "puhelutyyppi liikennelaji yhteyslaji käyttölaji tjänst tjänstetyp samtalstyp typ_av_tjänst service service_type "
    "type_of_service traffic_type usage_type",
}
# One of these tells an itemisation from any other list of calls.
_TELLING: Final = frozenset({"representative", "service"})
_PARTIES: Final = frozenset({"from", "to", "customer"})

# Beginnings or parts of words, the first group that has one counts: a data call is data, a fax call a fax.
_SERVICES: Final[Sequence[tuple[Service, str]]] = (
    ("fax", "faksi telefax fax"),
    ("none", "data gprs internet netti laajakaista surf bredband lte volte-data wlan wifi"),
    ("sms", "viesti sms mms textmeddelande bildmeddelande message"),
    ("voicemail", "vastaaja voicemail voice_mail röstbrevlåda mobilsvar telefonsvarare"),
    ("call", "puhelu soitto soiton puhe ääni samtal ringt röst call voice speech telephony"),
    ("none", "maksu alennus avgift rabatt fee charge discount"),
)
_DIRECTIONS: Final[Sequence[tuple[Direction, str]]] = (
    ("inbound", "saapu tuleva vastaanot inkommande mottag incoming inbound received terminating"),
    ("outbound", "lähte soitettu lähetet utgående skickat outgoing outbound dialled dialed originating"),
)
_TOTALS: Final = frozenset(
    ("yhteensä", "summa", "välisumma", "loppusumma", "totalt", "delsumma", "total", "subtotal", "sum")
)

_IN_BRACKETS: Final = re.compile(r"\s{0,9}[(\[][^)\]]{0,99}[)\]]")
_MINUTES: Final = re.compile(r"[(\[]\s*min[a-z]*\.?\s*[)\]]", re.IGNORECASE)
# Two digits or more that are hidden, at the end of what is shown of a number.
_LONGEST_NUMBER: Final = 60
_HIDDEN: Final = re.compile(r"\d[\d\s().-]*(?:[xX*#?•_]{2,}|\.{2,}|…|-{2,})\s*$")


def columns_of(header: Sequence[str]) -> dict[str, str]:
    """Return which column is which, by their names: a field and its column, or two columns with a + between.

    >>> columns_of(["Liittymä", "Päivämäärä", "Klo", "B-numero", "Kesto (mm:ss)"])["started_at"]
    'Päivämäärä+Klo'
    """
    found: dict[str, str] = {}
    for name in header:
        key = word_key(_IN_BRACKETS.sub("", name)).rstrip(".:")
        for field, words in _COLUMNS.items():
            if key and field not in found and key in words.split():
                found[field] = name
                break
    date, time = found.pop("date", None), found.pop("time", None)
    if date is not None:
        # A column of its own for the day makes any other one that of the time of day.
        time = time or found.get("started_at")
        found["started_at"] = f"{date}+{time}" if time else date
    elif time is not None:
        found.setdefault("started_at", time)
    return found


def is_itemisation(columns: Mapping[str, str]) -> bool:
    """Return whether columns are those of an itemisation: when, with whom, and what tells it from other lists."""
    return "started_at" in columns and bool(_PARTIES & columns.keys()) and bool(_TELLING & columns.keys())


def is_in_minutes(column: str) -> bool:
    """Return whether a column's name says that its numbers are minutes."""
    return _MINUTES.search(column) is not None


def service_of(text: str) -> Service | None:
    """Return what a service is, by its name: none for what is no conversation, null for a name without a known word.

    >>> [service_of(text) for text in ("Puhelu, kotimaa", "Tekstiviesti", "Mobilsurf EU", "Lisäpalvelu")]
    ['call', 'sms', 'none', None]
    """
    words = text.casefold().replace(" ", "_")
    return next((service for service, parts in _SERVICES if any(part in words for part in parts.split())), None)


def direction_of(text: str) -> Direction | None:
    """Return the direction that a service's name tells.

    >>> direction_of("Saapuva puhelu"), direction_of("Puhelu")
    ('inbound', None)
    """
    words = text.casefold()
    return next((way for way, parts in _DIRECTIONS if any(part in words for part in parts.split())), None)


def is_total(cells: Sequence[str]) -> bool:
    """Return whether a row is a sum, or holds no number at all, rather than an event."""
    written = [cell.strip() for cell in cells if cell.strip()]
    return (
        not any(letter.isdigit() for cell in written for letter in cell)
        or written[0].casefold().rstrip(":").partition(" ")[0] in _TOTALS
    )


def is_masked(number: str) -> bool:
    """Return whether the last digits of a number are hidden.

    >>> [is_masked(text) for text in ("04012345xx", "+35840123****", "040 123 4...", "0401234567", "16100")]
    [True, True, True, False, False]
    """
    return _HIDDEN.search(number[-_LONGEST_NUMBER:]) is not None
