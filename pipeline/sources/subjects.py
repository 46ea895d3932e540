"""Calls and emails told from the subject of a CRM record, where the CRM kept nothing better.

People log a call as a task named "Discovery call" or "Puhelu: tarjous". The patterns are regular
expressions that a company can replace; ours know English, Finnish, Swedish and German. They look for
the word as it is written when the thing happened: "calling for bids", a recall or a call centre is no call.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

from pipeline.errors import ConfigurationError

SubjectKind = Literal["call", "email"]

MAX_SUBJECT: Final = 300
"""A subject is read this far: longer than any CRM keeps, short enough for any pattern."""

CALL_PATTERNS: Final = (
    # English. "called off", "call centre", "call to action" and "call for bids" are about something else.
    r"(?<![\w@])(?:tele)?(?:phone )?call(?:s|ed|back|backs)?\b(?![@.]\w)"
    r"(?![ -]?(?:off\b|cent(?:er|re)s?\b|to[ -]action\b|for (?:\w+ )?(?:bids?|tenders?|papers?|proposals?|entries)\b))",
    r"\bphoned\b",
    # Finnish. Compounds end in the word ("asiakaspuhelu"); "puhelinliittymä" and "CD-soitin" are things.
    r"\b\w*puhelu(?:n|t|a|ja|jen|ita|iden|sta|ista|ssa|issa|lla|ksi|mme)?\b",
    r"(?<![\w-])(?:takaisin|asiakas|myynti|kylmä|seuranta|jatko)?"
    r"soit(?:to|on|toa|ot|osta|tosta|in|ti|imme|ettu|ettiin)\b",
    # Swedish. "utvecklingssamtal" is held with an employee.
    r"\b(?:telefon|kund|kunden|sälj|uppföljnings)?samtal(?:et|en)?\b",
    r"\b(?:upp)?ring(?:de|t|d)\b",
    # German. An "Anrufbeantworter" is a machine.
    r"\b(?:kunden|telefon)?anruf(?:e|s|en|es)?\b",
    r"\brückrufe?s?\b",
    r"\b(?:telefonate?[sn]?|telefongespräche?s?|angerufen|telefoniert)\b",
)
_CALL_HINTS: Final = ("call", "phoned", "puhelu", "soit", "samtal", "ring", "anruf", "rückruf", "telefon", "angerufen")

EMAIL_PATTERNS: Final = (
    # What mail add-ins write in front of the subject; "Email the offer" is a thing to do. Umlauts are often broken.
    r"^\s*(?:\[[^\]]{0,40}\]\s*)*(?:list )?(?:e-?mail|s.hk.posti(?:viesti)?|e-post|mejl|mail)\s*(?:[:\]]|>>)",
    r"^\s*(?:\[[^\]]{0,40}\]\s*)*\[(?:e-?mail|s.hk.posti)\]",
    r"^\s*(?:e-?mail (?:sent|received)|s.hk.posti (?:lähetetty|saapunut)|e-post skickat|e-?mail gesendet)\b",
)
_EMAIL_HINTS: Final = ("mail", "post", "mejl")


@dataclass(frozen=True)
class _Rule:
    """Expressions of which one must match, and the texts without one of which none can; no hints: try them all."""

    patterns: tuple[re.Pattern[str], ...]
    hints: tuple[str, ...] = ()

    def fits(self, subject: str, lowered: str) -> bool:
        if self.hints and not any([hint in lowered for hint in self.hints]):  # noqa: C419 - faster than a generator
            return False
        return any(pattern.search(subject) is not None for pattern in self.patterns)


@dataclass(frozen=True)
class SubjectRules:
    """What makes a subject a call or an email; an email's mark stands first and so decides first."""

    call: _Rule | None
    email: _Rule | None

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> SubjectRules:
        """Return the rules that the options `call_subject` and `email_subject` ask for.

        Each is one regular expression or a list of them, matched anywhere and in any letter case. It
        replaces our patterns; an empty list switches the recognition off.

        Raises:
            ConfigurationError: when an option is no text or no regular expression.
        """
        return cls(
            _rule("call_subject", options.get("call_subject"), CALL_PATTERNS, _CALL_HINTS),
            _rule("email_subject", options.get("email_subject"), EMAIL_PATTERNS, _EMAIL_HINTS),
        )

    def kind(self, subject: str) -> SubjectKind | None:
        """Return what the subject says the record is, or None when it does not say.

        >>> rules = SubjectRules.from_options({})
        >>> [rules.kind(s) for s in ("Puhelu: tarjous", "Email: Re: call", "Calling for bids")]
        ['call', 'email', None]
        """
        if not subject:
            return None
        subject = subject[:MAX_SUBJECT]
        if not subject.isascii():
            subject = unicodedata.normalize("NFC", subject)
        lowered = subject.lower()
        if self.email is not None and self.email.fits(subject, lowered):
            return "email"
        if self.call is not None and self.call.fits(subject, lowered):
            return "call"
        return None


def _rule(option: str, wanted: object, patterns: tuple[str, ...], hints: tuple[str, ...]) -> _Rule | None:
    if wanted is None:
        return _Rule(_compile(option, ("|".join(f"(?:{pattern})" for pattern in patterns),)), hints)
    if isinstance(wanted, str):
        wanted = [wanted] if wanted else []
    if not isinstance(wanted, list | tuple) or not all(isinstance(pattern, str) for pattern in wanted):
        raise ConfigurationError(f"{option} is {wanted!r}; expected a regular expression or a list of them")
    return _Rule(_compile(option, tuple(wanted))) if wanted else None


@lru_cache(maxsize=64)
def _compile(option: str, patterns: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    compiled = []
    for pattern in patterns:
        try:
            compiled.append(re.compile(unicodedata.normalize("NFC", pattern), re.IGNORECASE))
        except re.error as error:
            raise ConfigurationError(f"{option} holds {pattern!r}, which is no regular expression: {error}") from error
    return tuple(compiled)
