"""Specification of channel names, dial strings and contexts: who sits where, and what the names give away."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from pipeline.sources.asterisk import (
    dialled_number,
    direction_of_context,
    epoch_of,
    interface_party,
    named_endpoint,
    offset_name,
    party,
    short_number,
)


@pytest.mark.parametrize(
    ("channel", "endpoint", "is_device"),
    [
        ("PJSIP/201-0000001a", "201", True),
        ("SIP/201-b7f0c4e8", "201", True),
        ("Console/dsp", "dsp", False),
        ("SIP/gateway-2-0000001a", "gateway-2", False),
        ("PJSIP/cafe-beef-0000001a", "cafe-beef", False),
        ("PJSIP/trunk-elisa-0000001b", "trunk-elisa", False),
        ("IAX2/branch-4711", "branch", False),
        ("DAHDI/i1/0405550101-2b", "i1", False),
        ("SIP/192.0.2.7-0000001a", "192.0.2.7", False),
        ("AsyncGoto/PJSIP/203-0000001c", "203", True),
        ("PJSIP/201-0000001a<ZOMBIE>", "201", True),
        ("SIP/0201001-0000001b", None, False),
        ("PJSIP/+358201001-0000001b", None, False),
    ],
)
def test_a_real_channel_has_a_peer(channel: str, endpoint: str | None, is_device: bool) -> None:
    who = party(channel)

    assert (who.endpoint, who.is_device, who.is_real) == (endpoint, is_device, True)


@pytest.mark.parametrize(
    ("channel", "extension"),
    [
        ("Local/201@from-queue-0000000a;1", "201"),
        ("Local/0405550101@from-internal-0000000a;2", None),
        ("CBAnn/600-00000001;1", None),
        ("Snoop/1772438400.1-00000001", None),
        ("", None),
    ],
)
def test_nobody_sits_at_plumbing(channel: str, extension: str | None) -> None:
    who = party(channel)

    assert (who.endpoint, who.is_device, who.is_real, who.extension) == (None, False, False, extension)


def test_an_interface_is_a_channel_before_it_has_a_number() -> None:
    assert interface_party("PJSIP/201").endpoint == "201"
    assert interface_party("SIP/gateway-2").endpoint == "gateway-2"
    assert interface_party("Local/204@from-internal").extension == "204"


@pytest.mark.parametrize(
    ("arguments", "number"),
    [
        ("PJSIP/trunk/sip:0405550101@192.0.2.1:5060,20", "0405550101"),
        ("SIP/elisa/+358405550101,60,tT", "+358405550101"),
        ("PJSIP/0405550101@elisa,20", "0405550101"),
        ("PJSIP/201&PJSIP/0405550101@elisa,20", "0405550101"),
        ("PJSIP/201&PJSIP/202,20", None),
        ("support,tT,,,15", None),
        ("", None),
    ],
)
def test_the_dialled_number_stands_in_dials_arguments(arguments: str, number: str | None) -> None:
    assert dialled_number(arguments) == number


@pytest.mark.parametrize(
    ("context", "direction"),
    [
        ("from-trunk", "inbound"),
        ("from-trunk-sip-elisa", "inbound"),
        ("from-pstn", "inbound"),
        ("from-did-direct", "inbound"),
        ("ext-did", "inbound"),
        ("incoming", "inbound"),
        ("from-internal", "outbound"),
        ("from-internal-xfer", "outbound"),
        ("internal", "outbound"),
        ("macro-dial", None),
        ("ivr-3", None),
        ("ext-queues", None),
        ("", None),
    ],
)
def test_contexts_of_conventional_names_tell_a_direction(context: str, direction: str | None) -> None:
    assert direction_of_context(context) == direction


def test_a_unique_id_holds_the_time_of_the_channel() -> None:
    assert epoch_of("1767225600.17") == datetime(2026, 1, 1)
    assert epoch_of("pbx-1-1767225600.17") == datetime(2026, 1, 1)
    assert epoch_of("") is None
    assert epoch_of("abc") is None
    assert epoch_of("1767225600") is None


def test_endpoints_are_names_and_short_numbers() -> None:
    assert [short_number(text) for text in ("201", "123456", "1234567", "s", "*97", "")] == [
        "201",
        "123456",
        *[None] * 4,
    ]
    assert [named_endpoint(text) for text in ("support", " Agent 202 ", "0405550101", "")] == [
        "support",
        "Agent 202",
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("hours", "name"),
    [(0, "UTC"), (2, 'UTC+02:00 ("Etc/GMT-2")'), (-5, 'UTC-05:00 ("Etc/GMT+5")'), (5.5, "UTC+05:30")],
)
def test_an_offset_is_named_as_settings_name_it(hours: float, name: str) -> None:
    assert offset_name(timedelta(hours=hours)) == name
