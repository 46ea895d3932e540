"""python -m release FOLDER: build a release of the tree that this stands in."""

from __future__ import annotations

import sys
from pathlib import Path

from commands.application import __version__
from release.building import ReleaseRefused, build

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m release FOLDER, a folder that is not there yet; or: make release")
    try:
        made = build(Path(__file__).resolve().parents[1], Path(sys.argv[1]), __version__)
    except ReleaseRefused as refusal:
        sys.exit(f"no release: {refusal}")
    for file in made:
        print(f"{file.stat().st_size:>12,}  {file}")
