"""The files of compose/, read and merged as `docker compose --file A --file B` does it, as far as ours go."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

FOLDER: Final = Path(__file__).resolve().parents[1] / "compose"
BASE: Final = "compose.yaml"
OVERRIDES: Final = ("compose.development.yaml", "compose.cluster.yaml")
# Words that Compose lists or maps; the later file's are added to the earlier one's.
_ADDED: Final = {"ports", "secrets", "networks", "tmpfs", "cap_drop", "security_opt"}


def load(name: str) -> dict[str, Any]:
    """Return a file of the folder, with `<<` resolved."""
    found: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    return found


def project(*overrides: str) -> dict[str, Any]:
    """Return compose.yaml with overrides on it."""
    merged = load(BASE)
    for name in overrides:
        merged = _merge(merged, load(name))
    return {word: value for word, value in merged.items() if not word.startswith("x-")}


def environment_of(service: Mapping[str, Any]) -> dict[str, str]:
    """Return what a service's process finds in its environment; variables of the caller are not set."""
    told = {name: str(value) for name, value in service.get("environment", {}).items()}
    return {name: re.sub(r"(?<!\$)\$\{\w+:-(\w*)\}", r"\1", value).replace("$$", "$") for name, value in told.items()}


def mounts_of(service: Mapping[str, Any]) -> dict[str, str]:
    """Return what is mounted, by where."""
    return {target: source for source, target, *_ in (str(mount).split(":") for mount in service.get("volumes", ()))}


def secrets_of(service: Mapping[str, Any]) -> dict[str, str]:
    """Return the secrets of a service, by the name of their file in /run/secrets."""
    listed = service.get("secrets", ())
    return {
        (entry["target"] if isinstance(entry, dict) else entry): entry["source"] if isinstance(entry, dict) else entry
        for entry in listed
    }


def _merge(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    merged = dict(first)
    for word, value in second.items():
        known = merged.get(word)
        if isinstance(known, dict) and isinstance(value, dict):
            merged[word] = _merge(known, value)
        elif word == "volumes" and isinstance(known, list):
            by_target = {mount.split(":")[1]: mount for mount in [*known, *value]}
            merged[word] = list(by_target.values())
        elif word in _ADDED and isinstance(known, list):
            merged[word] = [*known, *(item for item in value if item not in known)]
        else:
            merged[word] = value
    return merged
