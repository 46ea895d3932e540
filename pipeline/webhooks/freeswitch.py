"""FreeSWITCH: what mod_json_cdr posts when a call has ended, in one of three encodings.

Source: mod_json_cdr.c and switch_utils.c of FreeSWITCH 1.10. The body is a document, or a form of the one field `cdr`
that is URL-encoded or base64. The Content-Type is not to be relied on: the setting `disable-100-continue` loses it. Nor
is the URL-encoding: values that are encoded already are not encoded once more, so that a quotation mark in one of them
ends it once it is decoded.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final
from urllib.parse import unquote_to_bytes

import orjson

from pipeline.received import place_of_document
from pipeline.webhooks import proofs
from pipeline.webhooks.exchange import Answer, Content, Refused, Request

_FIELD: Final = b"cdr="


class Freeswitch:
    """A switch that shows its user name and password."""

    methods: Final = ("POST",)
    thanks: Final = Answer(200)

    def __init__(self, username: str, secret: str) -> None:
        self._username = username
        self._secret = secret

    def greet(self, request: Request) -> Answer | None:
        """Refuse whoever does not show the password."""
        proofs.check_basic(request, self._username, self._secret)
        return None

    def take(self, request: Request) -> Content | None:
        """Return the document of a channel."""
        document = _document(request.body.strip())
        if document.startswith(b"<"):
            raise Refused(415, "this is XML, of mod_xml_cdr; expected the JSON of mod_json_cdr")
        if not document.startswith(b"{"):
            raise Refused(415, "expected a document of mod_json_cdr, as it is or in a form as cdr=")
        if request.body.lstrip().startswith(_FIELD) and not _is_json(document):
            # The switch keeps it in its err-log-dir.
            raise Refused(415, "the form holds no valid JSON; set encode to false in json_cdr.conf.xml")
        return Content(document, place_of_document(document))


def _document(body: bytes) -> bytes:
    if not body.startswith(_FIELD):
        return body
    value = body[len(_FIELD) :]
    if value.startswith((b"%", b"{", b"<")):
        return unquote_to_bytes(value.replace(b"+", b" ")).strip()
    try:
        return base64.b64decode(value).strip(b" \t\r\n\0")
    except binascii.Error:
        return b""


def _is_json(document: bytes) -> bool:
    try:
        orjson.loads(document)
    except orjson.JSONDecodeError:
        return False
    return True
