"""The packages that a lock names."""

from __future__ import annotations

import re
from dataclasses import dataclass

from packaging.markers import Marker

_LINE = re.compile(
    r"^(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>[^ ;\\]+)(?: *; *(?P<marker>[^\\]+?))? *\\?$", re.MULTILINE
)
# Where bypassflow runs, see the classifiers in pyproject.toml.
_HERE = {
    "os_name": "posix", "sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64",
    "implementation_name": "cpython", "platform_python_implementation": "CPython",
}  # fmt: skip
_PYTHON = {"python_version": "3.11", "python_full_version": "3.11.0"}


@dataclass(frozen=True, order=True)
class Package:
    """One package in the version that is tested."""

    name: str
    version: str


def packages(lock: str) -> list[Package]:
    """Return what the text of a lock installs on Linux with the oldest supported Python, by name."""
    return sorted(
        Package(found["name"], found["version"])
        for found in _LINE.finditer(lock)
        if is_for_here(Marker(found["marker"]) if found["marker"] else None)
    )


def is_for_here(marker: Marker | None, extra: str = "") -> bool:
    """Return whether a requirement with this marker holds on Linux with the oldest supported Python."""
    return marker is None or marker.evaluate({**_HERE, **_PYTHON, "extra": extra})
