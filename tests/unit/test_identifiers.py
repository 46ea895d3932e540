"""Specification of identifiers: what is one number or address, what is nobody, and what people get to see."""

from __future__ import annotations

import base64
import hashlib
import hmac
import random
import re
from typing import Any

import phonenumbers
import pyarrow as pa
import pytest
import rphonenumbers
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import identifiers as module
from pipeline.errors import ConfigurationError
from pipeline.identifiers import PHONE_TABLE, Identifiers, registrable_domain
from pipeline.spellings import home_rules
from schemas.facts import IDENTIFIER

KEY = b"a key of the tests, thirty bytes"


def make(region: str = "FI", prefixes: tuple[str, ...] = (), *, clear: bool = True) -> Identifiers:
    return Identifiers(KEY, region, prefixes, clear)


@pytest.mark.parametrize(
    "spelling",
    [
        "0405551234",
        "+358405551234",
        "00358405551234",
        "990358405551234",
        "358405551234",
        "040 555 1234",
        "040-555 12 34",
        "(040) 5551234",
        "+358 (0)40 555 1234",
        "tel:+358-40-5551234",
        "tel:+358405551234;phone-context=example.fi",
        "sip:0405551234@pbx.example.fi:5060",
        "sips:+358405551234@pbx.example.fi;user=phone",
        "whatsapp:+358405551234",
        '"Maija" <+358405551234>',
        "<sip:0405551234@10.0.0.1>",
        "040 555 1234 ext. 12",
        "040 555 1234 (koti)",
        "GSM: 040 555 1234",
        "040 555 1234 / 09 123 4567",
        "\u00a0040\u2009555\u20091234 ",
        "\uff10\uff14\uff10\uff15\uff15\uff15\uff11\uff12\uff13\uff14",
    ],
)
def test_spellings_of_one_number_are_one_number(spelling: str) -> None:
    identity = make().phone(spelling)

    assert (identity.kind, identity.display) == ("phone", "+358405551234")
    assert identity.token == make().phone("0405551234").token


@pytest.mark.parametrize("prefix", ["0", "9", "00"])
def test_an_outside_line_prefix_is_stripped_before_the_number_is_read(prefix: str) -> None:
    assert make(prefixes=(prefix,)).phone(prefix + "0405551234").display == "+358405551234"
    assert make(prefixes=(prefix,)).phone(prefix + "0046701234567").display == "+46701234567"
    assert make(prefixes=(prefix,)).phone(prefix + "+46701234567").display == "+46701234567"


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        ("00405551234", "+358405551234"),  # never +40 555 1234
        ("0040721234567", "+40721234567"),  # a whole Romanian number; 040721234567 would be too long here
        ("0405551234", "+358405551234"),
        ("091234567", "+35891234567"),
        ("+40721234567", "+40721234567"),
        ("0044201234567", "+44201234567"),
    ],
)
def test_a_prefix_is_stripped_only_where_the_rest_can_be_dialled(raw: str, read: str) -> None:
    assert make(prefixes=("0",)).phone(raw).display == read


def test_without_a_configured_prefix_nothing_is_stripped() -> None:
    assert make().phone("00405551234").display == "00405551234"


def test_in_a_country_without_trunk_digit_the_number_as_written_wins() -> None:
    assert make("US", ("9",)).phone("912025550123").display == "+12025550123"
    assert make("US", ("9",)).phone("92025550123").display == "+12025550123"
    assert make("DK", ("0",)).phone("032123456").display == "+4532123456"


def test_a_foreign_number_without_its_plus_sign_is_read_as_foreign() -> None:
    assert make().phone("46701234567").display == "+46701234567"


@pytest.mark.parametrize(
    "raw",
    [
        None,
        "",
        "  ",
        "anonymous",
        "Anonymous",
        "unknown",
        "Restricted",
        "private",
        "Private number",
        "unavailable",
        "withheld",
        "asterisk",
        "s",
        "sip:anonymous@anonymous.invalid",
        '"Anonymous" <anonymous>',
        "salainen numero",
        "\ufffd\ufffd\ufffd",
        "040555****",
        "04055512XX",
        "-",
    ],
)
def test_a_withheld_number_stands_for_nobody(raw: str | None) -> None:
    identity = make().phone(raw)

    assert (identity.token, identity.kind, identity.display) == (None, "withheld", "")


@pytest.mark.parametrize("raw", ["201", "7", "600", "123456", "Ext.100", "*72", "#31#"])
def test_a_short_number_is_an_extension_and_has_no_token(raw: str) -> None:
    identity = make().phone(raw)

    assert (identity.token, identity.kind) == (None, "extension")


def test_a_number_outside_the_numbering_plan_is_still_somebody() -> None:
    unreadable = make().phone("00000000000")

    assert unreadable.kind == "phone"
    assert unreadable.token is not None
    assert unreadable.token == make().phone("000 000 000 00").token


@pytest.mark.parametrize(
    ("region", "prefixes", "raw", "is_emergency"),
    [
        ("FI", (), "112", True),
        ("FI", ("0",), "0112", True),
        ("FI", (), "0112", False),
        ("FI", (), "999", False),
        ("GB", (), "999", True),
        ("US", (), "911", True),
        ("FI", (), "sip:112@pbx.example.fi", True),
        ("FI", (), "0405551112", False),
    ],
)
def test_emergency_numbers_are_those_of_the_region(
    region: str, prefixes: tuple[str, ...], raw: str, is_emergency: bool
) -> None:
    assert make(region, prefixes).phone(raw).is_emergency is is_emergency


def test_the_token_is_a_keyed_hash_of_kind_and_canonical_form() -> None:
    expected = base64.b64encode(hmac.digest(KEY, b"phone:+358405551234", "sha256")[:9], altchars=b"Zz").decode()

    assert make().phone("0405551234").token == expected
    assert len(expected) == 12


def test_a_long_key_is_hashed_first_as_hmac_says() -> None:
    key = b"k" * 100
    expected = base64.b64encode(hmac.digest(key, b"email:a@example.fi", "sha256")[:9], altchars=b"Zz").decode()

    assert Identifiers(key).email("a@example.fi").token == expected


def test_another_key_gives_other_tokens() -> None:
    assert Identifiers(b"one").phone("0405551234").token != Identifiers(b"two").phone("0405551234").token


def test_masked_and_clear_mode_differ_in_display_alone() -> None:
    masked, clear = make(clear=False), make(clear=True)

    assert masked.phone("0405551267").token == clear.phone("0405551267").token
    assert masked.phone("0405551267").display == "+358…67"
    assert masked.email("Maija@example.fi").token == clear.email("maija@example.fi").token
    assert masked.email("Maija@example.fi").display == "m…@….fi"
    assert clear.email("Maija@example.fi").display == "maija@example.fi"
    assert masked.email("maija@example.fi").domain == clear.email("maija@example.fi").domain


@pytest.mark.parametrize(
    "spelling",
    [
        "maija@example.fi",
        "MAIJA@EXAMPLE.FI",
        " <Maija@Example.fi> ",
        '"Meikäläinen, Maija" <maija@example.fi>',
        "mailto:maija@example.fi",
        "'maija@example.fi'",
        "maija@example.fi.",
    ],
)
def test_spellings_of_one_address_are_one_address(spelling: str) -> None:
    assert make().email(spelling).display == "maija@example.fi"


@pytest.mark.parametrize("raw", [None, "", "maija", "@example.fi", "maija@", "/O=ORG/OU=X/CN=MAIJA", "a b@example.fi"])
def test_what_is_no_address_stands_for_nobody(raw: str | None) -> None:
    assert make().email(raw).token is None


def test_an_international_domain_is_one_domain_in_both_spellings() -> None:
    assert make().email("info@mäki.fi").token == make().email("info@xn--mki-qla.fi").token


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("example.fi", "example.fi"),
        ("mail.eu.example.co.uk", "example.co.uk"),
        ("https://www.Example.fi/path?x=1", "example.fi"),
        ("www.example.fi:8080", "example.fi"),
        ("maija@mail.example.fi", "example.fi"),
        ("10.1.2.3", None),
        ("co.uk", None),
        ("fi", None),
        ("not a domain", None),
        ("", None),
    ],
)
def test_a_domain_is_what_its_owner_registered(host: str, domain: str | None) -> None:
    assert registrable_domain(host) == domain


@pytest.mark.parametrize("domain", ["gmail.com", "hotmail.com", "outlook.fi", "luukku.com", "yahoo.co.uk", "inet.fi"])
def test_public_mail_domains_are_nobodys_domain(domain: str) -> None:
    assert make().email(f"maija@{domain}").domain is None
    assert make().domain_token(domain) is None


def test_addresses_of_one_company_share_its_domain_token() -> None:
    subject = make()

    assert subject.email("a@example.fi").domain == subject.email("b@mail.example.fi").domain
    assert subject.email("a@example.fi").domain == subject.domain_token("https://www.example.fi")
    assert subject.email("a@example.fi").domain is not None


def test_handles_belong_to_their_network() -> None:
    subject = make()

    assert subject.handle("@Maija", "x").token == subject.handle("maija", "X").token
    assert subject.handle("maija", "x").token != subject.handle("maija", "telegram").token
    assert subject.handle("", "x").token is None


def test_phone_table_has_one_row_per_distinct_text() -> None:
    raws = pa.chunked_array([["0405551234", "201", None], ["0405551234", "anonymous", "112", ""]])

    table = make().phone_table(raws)

    assert table.schema == PHONE_TABLE
    assert table.to_pylist() == [
        {
            "raw": "0405551234",
            "kind": "phone",
            "token": make().phone("0405551234").token,
            "is_emergency": False,
        },
        {"raw": "201", "kind": "extension", "token": None, "is_emergency": False},
        {"raw": "anonymous", "kind": "withheld", "token": None, "is_emergency": False},
        {"raw": "112", "kind": "extension", "token": None, "is_emergency": True},
        {"raw": "", "kind": "withheld", "token": None, "is_emergency": False},
    ]


def test_phone_table_says_the_same_however_often_and_in_whatever_company_a_number_comes() -> None:
    chance = random.Random(4)
    numbers = [f"040{n:07}" for n in range(3_000)] + ["201", "anonymous", ""]
    subject, alone = make(), make()
    for size in (3_000, 40, 2_500, 1, 3_003):
        raws = chance.sample(numbers, size)
        table = subject.phone_table(pa.array(raws))

        assert table.column("raw").to_pylist() == raws
        assert table.column("token").to_pylist() == [alone.phone(raw).token for raw in raws]
        assert table.column("kind").to_pylist() == [alone.phone(raw).kind for raw in raws]


def test_drain_gives_each_identifier_seen_since_the_last_drain() -> None:
    subject = make(clear=False)
    for raw in ("0405551234", "+358405551234", "201", "anonymous"):
        subject.phone(raw)
    subject.email("maija@example.fi")

    first = subject.drain()
    subject.phone("0405551234")

    assert first.schema == IDENTIFIER
    assert sorted((row["kind"], row["display"]) for row in first.to_pylist()) == [
        ("domain", "….fi"),
        ("email", "m…@….fi"),
        ("phone", "+358…34"),
    ]
    assert subject.drain().num_rows == 0


def test_the_cache_is_bounded_and_forgets_the_longest_unused() -> None:
    cache: module._Cache[int, int] = module._Cache(100)
    for number in range(1000):
        cache.put(number, number + 1)
        cache.get(0)

    assert len(cache) <= 100
    assert cache.get(0) == 1
    assert cache.get(1) is None


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ('"","+358405551234","0201001"', '"","+…34","…01"'),
        ("call 040 555 12 34 now", "call …34 now"),
        ("2026-03-01 12:30:00,201,Dial", "2026-03-01 12:30:00,201,Dial"),
        ("from Maija.M@example.fi to x", "from M…@….fi to x"),
        ('"""Maija M"" <+358405551234>"', '… <+…34>"'),
        ("Maija Meikäläinen <maija@example.fi>", "… <m…@….fi>"),
        ("(09) 123-4567", "(…67"),
        ("1234", "1234"),
        ("maija@localhost", "m…@…"),
    ],
)
def test_redacted_text_holds_no_number_and_no_address(text: str, masked: str) -> None:
    assert make().redact(text) == masked


@settings(max_examples=200)
@given(st.one_of(st.text(max_size=300), st.from_regex(r"[0-9 +()./a@<>\"-]{0,60}", fullmatch=True)))
def test_redacting_never_leaves_five_digits_in_a_row_outside_dates(text: str) -> None:
    assert not re.search(r"\d{5}", make().redact(text))


@settings(max_examples=300)
@given(st.one_of(st.text(max_size=40), st.from_regex(r"[+0-9 ()*#./-]{1,24}", fullmatch=True)))
def test_any_text_is_read_without_failing(raw: str) -> None:
    subject = make(prefixes=("0", "9"))
    identity = subject.phone(raw)
    subject.email(raw)
    subject.domain_token(raw)
    subject.handle(raw, "x")

    assert identity.kind in ("phone", "extension", "withheld")
    assert (identity.token is None) == (identity.kind != "phone")


def generated_numbers(count: int) -> list[str]:
    chance = random.Random(20)
    regions = ["FI", "SE", "NO", "EE", "DE", "GB", "US", "IT", "FR", "RU"]
    numbers: list[str] = []
    while len(numbers) < count:
        region = chance.choice(regions)
        kind = chance.choice([phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE])
        example = phonenumbers.example_number_for_type(region, kind)
        assert example is not None
        digits = str(example.national_number)
        keep = chance.randint(2, 4)
        digits = digits[:keep] + "".join(chance.choice("0123456789") for _ in digits[keep:])
        form = chance.choice(["+{cc}{n}", "00{cc}{n}", "0{n}", "{n}", "{cc}{n}", "00{n}"])
        numbers.append(form.format(cc=example.country_code, n=digits))
    return numbers


ODD_SPELLINGS = [
    "", "  ", "-", "+", "()", "   ", "+0405551234", "+ 358 40 1234567", "040  555 1234", "040   555 1234", "112",
    "0112", "anonymous", "s", "*72", "#31#", "04055512XX", "040/555 1234", "Ext.100", "040 555 1234 ext. 12",
    "\u00b2\u00b3\u00b9", "1" * 20, "1" * 21, "1" * 32, "1" * 33, "0" * 12, "0" * 31,
    "+" + "1" * 32, "+" + "1" * 33, "+0" + "1" * 30, "+00",
    "00", "000", "+1", "+12", "0-0", "(0)", "1-2", "+ 0 4", "+358 (0)40 555 1234", "tel:+358-40-5551234",
    "sip:0405551234@pbx", "040.555.1234", "\n0405551234", "040555\u00a01234", "-040-", " 0405551234 ",
    "(+358)405551234", "0405551234+", "+++358405551234", "040 555 1234\n", "990358405551234", "00358 0405551234",
]  # fmt: skip


def spelled(numbers: list[str]) -> list[str]:
    """Return numbers as people write them: with marks, prefixes, a digit too many, a letter."""
    chance = random.Random(21)
    found = [*numbers]
    for number in numbers:
        place = chance.randint(1, len(number))
        mark = chance.choice([" ", "-", "  ", "   ", ".", "(", ") ", "/", ", ", "x", "*", "\u2009"])
        form = chance.choice(["{0}{m}{1}", "0{0}{1}", "9{0}{1}", "00{0}{1}", "{0}{1}7", "+{0}{1}", " {0}{m}{1} "])
        found.append(form.format(number[:place], number[place:], m=mark))
    return found


@pytest.mark.parametrize(
    ("region", "prefixes"),
    [
        ("FI", ()), ("FI", ("0",)), ("FI", ("0", "9", "00")), ("SE", ("9",)), ("DE", ("0",)), ("FR", ()),
        ("US", ("9",)), ("IT", ("0",)), ("RU", ("9",)), ("GB", ("0",)), ("AX", ("0",)),
        ("DK", ("0",)), ("NL", ("00",)), ("ZA", ("0",)),
    ],
)  # fmt: skip
def test_many_numbers_at_once_are_read_as_each_by_itself(region: str, prefixes: tuple[str, ...]) -> None:
    home = [example_digits(region, f"{n:07}"[-4:]) for n in range(0, 10_000, 37)]
    code = phonenumbers.country_code_for_region(region)
    forms = ("+{c}{n}", "00{c}{n}", "0{n}", "00{n}", "0+{c}{n}", "000{c}{n}", "{c}{n}", "+{c}0{n}", "0{c}{n}", "{n}")
    numbers = [form.format(c=code, n=n) for n in home for form in forms]
    raws = list(dict.fromkeys([*ODD_SPELLINGS, *spelled(numbers), *spelled(generated_numbers(1_000))]))
    random.Random(3).shuffle(raws)
    many, single = make(region, prefixes), make(region, prefixes)

    tables = [many.phone_table(pa.array(part)) for part in (raws[:2_000], raws[1_000:], raws[:10], raws)]

    said = {raw: single.phone(raw) for raw in raws}
    for row in pa.concat_tables(tables).to_pylist():
        alone = said[row["raw"]]
        assert (row["kind"], row["token"], row["is_emergency"]) == (alone.kind, alone.token, alone.is_emergency), row
    assert sorted(many.drain().to_pylist(), key=str) == sorted(single.drain().to_pylist(), key=str)


def example_digits(region: str, tail: str) -> str:
    example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    assert example is not None
    digits = str(example.national_number)
    return digits[: -len(tail)] + tail


@pytest.mark.parametrize("region", ["FI", "SE", "DE", "FR", "NL", "ZA", "IN", "TR"])
@pytest.mark.parametrize("library", [rphonenumbers, phonenumbers], ids=["fast", "reference"])
def test_simple_rules_hold_for_the_parser(region: str, library: Any) -> None:
    rules = home_rules(region)
    assert rules is not None
    for number in {*generated_numbers(300), *(f"0{example_digits(region, f'{n:04}')}" for n in range(0, 10_000, 199))}:
        form = rules.common_forms(pa.array([number]))[0].as_py()
        reading = module._parse_with(library, form, region)
        if reading is not None and reading[1] and reading[0] == rules.canonical_form(form):
            assert module._parse_with(library, number, region) == reading
        if not rules.may_be_valid(pa.array([form]))[0].as_py():
            assert reading is None or not reading[1]


def test_many_addresses_at_once_are_read_as_each_by_itself() -> None:
    addresses = ["maija@example.fi", "MAIJA@EXAMPLE.FI", "", "no address", "maija@gmail.com", "a@-b.fi", "a@b..fi"]

    assert make().email_tokens(addresses) == [make().email(address).token for address in addresses]


def test_international_suffixes_are_known_in_ascii() -> None:
    assert registrable_domain("shop.example.xn--55qx5d.cn") == "example.xn--55qx5d.cn"
    assert registrable_domain("www.esimerkki.公司.cn") == "esimerkki.xn--55qx5d.cn"
    assert registrable_domain("a.b.c.kawasaki.jp") == "b.c.kawasaki.jp"
    assert registrable_domain("x.city.kawasaki.jp") == "city.kawasaki.jp"


def read_with(library: Any, number: str) -> tuple[str, bool, int] | None:
    return module._parse_with(library, number, "FI")


def test_the_fast_reader_agrees_with_the_reference_on_generated_numbers() -> None:
    for number in generated_numbers(4_000):
        assert read_with(rphonenumbers, number) == read_with(phonenumbers, number), number


def test_canonical_forms_are_e164_as_the_library_writes_it() -> None:
    for number in generated_numbers(500):
        reading = read_with(rphonenumbers, number)
        if reading is not None:
            parsed = phonenumbers.parse(number, "FI")
            assert reading[0] == phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def test_a_defect_of_the_fast_reader_costs_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        NumberParseException = phonenumbers.NumberParseException
        PhoneNumber = phonenumbers.PhoneNumber

        @staticmethod
        def parse(number: str, region: str) -> None:
            raise RuntimeError("index out of range")

    monkeypatch.setattr(module, "rphonenumbers", Broken)

    assert make().phone("0405551234").display == "+358405551234"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"key": b""}, "key is empty"),
        ({"key": b"k", "region": "Finland"}, "unknown region"),
        ({"key": b"k", "outside_prefixes": ["0w"]}, "outside-line prefix"),
    ],
)
def test_settings_that_do_not_fit_are_refused_with_a_remedy(arguments: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        Identifiers(**arguments)  # type: ignore[arg-type]


def test_hashing_half_done_equals_hashing_at_once() -> None:
    inner, outer = module._hmac_pads(b"k")
    inner.update(b"message")
    outer.update(inner.digest())

    assert outer.digest() == hmac.new(b"k", b"message", hashlib.sha256).digest()
