"""Sign-in with OpenID Connect: the provider says who somebody is, and the configuration what that opens.

Source: OpenID Connect Core 1.0, the code flow, with state, nonce and PKCE (RFC 7636).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from authlib.common.errors import AuthlibBaseError
from authlib.integrations.starlette_client import OAuth
from httpx2 import HTTPError
from joserfc.errors import JoseError
from starlette.requests import Request
from starlette.responses import Response

from dashboard.access.visitors import Visitor
from pipeline.errors import ConfigurationError, TransientError
from schemas.access import SCOPES, OpenIdSettings

_LOG: Final = logging.getLogger("bypassflow.access")
_NAME: Final = "provider"
_LONGEST_NAME: Final = 100
_SECONDS: Final = 10.0


class Provider:
    """The provider at which people sign in. What it describes of itself is asked for when it is first needed."""

    def __init__(self, settings: OpenIdSettings, secret: str) -> None:
        self._settings = settings
        registry = OAuth()
        registry.register(
            _NAME,
            server_metadata_url=f"{settings.issuer}/.well-known/openid-configuration",
            client_id=settings.client_id,
            client_secret=secret,
            client_kwargs={"scope": settings.scope, "code_challenge_method": "S256", "timeout": _SECONDS},
        )
        self._client = registry.create_client(_NAME)

    async def send_there(self, request: Request, come_back_to: str) -> Response:
        """Return what sends a browser to the provider; what it has to repeat is put into `request.session`.

        Raises:
            TransientError: when the provider does not answer, or says it is another one.
        """
        try:
            await self._check_issuer()
            answer: Response = await self._client.authorize_redirect(request, come_back_to)
        except (HTTPError, AuthlibBaseError, ValueError, KeyError) as error:
            raise self._away(error) from None
        return answer

    async def visitor_of(self, request: Request) -> Visitor:
        """Return who came back from the provider.

        Raises:
            ConfigurationError: when it refused them, its answer is not for this browser, or nothing is open to them.
            TransientError: when the provider does not answer.
        """
        try:
            await self._check_issuer()
            token: Mapping[str, Any] = await self._client.authorize_access_token(request)
        except HTTPError as error:
            raise self._away(error) from None
        except (AuthlibBaseError, JoseError, ValueError, KeyError) as error:
            # What the provider wrote may name somebody: only the kind of the problem is told.
            _LOG.warning("a sign-in was refused: %s", type(error).__name__)
            raise ConfigurationError(
                "the provider's answer does not belong to this sign-in, or it refused you; begin again"
            ) from None
        claims = token.get("userinfo")
        if not claims:
            raise ConfigurationError("the provider did not say who you are; its client must allow the scope openid")
        return visitor_with(claims, self._settings)

    async def _check_issuer(self) -> None:
        """Refuse a description that is another provider's: its keys would sign for anybody."""
        found = await self._client.load_server_metadata()
        if str(found.get("issuer", "")).rstrip("/") != self._settings.issuer:
            raise ValueError("another issuer")

    def _away(self, error: Exception) -> TransientError:
        _LOG.warning("the OpenID provider cannot be asked: %s", type(error).__name__)
        return TransientError(
            "the provider of the sign-in does not answer as it should; try again, or sign in with a token. "
            "[access.openid].issuer names it"
        )


def visitor_with(claims: Mapping[str, Any], settings: OpenIdSettings) -> Visitor:
    """Return what is open to somebody of whom the provider says this.

    Raises:
        ConfigurationError: when nothing is, or they have no name.
    """
    said = claims.get(settings.claim, ())
    listed = said if isinstance(said, list) else [said]
    groups = [each for each in listed if isinstance(each, str)]
    given = {scope for group in groups for scope in settings.scopes.get(group, ())}
    name = str(claims.get(settings.name_claim) or "")[:_LONGEST_NAME]
    if not given or not name:
        raise ConfigurationError(
            "you are known to the provider, but nothing is open to you here; ask for a group of [access.openid.scopes]"
        )
    restricting = [group for group in groups if group in settings.teams]
    teams = tuple(dict.fromkeys(team for group in restricting for team in settings.teams[group]))
    return Visitor(
        f"openid:{name}", frozenset(each for each in SCOPES if each in given), teams if restricting else None
    )
