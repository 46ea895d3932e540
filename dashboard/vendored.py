"""The scripts of others that the pages load: taken as built files from their packages, and kept here to work offline.

`python -m dashboard.vendored` takes them anew, in the versions below; it needs npm. Nothing else ever loads them.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "static" / "vendor"
MANIFEST: Final = FOLDER / "manifest.json"


@dataclass(frozen=True)
class Script:
    """One file of a package, its licence with it. Names within the package are relative to its root."""

    package: str
    version: str
    licence: str
    file: str
    licence_files: tuple[str, ...]


SCRIPTS: Final = (
    Script("echarts", "6.1.0", "Apache-2.0", "dist/echarts.min.js", ("LICENSE", "NOTICE", "licenses/LICENSE-d3")),
    Script("htmx.org", "2.0.11", "0BSD", "dist/htmx.min.js", ("LICENSE",)),
)


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def kept_names(script: Script) -> dict[str, str]:
    """Return under which name each file of a script is kept here, by its name in the package."""
    names = {script.file: Path(script.file).name}
    return names | {each: f"{script.package}-{Path(each).name}.txt" for each in script.licence_files}


def renew(script: Script, folder: Path = FOLDER) -> dict[str, object]:
    """Take a script from its package into the folder; return its entry of the manifest.

    Raises:
        subprocess.CalledProcessError: when npm has no such package.
        KeyError: when the package has no such file.
    """
    with tempfile.TemporaryDirectory() as place:
        wanted = f"{script.package}@{script.version}"
        done = subprocess.run(
            ["npm", "pack", wanted, "--json", "--silent"], cwd=place, check=True, stdout=subprocess.PIPE
        )
        packed = json.loads(done.stdout)[0]
        with tarfile.open(Path(place) / packed["filename"]) as archive:
            for name, kept in kept_names(script).items():
                member = archive.extractfile(f"package/{name}")
                if member is None:
                    raise KeyError(name)
                (folder / kept).write_bytes(member.read())
    sums = {kept: checksum(folder / kept) for kept in kept_names(script).values()}
    return asdict(script) | {"package_integrity": packed["integrity"], "sha256": sums}


def main() -> None:
    """Take all scripts anew and write the manifest."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    entries = [renew(script) for script in SCRIPTS]
    MANIFEST.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
    for script in SCRIPTS:
        print(f"{script.package} {script.version}", file=sys.stderr)


if __name__ == "__main__":
    main()
