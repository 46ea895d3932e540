"""Records that could not be used, sealed with the company's key: who has the topic alone cannot read them.

What is wrong with a record is often its identifier, so it cannot be replaced by a token; and it is kept so that it can
be tried again. Sealed, it is as safe as the key. Without chance in it: the same record gives the same bytes.
A record is closed with the key of its day, all rotations in it, so that an old copy of the key opens nothing newer.
Source: RFC 5297 (AES-SIV); its key is made from the company's by HKDF (RFC 5869).
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pipeline.errors import ConfigurationError
from pipeline.keys import generations

# What a message says of how its value is sealed.
SEALED: Final = "aes-siv"

_PURPOSE: Final = b"bypassflow dead letters"
_KEY_BYTES: Final = 64


class Seal:
    """Closes records and opens them again. For any thread."""

    def __init__(self, key: bytes) -> None:
        """`key` is the company's secret key, and opens what was closed before any of its rotations as well."""
        derived = [HKDF(SHA256(), _KEY_BYTES, None, _PURPOSE).derive(each) for each in generations(key)]
        self._ciphers = [AESSIV(each) for each in derived]

    def close(self, record: bytes) -> bytes:
        """Return a record so that nobody reads it without the key: 16 bytes longer.

        >>> Seal(bytes(32)).open(Seal(bytes(32)).close(b"+358 40 555 0100"))
        b'+358 40 555 0100'
        """
        return self._ciphers[0].encrypt(record, None)

    def open(self, sealed: bytes) -> bytes:
        """Return the record.

        Raises:
            ConfigurationError: when it was closed with another key, or is damaged.
        """
        for cipher in self._ciphers:
            with suppress(InvalidTag):
                return cipher.decrypt(sealed, None)
        raise ConfigurationError(
            "a dead letter cannot be read: it was sealed with another key; restore the key file of that time"
        )
