"""How senders prove who they are. Every comparison takes as long for a wrong proof as for a right one."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from pipeline.webhooks.exchange import Refused, Request

_ENCODED: Final = "whsec_"


def same(given: str, wanted: str) -> bool:
    """Return whether two texts are the same."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode("utf-8", "surrogateescape"))


def check_bearer(request: Request, secret: str) -> None:
    """See that a request shows a token.

    Raises:
        Refused: when it does not.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not same(token.strip(), secret):
        raise Refused(401, "no token, or a wrong one", {"WWW-Authenticate": "Bearer"})


def check_basic(request: Request, username: str, secret: str) -> None:
    """See that a request shows a user name and its password.

    Raises:
        Refused: when it does not.
    """
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    try:
        shown = base64.b64decode(given.strip(), validate=True).decode() if scheme.lower() == "basic" else ""
    except (binascii.Error, ValueError):
        shown = ""
    if not same(shown, f"{username}:{secret}"):
        raise Refused(401, "no user name and password, or wrong ones", {"WWW-Authenticate": 'Basic realm="bypassflow"'})


def standard_key(secret: str) -> bytes:
    """Return the key that a secret stands for: behind whsec_ it is written in base64.

    >>> standard_key("whsec_c2VjcmV0"), standard_key("secret")
    (b'secret', b'secret')

    Raises:
        ValueError: when it is no base64.
    """
    return base64.b64decode(secret.removeprefix(_ENCODED), validate=True) if secret[:6] == _ENCODED else secret.encode()


def check_standard(request: Request, key: bytes, window: timedelta) -> None:
    """See that a request is signed, and not long ago: whoever records one cannot send it again later.

    Source: the specification of Standard Webhooks, symmetric signatures (v1).

    Raises:
        Refused: when it is not.
    """
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    identity, written_at, signatures = (request.headers.get(name, "") for name in names)
    if not (identity and written_at and signatures):
        raise Refused(401, f"not signed; expected the headers {', '.join(names)}")
    if not (written_at.isascii() and written_at.isdigit() and len(written_at) <= 12):
        raise Refused(401, "webhook-timestamp: expected seconds since 1970")
    signed = b".".join((identity.encode("utf-8", "surrogateescape"), written_at.encode(), request.body))
    wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    given = [text for version, _, text in (part.partition(",") for part in signatures.split(" ")) if version == "v1"]
    if not any(same(text, wanted) for text in given[:10]):
        raise Refused(401, "the signature does not fit")
    if abs(request.received_at.timestamp() - int(written_at)) > window.total_seconds():
        raise Refused(401, "webhook-timestamp is too far from the time here; sign each try anew, and check both clocks")


def check_digest(request: Request, header: str, secret: str) -> None:
    """See that a header holds "sha256=" and the digest of the body.

    Raises:
        Refused: when it does not.
    """
    wanted = hmac.new(secret.encode(), request.body, hashlib.sha256).hexdigest()
    if not same(request.headers.get(header, ""), f"sha256={wanted}"):
        raise Refused(403, "the signature lacks, or does not fit")


def twilio_signature(url: str, parameters: Sequence[tuple[str, str]], secret: str) -> str:
    """Return what Twilio signs a request with: its address and, of a form, the sorted names and values behind it.

    A name that comes several times counts once with each of its values.
    """
    signed = url + "".join(f"{name}{value}" for name, value in sorted(set(parameters)))
    digest = hmac.new(secret.encode(), signed.encode("utf-8", "surrogateescape"), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def sha256(body: bytes) -> str:
    """Return a body's digest as 64 hexadecimal digits."""
    return hashlib.sha256(body).hexdigest()
