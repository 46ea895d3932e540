"""python -m release.audit LOCK [OPTION...]: ask for known weaknesses of what a lock installs; options are pip-audit's.

It ends with 0 when none is known, 1 when some are, 2 without a lock, and 75 when nobody could be asked: then nothing is
known.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.exit_codes import EXIT_TRANSIENT
from pipeline.errors import TransientError


@dataclass(frozen=True)
class Weakness:
    """A known weakness of a package, and the versions that are without it."""

    package: str
    version: str
    name: str
    mended_in: tuple[str, ...]

    def __str__(self) -> str:
        remedy = f"mended in {', '.join(self.mended_in)}" if self.mended_in else "mended in no version yet"
        return f"{self.package} {self.version}: {self.name}, {remedy}"


def known_weaknesses(lock: Path, options: Sequence[str] = ()) -> list[Weakness]:
    """Return what the service of advisories knows of the packages in a lock.

    Raises:
        TransientError: when it did not answer for each of them.
    """
    done = subprocess.run(
        [
            sys.executable, "-m", "pip_audit", "--strict", "--disable-pip", "--require-hashes",
            "--progress-spinner", "off", "--format", "json", "--requirement", str(lock), *options,
        ],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    # pip-audit ends with 1 in both cases, but tells packages only when it was answered for all of them.
    try:
        told = json.loads(done.stdout)["dependencies"]
    except ValueError:
        raise TransientError(
            f"the service of advisories did not answer for all packages in {lock.name} ({_reason(done.stderr)}), so "
            "nothing is known of their weaknesses; ask again where it can be reached, or ask another: "
            f"python -m release.audit {lock} --vulnerability-service osv"
        ) from None
    return [
        Weakness(each["name"], each["version"], found["id"], tuple(found["fix_versions"]))
        for each in told
        for found in each["vulns"]
    ]


def _reason(errors: str) -> str:
    """Return what pip-audit gives as the reason: its first error, or the end of a traceback."""
    lines = errors.strip().splitlines() or ["it said nothing"]
    return next((line.split(":", 2)[-1] for line in lines if line.startswith("ERROR:")), lines[-1])


def main(arguments: Sequence[str]) -> int:
    """Tell the weaknesses of the lock that is named first; return the exit code."""
    if not arguments or not Path(arguments[0]).is_file():
        print("name a lock, such as: python -m release.audit requirements/runtime.txt", file=sys.stderr)
        return 2
    lock = Path(arguments[0])
    try:
        found = known_weaknesses(lock, arguments[1:])
    except TransientError as error:
        print(f"no audit: {error}", file=sys.stderr)
        return EXIT_TRANSIENT
    for weakness in found:
        print(weakness)
    if found:
        print("take newer versions with: make lock UPGRADE=--upgrade", file=sys.stderr)
        return 1
    print(f"no weakness is known of what {lock.name} installs")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
