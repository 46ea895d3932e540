"""Sessions of people in browsers: a signed cookie says who has signed in; nothing is kept but who has signed out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from itsdangerous import BadSignature, URLSafeSerializer
from starlette.responses import Response

from dashboard.access.tokens import Token, Tokens
from dashboard.access.visitors import Visitor
from schemas.access import SCOPES

COOKIE: Final = "bypassflow_session"
# What is kept in the browser while somebody is signing in: where they go next, and what the provider has to repeat.
JOURNEY: Final = "bypassflow_sign_in"
JOURNEY_TIME: Final = timedelta(minutes=10)

Claims = dict[str, Any]


class Sessions:
    """Begins, reads and ends sessions. `random_text` gives as many random bytes as hexadecimal digits."""

    def __init__(
        self, key: bytes, length: timedelta, tokens: Tokens, random_text: Callable[[int], str], *, secure: bool
    ) -> None:
        self._serializers = {
            name: URLSafeSerializer(key, salt=name, signer_kwargs={"digest_method": hashlib.sha256})
            for name in (COOKIE, JOURNEY)
        }
        self._length = length
        self._tokens = tokens
        self._random_text = random_text
        self._secure = secure
        self._ended: dict[str, float] = {}

    def begin_with_token(self, response: Response, token: Token, now: datetime, is_https: bool) -> None:
        """Sign somebody in who showed a token; the session lasts no longer than it."""
        ends = now + self._length
        ends = ends if token.expires_at is None else min(ends, token.expires_at)
        self._begin(response, {"token": token.name, "of": token.digest[:32]}, now, ends, is_https)

    def begin_with_visitor(self, response: Response, visitor: Visitor, now: datetime, is_https: bool) -> None:
        """Sign somebody in whom the provider named."""
        teams = None if visitor.teams is None else list(visitor.teams)
        claims = {"name": visitor.name, "scopes": sorted(visitor.scopes), "teams": teams}
        self._begin(response, claims, now, now + self._length, is_https)

    def visitor_of(self, cookie: str | None, now: datetime) -> Visitor | None:
        """Return whose session it is; None when it is none, over, or of a token that was revoked."""
        claims = self._read(COOKIE, cookie, now)
        if claims is None or claims["id"] in self._ended:
            return None
        if "token" in claims:
            token = self._tokens.named(claims["token"])
            if token is None or token.is_over(now) or token.digest[:32] != claims["of"]:
                return None
            return visitor_with(token)
        teams = claims["teams"]
        scopes = frozenset(each for each in SCOPES if each in claims["scopes"])
        return Visitor(claims["name"], scopes, None if teams is None else tuple(teams))

    def end(self, response: Response, cookie: str | None, now: datetime) -> None:
        """Sign somebody out: the cookie is taken away, and no copy of it opens anything in this process."""
        claims = self._read(COOKIE, cookie, now)
        moment = _seconds(now)
        self._ended = {name: ends for name, ends in self._ended.items() if ends > moment}
        if claims is not None:
            self._ended[claims["id"]] = claims["ends"]
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax")

    def keep_journey(self, response: Response, claims: Claims, now: datetime, is_https: bool) -> None:
        """Keep in the browser what is needed until somebody has signed in."""
        told = claims | {"ends": _seconds(now + JOURNEY_TIME)}
        self._set(response, JOURNEY, told, JOURNEY_TIME, is_https)

    def journey(self, cookie: str | None, now: datetime) -> Claims:
        """Return what was kept; nothing when it is none or too old."""
        return self._read(JOURNEY, cookie, now) or {}

    def _begin(self, response: Response, claims: Claims, now: datetime, ends: datetime, is_https: bool) -> None:
        told = claims | {"id": self._random_text(16), "ends": _seconds(ends)}
        self._set(response, COOKIE, told, ends - now, is_https)
        response.delete_cookie(JOURNEY, path="/", httponly=True, samesite="lax")

    def _set(self, response: Response, name: str, claims: Claims, length: timedelta, is_https: bool) -> None:
        response.set_cookie(
            name,
            str(self._serializers[name].dumps(claims)),
            max_age=max(1, int(length.total_seconds())),
            path="/",
            secure=self._secure or is_https,
            httponly=True,
            samesite="lax",
        )

    def _read(self, name: str, cookie: str | None, now: datetime) -> Claims | None:
        if not cookie:
            return None
        try:
            claims = self._serializers[name].loads(cookie)
        except BadSignature:
            return None
        return claims if isinstance(claims, dict) and claims["ends"] > _seconds(now) else None


def visitor_with(token: Token) -> Visitor:
    """Return whoever shows a token."""
    return Visitor(token.name, frozenset(token.scopes), token.teams or None)


def _seconds(moment: datetime) -> float:
    return (moment - datetime(1970, 1, 1)).total_seconds()
