"""The application over small stores, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi.testclient import TestClient

from cli import app as commands
from dashboard.web import make_app
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
def served(path: Path, host: str = "localhost") -> Iterator[TestClient]:
    """Ask the application over a store."""
    with Store.open(path) as store:
        asking = Asking(store)
        app = make_app(asking, annotations=beside(path), now=lambda: NOON)
        yield TestClient(app, base_url=f"http://{host}", raise_server_exceptions=False)
        asking.close()
