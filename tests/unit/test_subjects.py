"""What a subject tells about a CRM record, and what it does not."""

from __future__ import annotations

import time

import pytest

from pipeline.errors import ConfigurationError
from pipeline.sources.subjects import SubjectRules

OURS = SubjectRules.from_options({})


@pytest.mark.parametrize(
    "subject",
    [
        "Call",
        "Discovery call",
        "Cold calls, Tuesday",
        "Called the customer",
        "Call back requested",
        "Follow-up call",
        "[Outreach] [Call] renewal",
        "Call: about your email",
        "Puhelu",
        "PUHELU Virtanen",
        "Asiakaspuhelu 12.3.",
        "Puhelun muistio",
        "Soitto asiakkaalle",
        "Soitin, ei vastausta",
        "Takaisinsoitto",
        "Samtal med kunden",
        "Telefonsamtal",
        "Ringde upp kunden",
        "Anruf bei Meier",
        "Telefonat mit Frau Schulz",
        "Rückruf",
    ],
)
def test_subject_says_call_in_four_languages(subject: str) -> None:
    assert OURS.kind(subject) == "call"


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "Calling for bids",
        "Call for public tenders",
        "Product recall",
        "Meeting called off",
        "Call centre visit",
        "Call-to-action draft",
        "Lunch with Callum",
        "Locally sourced parts",
        "Puhelinliittymän uusinta",
        "Puhelulaskutus",
        "DVD-soitin rikki",
        "Utvecklingssamtal",
        "Anrufbeantworter defekt",
        "Email the offer",
        "Mailing list",
    ],
)
def test_word_inside_another_word_or_phrase_is_no_call_and_no_email(subject: str) -> None:
    assert OURS.kind(subject) is None


@pytest.mark.parametrize(
    "subject",
    [
        "Email: offer",
        "E-mail: Re: offer",
        "email: call me tomorrow",
        "List Email: spring news",
        "[Outreach] [Email] [Out] offer",
        "Sähköposti: tarjous",
        "Sa\u0308hko\u0308posti: tarjous",
        "S\ufffdhk\ufffdposti: tarjous",
        "E-post: offert",
        "Email >> offer",
        "Email sent",
    ],
)
def test_mark_of_an_email_decides_before_a_call_in_its_subject(subject: str) -> None:
    assert OURS.kind(subject) == "email"


def test_configured_patterns_replace_ours() -> None:
    rules = SubjectRules.from_options({"call_subject": ["^llamada", r"\btel\b"], "email_subject": "^correo"})

    kinds = [rules.kind(subject) for subject in ("Llamada a Pérez", "TEL 12:30", "Correo: oferta", "Call", "Email: x")]

    assert kinds == ["call", "call", "email", None, None]


def test_empty_list_of_patterns_switches_recognition_off() -> None:
    assert SubjectRules.from_options({"call_subject": []}).kind("Call") is None


@pytest.mark.parametrize("option", ["(", ["ok", "["], 7, [1]])
def test_option_that_is_no_pattern_stops_the_run_and_names_itself(option: object) -> None:
    with pytest.raises(ConfigurationError, match="call_subject"):
        SubjectRules.from_options({"call_subject": option})


def test_long_subject_is_read_only_at_its_beginning() -> None:
    started = time.process_time()

    kind = OURS.kind("a" * 2_000_000 + " call")

    assert kind is None
    assert time.process_time() - started < 1
