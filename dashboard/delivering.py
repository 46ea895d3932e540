"""Delivers a message by Apprise, in a process of its own: whoever takes it may answer without end.

python -m dashboard.delivering    one message as JSON on standard input: `address`, `title` and `body`

Prints what is wrong with the address, if anything is, and ends with 0 when the message arrived. Libraries ask for an
answer within seconds, but one that drips or never ends is read on and on; a process can be given up.
"""

from __future__ import annotations

import json
import logging
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Final

from pipeline.errors import ConfigurationError, TransientError

# How long one message may take, and how much memory what delivers it. Units: seconds, bytes.
_PATIENCE: Final = 60.0
_MEMORY: Final = 512 << 20
_ARRIVED: Final = 0
_NOT_ARRIVED: Final = 1
_NO_ADDRESS: Final = 3

Deliver = Callable[[str, str, str], bool]


def by_apprise(environment: Mapping[str, str], patience: float = _PATIENCE) -> Deliver:
    """Return how messages are delivered: to the addresses that variables of the environment hold.

    It takes the name of a variable, a title and a body, and returns whether the message arrived. `patience` in seconds.

    Raises (when a message is delivered):
        ConfigurationError: when a variable is not set, holds no address, or more than one.
        TransientError: when it was given up because the answer took too long.
    """

    def hand_over(variable: str, title: str, body: str) -> bool:
        address = environment.get(variable, "").strip()
        if not address:
            raise ConfigurationError(
                f"the environment variable {variable} is not set; it holds where messages go, such as mailto://..."
            )
        message = json.dumps({"address": address, "title": title, "body": body})
        try:
            done = subprocess.run(
                [sys.executable, "-m", __name__],
                input=message, capture_output=True, text=True, encoding="utf-8", timeout=patience, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise TransientError(f"it was not taken within {patience:g} s") from None
        if done.returncode == _NO_ADDRESS:
            raise ConfigurationError(f"the environment variable {variable} holds {done.stdout.strip()}")
        # What else it wrote may hold the address.
        return done.returncode == _ARRIVED

    return hand_over


def main() -> int:
    """Deliver the message; return the exit code."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    import apprise

    # What it writes into logs may hold an address.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    message = json.load(sys.stdin)
    service = apprise.Apprise()
    if not service.add(message["address"]):
        print("no address that Apprise knows, such as mailto://...")
        return _NO_ADDRESS
    # It says of all together whether they arrived: those that did would get the message again with each try.
    if len(service) > 1:
        print(
            f"{len(service)} addresses; expected one: give each a variable of its own, and name all of them in to_env"
        )
        return _NO_ADDRESS
    text = apprise.NotifyFormat.TEXT
    return _ARRIVED if service.notify(title=message["title"], body=message["body"], body_format=text) else _NOT_ARRIVED


if __name__ == "__main__":
    sys.exit(main())
