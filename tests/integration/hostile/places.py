"""A place that is nobody's business, for tests of what leads there."""

from __future__ import annotations

from pathlib import Path

SECRET = "the-secret-of-somebody-else"


def outside(beside: Path) -> Path:
    """Return a file beside a company's folder that only its owner should have read."""
    folder = beside / "somebody-else"
    folder.mkdir(exist_ok=True)
    path = folder / "secret.csv"
    path.write_text(f"kind,{SECRET}\ncall,{SECRET}\n")
    return path
