"""The application over small stores, for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from cli import app as commands
from dashboard.access import trail
from dashboard.access.opening import Access, open_access
from dashboard.access.tokens import Tokens
from dashboard.web import make_app
from schemas.access import AccessSettings
from sinks.annotations import beside
from sinks.asking import Asking
from sinks.store import Store
from tests.acme import write_acme
from tests.stores import NOON


def replayed_acme(folder: Path) -> Path:
    """Replay the small company written by hand; return its store."""
    from typer.testing import CliRunner

    store = folder / "acme.duckdb"
    done = CliRunner().invoke(commands, ["replay", str(write_acme(folder / "acme")), "--db", str(store)])
    assert done.exit_code == 0, done.output
    return store


@contextmanager
def served(path: Path, host: str = "localhost", access: Access | None = None) -> Iterator[TestClient]:
    """Ask the application over a store; with `access` people and programs have to sign in."""
    with Store.open(path) as store:
        asking = Asking(store)
        app = make_app(asking, annotations=beside(path), access=access, now=lambda: NOON)
        yield TestClient(app, base_url=f"http://{host}", raise_server_exceptions=False)
        asking.close()


class Guarded:
    """A server over a store at which everybody has to sign in, with its clock in the test's hand."""

    def __init__(
        self, store: Path, folder: Path, environment: Mapping[str, str] | None = None, **settings: Any
    ) -> None:
        self.now = NOON
        self.settings = AccessSettings(**{"sign_in": "token", **settings})
        self.tokens = Tokens(folder / self.settings.tokens_file)
        self.trail = trail.beside(folder / store.name)
        self._store = store
        self._folder = folder
        self._environment = environment or {}
        self._secrets = 0
        self.told: list[str] = []

    def token(self, name: str, *scopes: str, teams: Sequence[str] = (), days: int | None = None) -> dict[str, str]:
        """Make a token; return the headers that show it."""
        secret = self.tokens.create(name, scopes, teams=teams, days=days, now=self.now, random_bytes=self.random_bytes)
        return {"Authorization": f"Bearer {secret}"}

    def random_bytes(self, count: int) -> bytes:
        """Return bytes that are others each time."""
        self._secrets += 1
        return hashlib.sha256(str(self._secrets).encode()).digest()[:count]

    @contextmanager
    def served(self, host: str = "localhost") -> Iterator[TestClient]:
        """Ask it."""
        access = open_access(
            self.settings, self._folder, self.trail, is_local=True, environment=self._environment,
            random_bytes=self.random_bytes, now=lambda: self.now, tell=self.told.append,
        )  # fmt: skip
        with served(self._store, host, access) as client:
            client.follow_redirects = False
            yield client
