"""Certificates for a broker on this machine, made by openssl for one test run."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificates:
    """PEM files. `keystore`: the broker's key and certificate in one, as it wants them."""

    ca: Path
    keystore: Path
    client_certificate: Path
    client_key: Path
    other_ca: Path


def make_certificates(folder: Path, host: str = "IP:127.0.0.1") -> Certificates:
    """Return new certificates: of an authority, of a broker at `host`, of a client; and an authority of nobody."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("ca", "other-ca"):
        _openssl(
            folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
            "-keyout", f"{name}.key", "-out", f"{name}.pem",
        )  # fmt: skip
    for name in ("broker", "client"):
        (folder / f"{name}.ext").write_text(f"subjectAltName={host}\n", encoding="utf-8")
        _openssl(
            folder, "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
            "-keyout", f"{name}.key", "-out", f"{name}.csr",
        )  # fmt: skip
        _openssl(
            folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.pem",
        )  # fmt: skip
    keystore = folder / "keystore.pem"
    keystore.write_text(
        (folder / "broker.key").read_text(encoding="utf-8") + (folder / "broker.pem").read_text(encoding="utf-8"),
        encoding="utf-8",
    )
    return Certificates(
        folder / "ca.pem", keystore, folder / "client.pem", folder / "client.key", folder / "other-ca.pem"
    )


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, stdin=subprocess.DEVNULL)
