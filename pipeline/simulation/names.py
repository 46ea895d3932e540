"""Invented people and firms. Any likeness to real ones is the luck of the draw: names are put together at random."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Final

FIRST_NAMES: Final = tuple(
    """
    Aino Anna Elina Emilia Eeva Hanna Helmi Iida Inka Jaana Johanna Kaisa Katri Kirsi Laura Leena Liisa Maija Mari
    Marja Minna Niina Noora Outi Päivi Pirjo Riikka Saara Sanna Satu Sini Sirpa Sofia Susanna Tiina Tuula Ulla Venla
    Antti Arto Eero Esa Hannu Harri Heikki Ilkka Jari Joonas Juha Jukka Kalle Kari Kimmo Lauri Lasse Markku Matti
    Mikko Niko Oskari Otto Pekka Petri Pasi Risto Sami Samuli Seppo Teemu Timo Tuomas Väinö Ville Yrjö Åke Björn
    """.split()  # noqa: SIM905 - a word list reads better than eighty quotation marks
)
LAST_NAMES: Final = tuple(
    """
    Aalto Ahola Anttila Eskola Haapala Hakala Harju Hautala Heino Hietala Hiltunen Ikonen Jokela Järvelä Kallio Kangas
    Karhu Kauppi Keskitalo Kivelä Koivu Korpela Koskela Kujala Kulmala Kuusela Lahti Laakso Lampi Lehto Leino Lindqvist
    Louhi Luoma Metsälä Mustonen Mäkelä Niemelä Niskala Nurmi Ojala Pakkala Peltola Pohjola Puro Rantala Rauhala Saari
    Salmela Salo Sillanpää Sorsa Suominen Taipale Tammela Toivola Törmälä Uotila Vainio Vesala Viita Virta Ylitalo Åberg
    """.split()  # noqa: SIM905
)
_FIRM_BEGINNINGS: Final = tuple(
    """
    Hirvi Joutsen Kaarna Kallas Karpalo Kettu Kielo Kontio Kuura Kuutamo Lumme Mesi Naava Otso Pihka Pilvi Piilo
    Revontuli Routa Sammal Sisu Suvi Tervas Tuisku Tuohi Tyrsky Usva Vaahtera Valo Vanamo Varpu Vihuri Viima Ahven
    Halla Hanki
    """.split()  # noqa: SIM905
)
_FIRM_ENDINGS: Final = tuple(
    """
    haka harju kaari kannas kivi korpi koski kumpu laakso lahti lampi linna luoto mäki niemi niitty pelto polku portti
    puisto ranta saari salmi sauna silta taival torni valli vuo ääri
    """.split()  # noqa: SIM905
)
_FIRM_TRADES: Final = tuple(
    """
    Rakennus Kiinteistöt Kuljetus Logistiikka Paino Konepaja Sähkö Huolto Tilat Asunnot Leipomo Puutarha Mylly Verstas
    Matkailu Optiikka Kalusteet Tekniikka Automaatio Hoiva
    """.split()  # noqa: SIM905
)
_FIRM_FORMS: Final = ("Oy", "Oy", "Oy", "Oy", "Oyj", "Ky", "Osk", "Tmi", "ry")
FIRM_COUNT: Final = len(_FIRM_BEGINNINGS) * len(_FIRM_ENDINGS)


def firm(index: int) -> str:
    """Return the name of the firm with a number; different for each number below FIRM_COUNT."""
    beginning = _FIRM_BEGINNINGS[index % len(_FIRM_BEGINNINGS)]
    ending = _FIRM_ENDINGS[index // len(_FIRM_BEGINNINGS) % len(_FIRM_ENDINGS)]
    trade = _FIRM_TRADES[(index * 7) % len(_FIRM_TRADES)]
    round_ = index // FIRM_COUNT
    number = f" {round_ + 1}" if round_ else ""
    return f"{beginning}{ending} {trade}{number} {_FIRM_FORMS[index % len(_FIRM_FORMS)]}"


@lru_cache(maxsize=65536)
def ascii_slug(text: str) -> str:
    """Return a text as it stands in an address: small ASCII letters and digits, hyphens between words.

    >>> ascii_slug("Usvaääri Sähkö Oy")
    'usvaaari-sahko-oy'
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return "-".join("".join(c if c.isalnum() else " " for c in plain).split())
