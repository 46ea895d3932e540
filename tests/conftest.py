"""What all tests share: a terminal that is the same everywhere, and properties that may take their time."""

from __future__ import annotations

import pytest
from hypothesis import settings

# A slow machine is no defect of a property.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """No colours and one width, whatever runs the tests."""
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "BYPASSFLOW_DB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "160")
