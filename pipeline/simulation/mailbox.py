"""Mailboxes as files: how a message looks in each of the mailboxes that hold a copy."""

from __future__ import annotations

from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from random import Random
from typing import Final

from pipeline.simulation.worktime import DAY, HOUR, Calendar

FOLDER: Final = "mail"
_WEEKDAYS: Final = ("Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed")  # 1 January 1970 was a Thursday
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_BODIES: Final = (
    "Hei,\n\nasia on kunnossa, palaan huomenna.\n",
    "Hei!\n\nKiitos viestistä. Voisitteko vielä tarkistaa liitteen?\n\nTerveisin\n",
    "Moi,\n\nsopii hyvin.\n",
    "Hei,\n\nlaitan tiedot perjantaihin mennessä.\n>From now on we will answer within a day.\n",
    "Hyvä asiakas,\n\nliitteenä pyytämänne tarjous.\n\nYstävällisin terveisin\n",
)


@dataclass(frozen=True, slots=True)
class Address:
    """An address with the name that is shown beside it."""

    address: str
    name: str = ""

    def __str__(self) -> str:
        return _named(self.name, self.address)


@dataclass(eq=False, slots=True)
class Message:
    """An email, before it is copied into mailboxes. `extra` are further header lines; without a body it gets any."""

    sent_at: int
    sender: Address
    to: Sequence[Address]
    subject: str
    message_id: str | None
    cc: Sequence[Address] = ()
    in_reply_to: str | None = None
    extra: Sequence[str] = ()
    body: str = ""
    evidence: list[str] = field(default_factory=list)


class PostOffice:
    """Keeps the mailboxes until they are written."""

    def __init__(self, calendar: Calendar, rng: Random) -> None:
        self._calendar = calendar
        self._rng = rng
        self._boxes: defaultdict[str, list[tuple[int, bytes, list[str]]]] = defaultdict(list)

    def deliver(self, message: Message, box: str, delivered_to: str | None = None, *, keeps_id: bool = True) -> None:
        """Put a copy into a mailbox: as received when it says to whom it was delivered, else as sent."""
        rng = self._rng
        at = message.sent_at + (rng.randint(1, 15) if delivered_to else 0)
        lines = [f"From {message.sender.address} {self._envelope_date(at)}"]
        if delivered_to:
            sender = "" if message.sender.address.startswith("mailer-daemon@") else message.sender.address
            lines.append(f"Return-Path: <{sender}>")
            lines.append(f"Delivered-To: {delivered_to}")
            host = message.sender.address.split("@")[1]
            lines.append(f"Received: from mx.{host} (mx.{host} [192.0.2.{rng.randint(1, 254)}])")
            lines.append(f"\tby mx1.{delivered_to.split('@')[1]} with ESMTPS; {self._date(at, rng.random())}")
        lines.append(f"Date: {self._date(message.sent_at, 0.0 if delivered_to is None else 0.5)}")
        lines.append(f"From: {message.sender}")
        lines.append("To: " + ",\n ".join(map(str, message.to)))
        if message.cc:
            lines.append("Cc: " + ", ".join(map(str, message.cc)))
        lines.append(f"Subject: {_encoded(message.subject)}")
        if message.message_id and keeps_id:
            lines.append(f"Message-ID: <{message.message_id}>")
        if message.in_reply_to:
            lines.append(f"In-Reply-To: <{message.in_reply_to}>")
        lines.extend(message.extra)
        if not any(line.startswith("Content-Type") for line in message.extra):
            lines.append("MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8")
        text = "\n".join(lines) + "\n\n" + (message.body or rng.choice(_BODIES)) + "\n"
        self._boxes[box].append((at, text.encode(), message.evidence))

    def deliver_again(self, box: str) -> None:
        """Put the last copy in a mailbox there once more, as a client does that lost its connection."""
        self._boxes[box].append(self._boxes[box][-1])

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Yield the mailboxes, and enter each copy's place into its message's evidence."""
        for box in sorted(self._boxes):
            position = 0
            copies = self._boxes[box]
            copies.sort(key=lambda copy: copy[0])
            for _, text, evidence in copies:
                evidence.append(f"{FOLDER}/{box}:{position}")
                position += len(text)
            yield f"{FOLDER}/{box}", b"".join(text for _, text, _ in copies)

    def _date(self, instant: int, draw: float) -> str:
        """Return a date as mail programs write it, `draw` between 0 and 1 choosing the manner."""
        if draw > 0.97:
            return f"{_date_text(instant)} GMT"
        offset = self._calendar.offset(instant)
        return f"{_date_text(instant + offset)} +{offset // HOUR:02d}00"

    def _envelope_date(self, instant: int) -> str:
        day, month, year, weekday, clock = _parts(instant)
        return f"{weekday} {month} {day:2d} {clock} {year}"


def _date_text(local: int) -> str:
    day, month, year, weekday, clock = _parts(local)
    return f"{weekday}, {day:02d} {month} {year} {clock}"


def _parts(instant: int) -> tuple[int, str, int, str, str]:
    seconds = instant % DAY
    day, month, year, weekday = _calendar_day(instant // DAY)
    return day, month, year, weekday, f"{seconds // HOUR:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


@lru_cache(maxsize=4096)
def _calendar_day(day_number: int) -> tuple[int, str, int, str]:
    day = date.fromordinal(day_number + date(1970, 1, 1).toordinal())
    return day.day, _MONTHS[day.month - 1], day.year, _WEEKDAYS[day_number % 7]


@lru_cache(maxsize=65536)
def _named(name: str, address: str) -> str:
    if not name:
        return address
    if not name.isascii():
        return f"{_encoded(name)} <{address}>"
    return f'"{name}" <{address}>' if "," in name else f"{name} <{address}>"


@lru_cache(maxsize=65536)
def _encoded(text: str) -> str:
    """Return text as a header holds it (RFC 2047); the texts here are short enough for one word."""
    return text if text.isascii() else f"=?utf-8?B?{b64encode(text.encode()).decode()}?="
