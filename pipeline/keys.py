"""A company's key, and how its tokens go from one key to the next without the identifiers behind them.

A token of the first key is made of the identifier. Each rotation adds a link, and a token of today is the one before,
taken through the newest link. So a stored token can be brought up to date without its identifier, and a fresh
identifier goes through all links to the same token. Who has an old key and an old store has no way to the new one.
"""

from __future__ import annotations

import hashlib
import hmac
from binascii import b2a_base64
from collections.abc import Callable
from typing import Final, Literal

KEY_BYTES: Final = 32
_TOKEN_BYTES: Final = 9
_DIGEST_BYTES: Final = 16
_FINGERPRINT_DIGITS: Final = 16
_BASE64: Final = bytes.maketrans(b"+/", b"Zz")


class CompanyKey(bytes):
    """The first key, and after it the links of all rotations, 32 bytes each.

    >>> CompanyKey(bytes(32) + b"link" * 8).links
    (b'linklinklinklinklinklinklinklink',)
    """

    @property
    def root(self) -> bytes:
        """The first key: that of the list of the forgotten."""
        return bytes(self[:KEY_BYTES])

    @property
    def links(self) -> tuple[bytes, ...]:
        """What rotations added, in order."""
        return tuple(bytes(self[start : start + KEY_BYTES]) for start in range(KEY_BYTES, len(self), KEY_BYTES))


def root_of(key: bytes) -> bytes:
    """Return the first key of a company's keys."""
    return key.root if isinstance(key, CompanyKey) else key


def generations(key: bytes) -> tuple[bytes, ...]:
    """Return the company's keys as they are after all rotations, and as they were before each, the newest first.

    >>> [len(each) for each in generations(CompanyKey(bytes(96)))]
    [96, 64, 32]
    """
    if not isinstance(key, CompanyKey):
        return (key,)
    return tuple(bytes(key[:end]) for end in range(len(key), 0, -KEY_BYTES))


def fingerprint(key: bytes) -> str:
    """Return what tells a company's keys from others and says nothing of them: 16 hexadecimal digits."""
    return hashlib.sha256(key).hexdigest()[:_FINGERPRINT_DIGITS]


def links_of(key: bytes) -> tuple[bytes, ...]:
    """Return the links of a company's keys."""
    return key.links if isinstance(key, CompanyKey) else ()


def digester(key: bytes) -> Callable[[Literal["token", "id", "row"], str], str]:
    """Return what makes digests of tokens and ids with the first key: 32 hexadecimal digits."""
    own = hmac.digest(root_of(key), b"forgotten", "sha256")
    return lambda kind, text: hmac.digest(own, f"{kind}\0{text}".encode(), "sha256")[:_DIGEST_BYTES].hex()


def linked(link: bytes, digest: str) -> str:
    """Return the token after a link of the token with this digest; the digest is all that is needed of it."""
    made = hmac.digest(link, digest.encode(), "sha256")
    return b2a_base64(made[:_TOKEN_BYTES], newline=False).translate(_BASE64).decode()


def advanced(key: bytes, token: str, generation: int = 0) -> str:
    """Return what a token of so many rotations ago is today.

    >>> advanced(CompanyKey(bytes(32)), "k3JdPz0aQx7b")
    'k3JdPz0aQx7b'
    """
    links = links_of(key)[generation:]
    if links:
        digest = digester(key)
        for link in links:
            token = linked(link, digest("token", token))
    return token


def advanced_digest(key: bytes, digest: str, generation: int) -> str:
    """Return the digest of today's token, given that of the token so many rotations ago."""
    make = digester(key)
    for link in links_of(key)[generation:]:
        digest = make("token", linked(link, digest))
    return digest
