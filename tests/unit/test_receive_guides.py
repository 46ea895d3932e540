"""The examples of the guides to receivers are configurations that start."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from agents.receivers.assembly import Assembly
from pipeline.configuration import load

GUIDES = Path(__file__).parents[2] / "docs" / "howto"
SECRETS = {"JOURNAL_SECRET": "one", "SALES_SECRET": "two", "AMI_SECRET": "three"}


def examples() -> list[str]:
    return [
        example
        for name in ("receive-mail.md", "receive-asterisk.md")
        for example in re.findall(r"^```toml\n(.*?)^```$", (GUIDES / name).read_text("utf-8"), re.M | re.S)
    ]


@pytest.mark.parametrize("example", examples())
def test_an_example_of_a_guide_starts(example: str, tmp_path: Path) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=mail",
         "-keyout", "mail.key", "-out", "mail.pem"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    configuration = load(example, "bypassflow.toml")
    assert len(configuration.receiver) == 1
    Assembly(configuration, tmp_path, SECRETS, lambda sentence: None)
