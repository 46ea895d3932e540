"""What stands in place of a name that was erased: made with a secret of the moment, which nobody keeps."""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Final

SHOWN: Final = "erased"
_LARGEST_POSITION: Final = 10**15


class Names:
    """Replacements: the same for the same old name while this object lives, and never again."""

    def __init__(self, secret: bytes, clear: Sequence[re.Pattern[str]] = ()) -> None:
        """`secret`: random bytes that are thrown away. `clear`: how clear identifiers stand in texts."""
        self._secret = secret
        self.clear = clear

    def _bytes(self, *parts: str) -> bytes:
        return hmac.digest(self._secret, "\0".join(parts).encode(), "sha256")

    def text(self, *parts: str) -> str:
        """Return a name for a key, or for an id in the CRM."""
        return f"erased-{self._bytes('text', *parts)[:8].hex()}"

    def token(self, conversation: str, token: str) -> str:
        """Return a token that is another one in every conversation."""
        return b64encode(self._bytes("token", conversation, token)[:9], b"Zz").decode()

    def hexadecimal(self, old: str) -> str:
        """Return an id of 16 hexadecimal digits, as interactions have."""
        return self._bytes("hexadecimal", old)[:8].hex()

    def number(self, old: int) -> int:
        """Return a digest of 64 bits."""
        return int.from_bytes(self._bytes("number", str(old))[:8])

    def place(self, source: str, raw_id: str) -> str:
        """Return the identity of a raw record of a source, in a file that never was."""
        return f"{source}:erased:{int.from_bytes(self._bytes('place', raw_id)[:8]) % _LARGEST_POSITION}"

    def swept(self, text: str) -> str:
        """Return a text with clear identifiers replaced."""
        for pattern in self.clear:
            text = pattern.sub(SHOWN, text)
        return text


def clear_patterns(canonical_forms: Sequence[str], national: Callable[[str], str | None]) -> list[re.Pattern[str]]:
    """Return how identifiers may stand in names of files, Message-IDs and texts: numbers with any prefix or none.

    Handles are too short to be looked for, without the network that they belong to.

    `national` gives the significant digits of a number in E.164.
    """
    patterns = []
    for form in canonical_forms:
        if form.startswith("+"):
            digits = national(form) or form[1:]
            code = form[1:].removesuffix(digits)
            patterns.append(re.compile(rf"(?:\+|00)?(?:{code})?0?{digits}"))
        elif form.isdigit() and len(form) >= 7:
            patterns.append(re.compile(re.escape(form)))
        elif "@" in form or ":" in form:
            patterns.append(re.compile(re.escape(form), re.IGNORECASE))
    return patterns
