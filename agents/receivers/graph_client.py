"""Microsoft Graph asked by an application of its own: what notifications point at, and the subscriptions to them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, Protocol

import aiohttp
import orjson

from pipeline.errors import TransientError
from pipeline.json_text import load_json

_ROOT: Final = "v1.0"
# What one answer may hold, in pages where it is long, and how long it may take. Units: bytes, pages, seconds.
_LARGEST_ANSWER: Final = 16 * 1024 * 1024
_MOST_PAGES: Final = 50
_PATIENCE: Final = 10.0
_GONE: Final = frozenset({404, 410})
_MORE_SESSIONS: Final = "sessions@odata.nextLink"


class _Application(Protocol):
    """An application of msal, as far as it is used."""

    def acquire_token_for_client(self, scopes: list[str]) -> dict[str, Any] | None: ...


class GraphError(TransientError):
    """Graph did not do what it was asked. `status` of its answer, 0 without one; `retry_after` in seconds."""

    def __init__(self, reason: str, status: int = 0, retry_after: int = 30) -> None:
        super().__init__(reason)
        self.status = status
        self.retry_after = retry_after


class GraphClient:
    """One application. It signs in when it is first asked, and again when its token has run out."""

    def __init__(self, sign_in_url: str, graph_url: str, tenant: str, client_id: str, secret: str) -> None:
        self._authority = f"{sign_in_url}/{tenant}"
        self._graph_url = graph_url
        self._client_id = client_id
        self._secret = secret
        self._application: _Application | None = None
        self._signing_in = asyncio.Lock()
        self._http: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Let go of all connections."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def resource(self, address: str) -> dict[str, Any] | None:
        """Return what stands at an address below the root of the API; None when it is not there any more.

        Raises:
            GraphError: when Graph does not give it.
        """
        found = await self.ask("GET", address)
        if found is None:
            return None
        # The sessions of a large call come in pages.
        if _MORE_SESSIONS in found:
            found["sessions"] += await self._pages(found[_MORE_SESSIONS])
        return found

    async def listed(self, address: str) -> list[dict[str, Any]]:
        """Return all members of a list.

        Raises:
            GraphError: when Graph does not give it.
        """
        return await self._pages(f"{self._graph_url}/{_ROOT}/{address}")

    async def _pages(self, following: object) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        start = f"{self._graph_url}/{_ROOT}/"
        for _ in range(_MOST_PAGES):
            # The token is for nobody else.
            if not isinstance(following, str) or not following.startswith(start):
                break
            page = await self.ask("GET", following.removeprefix(start)) or {}
            found += [each for each in page.get("value", []) if isinstance(each, dict)]
            following = page.get("@odata.nextLink")
        return found

    async def ask(self, method: str, address: str, body: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """Return Graph's answer; None when there is nothing at the address.

        Raises:
            GraphError: when it is another than that it was done.
        """
        status, answer, retry_after = await self._ask(method, address, body)
        if status == 401:
            # The token was taken back before its time: another application object knows none.
            self._application = None
            status, answer, retry_after = await self._ask(method, address, body)
        if status in _GONE:
            return None
        if status >= 300:
            code = answer.get("error", {})
            reason = f"{status} {code.get('code', '') if isinstance(code, dict) else ''}".strip()
            hint = "; has the application the permission, and an administrator's consent?" if status == 403 else ""
            raise GraphError(f"Graph answered {reason}{hint}", status, retry_after)
        return answer

    async def _ask(self, method: str, address: str, body: Mapping[str, Any] | None) -> tuple[int, dict[str, Any], int]:
        token = await self._token()
        if self._http is None:
            self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(_PATIENCE), trust_env=True)
        try:
            async with self._http.request(
                method,
                f"{self._graph_url}/{_ROOT}/{address.lstrip('/')}",
                data=None if body is None else orjson.dumps(body),
                headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
                allow_redirects=False,
            ) as response:
                text = await self._text(response)
                retry_after = response.headers.get("Retry-After", "")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise GraphError(f"Graph cannot be reached at {self._graph_url}: {type(error).__name__}") from None
        try:
            answer = load_json(text) if text else {}
        except orjson.JSONDecodeError:
            answer = {}
        seconds = int(retry_after) if retry_after.isascii() and retry_after.isdigit() else 30
        return response.status, answer if isinstance(answer, dict) else {}, min(seconds, 600)

    async def _text(self, response: aiohttp.ClientResponse) -> bytes:
        parts = []
        size = 0
        async for part in response.content.iter_chunked(65_536):
            size += len(part)
            if size > _LARGEST_ANSWER:
                raise GraphError(f"Graph's answer has more than {_LARGEST_ANSWER:,} bytes", response.status)
            parts.append(part)
        return b"".join(parts)

    # Signing in

    async def _token(self) -> str:
        # One at a time: whoever waits finds the token that the first one got.
        async with self._signing_in:
            return await asyncio.to_thread(self._acquire)

    def _acquire(self) -> str:
        import msal

        application = self._application
        try:
            if application is None:
                application = msal.ConfidentialClientApplication(
                    self._client_id,
                    client_credential=self._secret,
                    authority=self._authority,
                    instance_discovery=False,
                    timeout=_PATIENCE,
                )
                self._application = application
            found = application.acquire_token_for_client([f"{self._graph_url}/.default"]) or {}
        except (OSError, ValueError) as error:
            # What requests raises is an OSError. A ValueError is of an authority that knows no such tenant; its words
            # quote what it said.
            raise GraphError(f"cannot sign in at {self._authority}: {type(error).__name__}") from None
        token = found.get("access_token")
        if not isinstance(token, str):
            raise GraphError(
                f"cannot sign in at {self._authority}: {str(found.get('error', 'no answer'))[:60]}; "
                "see tenant, client_id and the secret"
            )
        return token
