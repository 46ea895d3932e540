"""An Asterisk's manager interface for tests: it greets, challenges, tells events in pieces, and forgets."""

from __future__ import annotations

import contextlib
import hashlib
import random
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta

SECRET = "of a test"


def record(number: int, start: str, caller: str = "0401234567", **more: str) -> dict[str, str]:
    """Return the fields of a record of an answered call that is known by its number."""
    return {
        "Event": "Cdr", "Privilege": "cdr,all", "AccountCode": "", "Source": caller, "Destination": "201",
        "DestinationContext": "from-trunk", "CallerID": f'"Maija" <{caller}>', "Channel": f"PJSIP/trunk-{number:08x}",
        "DestinationChannel": f"PJSIP/201-{number:08x}", "LastApplication": "Dial", "LastData": "PJSIP/201,20",
        "StartTime": start, "AnswerTime": start, "EndTime": start, "Duration": "60", "BillableSeconds": "60",
        "Disposition": "ANSWERED", "AMAFlags": "DOCUMENTATION", "UniqueID": f"1709539200.{number}", "UserField": "",
        **more,
    }  # fmt: skip


def call(number: int, start: datetime) -> list[dict[str, str]]:
    """Return the channel events of a call of a minute's talk that is known by its number."""
    linked, device = f"1709539200.{2 * number}", f"1709539200.{2 * number + 1}"
    trunk_name, device_name = f"PJSIP/trunk-{number:08x}", f"PJSIP/201-{number:08x}"
    bridge = f'{{"bridge_id":"bridge-{number}","bridge_technology":"simple_bridge"}}'

    def event(name: str, channel: str, seconds: int, extra: str = "") -> dict[str, str]:
        is_device = channel == device
        return {
            "Event": "CEL", "Privilege": "call,all", "EventName": name, "AccountCode": "",
            "CallerIDnum": "201" if is_device else "0401234567", "CallerIDname": "", "CallerIDani": "",
            "CallerIDrdnis": "", "CallerIDdnid": "", "Exten": "" if is_device else "0201001", "Context": "from-trunk",
            "Channel": device_name if is_device else trunk_name, "Application": "AppDial" if is_device else "Dial",
            "AppData": "", "EventTime": f"{start + timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S}",
            "AMAFlags": "DOCUMENTATION", "UniqueID": channel, "LinkedID": linked, "Userfield": "", "Peer": "",
            "PeerAccount": "", "Extra": extra,
        }  # fmt: skip

    return [
        event("CHAN_START", linked, 0),
        event("CHAN_START", device, 1),
        event("BRIDGE_ENTER", device, 10, bridge),
        event("BRIDGE_ENTER", linked, 10, bridge),
        event("BRIDGE_EXIT", device, 70, bridge),
        event("BRIDGE_EXIT", linked, 70, bridge),
        event("CHAN_END", device, 70),
        event("CHAN_END", linked, 71),
        event("LINKEDID_END", linked, 71),
    ]


class AmiServer:
    """A manager interface on a port of this machine."""

    def __init__(
        self,
        port: int = 0,
        chance: random.Random | None = None,
        *,
        greeting: bytes = b"Asterisk Call Manager/5.0.2\r\n",
        refusal: str = "Authentication failed",
        tls: ssl.SSLContext | None = None,
        keeps: float = 0,
        challenge: str | None = None,
    ) -> None:
        """`refusal`: what it says to whoever may not sign in; `keeps`: what it told so many seconds before is told
        again to whoever signs in, as no Asterisk does.
        """
        self._chance = chance or random.Random(1)
        self._greeting, self._refusal, self._tls = greeting, refusal, tls
        self._clients: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.login_count = 0
        self._keeps, self._challenge = keeps, challenge
        self._kept: deque[tuple[float, bytes]] = deque()
        self.actions: list[str] = []
        self.asked_for: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def tell(self, *events: Mapping[str, str], before: bytes = b"") -> int:
        """Send events to whoever is signed in, cut into odd pieces; return how many that are."""
        content = before + b"".join(_written(event) for event in events)
        with self._lock:
            clients = list(self._clients)
            self._kept.append((time.monotonic(), content))
            while self._kept and self._kept[0][0] <= time.monotonic() - self._keeps:
                self._kept.popleft()
        told = 0
        for client in clients:
            with contextlib.suppress(OSError):
                at = 0
                while at < len(content):
                    piece = content[at : at + self._chance.randrange(1, max(2, len(content)))]
                    client.sendall(piece)
                    at += len(piece)
                told += 1
        return told

    def drop(self) -> None:
        """Close all connections."""
        with self._lock:
            for client in self._clients:
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)
            self._clients.clear()

    def close(self) -> None:
        self._socket.close()
        self.drop()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
                threading.Thread(target=self._meet, args=(client,), daemon=True).start()

    def _meet(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            self._serve(self._tls.wrap_socket(client, server_side=True) if self._tls else client)

    def _serve(self, client: socket.socket) -> None:
        challenge = str(self._chance.randrange(10**8, 10**9)) if self._challenge is None else self._challenge
        with contextlib.suppress(OSError), client, client.makefile("r", encoding="latin-1", newline="\r\n") as stream:
            client.sendall(self._greeting)
            fields: dict[str, str] = {}
            for line in stream:
                name, _, value = line.strip().partition(": ")
                if name:
                    fields[name] = value
                    continue
                self.actions.append(fields.get("Action", ""))
                answer = {"Response": "Success"}
                if fields.get("Action") == "Challenge":
                    answer["Challenge"] = challenge
                elif fields.get("Action") == "Login":
                    expected = hashlib.md5((challenge + SECRET).encode()).hexdigest()
                    is_known = fields.get("Key") == expected or fields.get("Secret") == SECRET
                    is_right = is_known and fields.get("Username") == "bypassflow"
                    self.asked_for.append(fields.get("Events", ""))
                    answer = {"Response": "Success"} if is_right else {"Response": "Error", "Message": self._refusal}
                client.sendall(_written(answer))
                if fields.get("Action") == "Login" and answer["Response"] == "Success":
                    with self._lock:
                        self._clients.add(client)
                        self.login_count += 1
                        client.sendall(_written({"Event": "FullyBooted", "Privilege": "system,all"}))
                        client.sendall(b"".join(content for _, content in self._kept))
                fields = {}
        with self._lock:
            self._clients.discard(client)


def _written(fields: Mapping[str, str]) -> bytes:
    return ("".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n").encode()
