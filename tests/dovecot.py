"""A Dovecot of a test's own: unprivileged, on a free port of this machine, with mailboxes in a folder of its own."""

from __future__ import annotations

import grp
import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agents.processes import die_with_parent

PASSWORD = "of-a-test"
_CONFIGURATION = """\
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/dovecot.log
protocols = imap
ssl = {ssl}
ssl_cert = <{folder}/mail.pem
ssl_key = <{folder}/mail.key
disable_plaintext_auth = no
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
mail_location = maildir:{folder}/mail/%u
mail_max_userip_connections = 50
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%u
}}
auth_failure_delay = 0
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    address = 127.0.0.1
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Lähetetyt {{
    special_use = \\Sent
    auto = create
  }}
  mailbox Drafts {{
    special_use = \\Drafts
    auto = create
  }}
}}
"""
# Dovecot writes names of folders in a form of UTF-7.
SENT = ".L&AOQ-hetetyt"


@dataclass
class Dovecot:
    """One server, that may be stopped and started again."""

    folder: Path
    port: int
    owner: pwd.struct_passwd
    with_tls: bool = False
    process: subprocess.Popen[bytes] | None = None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def start(self) -> None:
        """Start it; wait until it answers."""
        group = self.owner.pw_gid
        (self.folder / "dovecot.conf").write_text(
            _CONFIGURATION.format(
                folder=self.folder, user=self.owner.pw_name, group=grp.getgrgid(group).gr_name, uid=self.owner.pw_uid,
                gid=group, port=self.port, password=PASSWORD, ssl="required" if self.with_tls else "no",
            ),
            encoding="utf-8",
        )  # fmt: skip
        as_owner = {"user": self.owner.pw_uid, "group": group, "extra_groups": []} if os.geteuid() == 0 else {}
        self.process = subprocess.Popen(
            ["/usr/sbin/dovecot", "-F", "-c", str(self.folder / "dovecot.conf")],
            preexec_fn=die_with_parent, stderr=subprocess.DEVNULL, **as_owner,
        )  # type: ignore[call-overload]  # fmt: skip
        deadline = time.monotonic() + 20
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as found:
                    if found.recv(10).startswith(b"* OK"):
                        return
            except OSError:
                pass
            assert time.monotonic() < deadline, (self.folder / "dovecot.log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """End it, with all its sessions."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None

    def deliver(self, mailbox: str, content: bytes, folder: str = "") -> Path:
        """Put a message into a folder as a mail server does: written whole, and then renamed."""
        home = self.folder / "mail" / mailbox / folder
        parts = [home / part for part in ("tmp", "new", "cur")]
        for part in parts:
            part.mkdir(parents=True, exist_ok=True)
        name = f"{time.time_ns()}.{os.getpid()}_{next(self._numbers)}.test"
        path = home / "tmp" / name
        path.write_bytes(content)
        self.own(home.parent, home, *parts, path)
        return path.rename(home / "new" / name)

    def own(self, *paths: Path) -> None:
        """Give what is new to whom the server runs as."""
        for path in paths:
            if path.stat().st_uid != self.owner.pw_uid:
                os.chown(path, self.owner.pw_uid, self.owner.pw_gid)

    def forget_uids(self, mailbox: str) -> None:
        """Make it count all messages anew, as after a restored backup. It must be stopped."""
        assert self.process is None
        for path in (self.folder / "mail" / mailbox).rglob("dovecot*"):
            path.unlink()


@contextmanager
def running_dovecot(*, with_tls: bool = False) -> Iterator[Dovecot]:
    """Give a server; skip the tests on a machine that has none, but never in CI."""
    if not Path("/usr/sbin/dovecot").exists():
        assert not os.environ.get("CI"), "no Dovecot; install dovecot-imapd"
        pytest.skip("no Dovecot; install dovecot-imapd")
    owner = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    # Not in the test's folder: that is closed to others, and paths of sockets are short.
    folder = Path(tempfile.mkdtemp(prefix="dovecot-"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    found = Dovecot(folder, port, owner, with_tls)
    try:
        folder.chmod(0o755)
        (folder / "mail").mkdir()
        (folder / "run").mkdir()
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost", "-keyout", folder / "mail.key", "-out", folder / "mail.pem"],
            check=True, capture_output=True,
        )  # fmt: skip
        found.own(folder, *folder.iterdir())
        found.start()
        yield found
    finally:
        found.stop()
        shutil.rmtree(folder, ignore_errors=True)
