"""The files of compose/: Compose takes them, our program takes their commands, and nothing in them is left open."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

import cli
from commands.traces import tracer_of
from pipeline.configuration import load as load_configuration
from schemas.kafka import LARGEST_REQUEST_BYTES
from schemas.tracing import UNTRACED
from tests.command_lines import refusal
from tests.compose_files import BASE, FOLDER, OVERRIDES, environment_of, load, mounts_of, project, secrets_of

PROJECTS = {name or "alone": project(*([name] if name else [])) for name in ("", *OVERRIDES)}
Tree = dict[str, Any]

SERVICES: list[tuple[str, str, Tree, Tree]] = [
    (which, name, service, merged) for which, merged in PROJECTS.items() for name, service in merged["services"].items()
]
OURS = [case for case in SERVICES if case[2]["image"].startswith("bypassflow:")]
every_service = pytest.mark.parametrize(
    ("name", "service", "merged"), [case[1:] for case in SERVICES], ids=[f"{case[0]}-{case[1]}" for case in SERVICES]
)
every_process_of_ours = pytest.mark.parametrize(
    ("name", "service", "merged"), [case[1:] for case in OURS], ids=[f"{case[0]}-{case[1]}" for case in OURS]
)
CONFIGURATION = "/etc/bypassflow/bypassflow.toml"


def configuration_of(service: Tree) -> Path:
    """Return the file that a process of ours finds as its configuration."""
    mounts = mounts_of(service)
    found = mounts.get(CONFIGURATION) or f"{mounts['/etc/bypassflow']}/bypassflow.toml"
    return FOLDER / found


@pytest.mark.parametrize("name", [BASE, *OVERRIDES])
def test_compose_takes_each_file(name: str) -> None:
    found = PyCompose.from_yaml(yaml.safe_dump(load(name)))
    assert found.service_names()


@pytest.mark.parametrize("which", PROJECTS)
def test_compose_takes_the_files_together_and_finds_all_that_they_name(which: str) -> None:
    PyCompose.from_yaml(yaml.safe_dump(PROJECTS[which])).validate()


@every_service
def test_an_image_is_of_one_version(name: str, service: Tree, merged: Tree) -> None:
    _, _, tag = service["image"].rpartition(":")
    assert re.fullmatch(r"v?\d+\.\d+\.\d+", tag)


@every_process_of_ours
def test_our_image_is_of_the_version_of_the_package(name: str, service: Tree, merged: Tree) -> None:
    assert service["image"] == f"bypassflow:{cli.__version__}"
    assert (FOLDER / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


def test_the_broker_is_the_one_that_the_tests_run() -> None:
    pom = (FOLDER / "kafka" / "pom.xml").read_text(encoding="utf-8")
    (version,) = re.findall(r"<kafka.version>([^<]+)<", pom)
    images = {service["image"] for _, name, service, _ in SERVICES if "kafka" in name}
    assert images == {f"apache/kafka:{version}"}


@every_process_of_ours
def test_our_program_takes_the_command(name: str, service: Tree, merged: Tree) -> None:
    assert refusal(service["command"]) is None


@every_process_of_ours
def test_the_configuration_that_a_process_finds_is_one_that_it_takes(name: str, service: Tree, merged: Tree) -> None:
    assert any(CONFIGURATION in argument for argument in service["command"])
    path = configuration_of(service)
    settings = load_configuration(path.read_text(encoding="utf-8"), str(path))
    hosts = {other.get("hostname") for other in merged["services"].values()}
    assert {address.partition(":")[0] for address in settings.kafka.bootstrap} <= hosts


@every_process_of_ours
def test_what_a_configuration_names_is_mounted(name: str, service: Tree, merged: Tree) -> None:
    path = configuration_of(service)
    settings = load_configuration(path.read_text(encoding="utf-8"), str(path))
    needed = [settings.kafka.password_file, settings.kafka.ca_file] if name != "notify" else []
    if name in ("ingest", "correlate", "sink"):
        needed.append(settings.privacy.key_file)
    if name == "receive":
        needed += [getattr(receiver, "secret_file", None) for receiver in settings.receiver]
        assert settings.receive.folder in mounts_of(service)
    there = {f"/run/secrets/{target}" for target in secrets_of(service)}
    assert {file for file in needed if file is not None} <= there


@pytest.mark.parametrize("which", PROJECTS)
def test_whoever_reaches_the_pages_has_to_sign_in(which: str) -> None:
    sink = PROJECTS[which]["services"]["sink"]
    path = configuration_of(sink)
    access = load_configuration(path.read_text(encoding="utf-8"), str(path)).access
    assert access.sign_in != "none"
    written = {str(Path(file).parent) for file in (access.tokens_file, access.key_file)}
    assert written <= mounts_of(sink).keys()


@every_service
def test_what_is_mounted_from_the_tree_is_there(name: str, service: Tree, merged: Tree) -> None:
    sources = mounts_of(service).values()
    assert [source for source in sources if source.startswith(".") and not (FOLDER / source).exists()] == []
    assert {source for source in sources if not source.startswith(".")} <= merged["volumes"].keys()


@every_process_of_ours
def test_what_a_command_writes_lies_on_a_volume_of_its_own(name: str, service: Tree, merged: Tree) -> None:
    writing = ("--db=", "--snapshot-dir=", "--state=")
    written = [part.partition("=")[2] for part in service["command"] if part.startswith(writing)]
    mounts = mounts_of(service)
    assert [path for path in written if not any(path.startswith(target) for target in mounts)] == []


@every_service
def test_a_process_can_do_no_more_than_it_must(name: str, service: Tree, merged: Tree) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert "network_mode" not in service


@every_service
def test_a_process_has_limits_and_comes_back(name: str, service: Tree, merged: Tree) -> None:
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}
    assert service["restart"] == ("on-failure" if name == "topics" else "unless-stopped")
    assert "healthcheck" in service or service["image"].startswith("bypassflow:")
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}


def test_processes_that_run_on_write_their_logs_for_programs() -> None:
    services = PROJECTS["alone"]["services"]
    ours = {name for name, service in services.items() if service["image"].startswith("bypassflow:")}
    telling = {name for name in ours if services[name]["command"][0] == "--log-format=json"}
    assert telling == ours - {"topics"}


@every_process_of_ours
def test_a_process_is_asked_how_it_is_where_it_tells(name: str, service: Tree, merged: Tree) -> None:
    if name in ("topics", "notify"):
        assert service["healthcheck"] == {"disable": True}
        return
    address = environment_of(service).get("BYPASSFLOW_HEALTH", "http://127.0.0.1:8765/readyz")
    port = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/readyz", address)
    assert port is not None
    assert {f"--metrics=0.0.0.0:{port[1]}", f"--serve=0.0.0.0:{port[1]}"} & set(service["command"])


def test_prometheus_asks_every_process_that_has_figures() -> None:
    services = PROJECTS["alone"]["services"]
    asked = set()
    for job in yaml.safe_load((FOLDER / "prometheus" / "prometheus.yaml").read_text(encoding="utf-8"))[
        "scrape_configs"
    ]:
        for found in job.get("dns_sd_configs", ()):
            asked |= {(name, str(found["port"])) for name in found["names"]}
        for found in job.get("static_configs", ()):
            asked |= {tuple(target.split(":")) for target in found["targets"]}
    telling = {
        (name, argument.rpartition(":")[2])
        for name, service in services.items()
        for argument in service.get("command", ())
        if argument.startswith("--metrics=")
    }
    assert asked == telling


@every_service
def test_ports_are_shown_to_the_machine_itself_alone(name: str, service: Tree, merged: Tree) -> None:
    assert [port for port in service.get("ports", ()) if not port.startswith("127.0.0.1:")] == []
    assert not service.get("ports") or "edge" in service["networks"]


def test_what_is_inside_reaches_nothing_outside() -> None:
    merged = PROJECTS["alone"]
    assert merged["networks"]["pipeline"]["internal"] is True
    outside = {name for name, service in merged["services"].items() if "edge" in service["networks"]}
    assert outside.isdisjoint({"kafka", "topics", "ingest", "correlate"})


def test_whoever_traces_is_told_of_a_collector_and_of_none_unless_the_caller_names_one() -> None:
    services = PROJECTS["alone"]["services"]
    told = {name: environment_of(service).get("OTEL_EXPORTER_OTLP_ENDPOINT") for name, service in services.items()}
    assert {name for name, value in told.items() if value is not None} == {"ingest", "correlate", "sink"}
    for name, value in told.items():
        if value is not None:
            assert tracer_of(name, {"OTEL_EXPORTER_OTLP_ENDPOINT": value}, pytest.fail) is UNTRACED


@every_service
def test_no_secret_stands_in_the_environment(name: str, service: Tree, merged: Tree) -> None:
    told = environment_of(service)
    named = [
        value for value in told.values() if "password" in value.lower() and "${directory:/run/secrets:" not in value
    ]
    assert [value for value in named if not value.startswith("/run/secrets/")] == []


@every_service
def test_a_service_waits_for_services_that_are_there(name: str, service: Tree, merged: Tree) -> None:
    assert set(service.get("depends_on", {})) <= merged["services"].keys()


@pytest.mark.parametrize("which", PROJECTS)
def test_a_broker_takes_the_largest_message(which: str) -> None:
    brokers = [each for each in PROJECTS[which]["services"].values() if each["image"].startswith("apache/kafka")]
    limits = [environment_of(broker)["KAFKA_MESSAGE_MAX_BYTES"] for broker in brokers]
    assert limits == [str(LARGEST_REQUEST_BYTES)] * len(brokers)


def test_the_brokers_of_the_cluster_differ_in_their_names_alone() -> None:
    services = PROJECTS["compose.cluster.yaml"]["services"]
    told = [environment_of(services[name]) for name in ("kafka", "kafka-2", "kafka-3")]
    own = {"KAFKA_NODE_ID", "KAFKA_ADVERTISED_LISTENERS"}
    first, *others = [{key: value for key, value in each.items() if key not in own} for each in told]
    assert others == [first, first]
    assert len({each["KAFKA_NODE_ID"] for each in told}) == 3


def test_the_secrets_that_a_project_needs_are_made_once_and_are_nobody_elses(tmp_path: Path) -> None:
    wanted = {Path(secret["file"]).name for merged in PROJECTS.values() for secret in merged["secrets"].values()}
    script = ["bash", str(FOLDER / "secrets.sh"), "--cluster", str(tmp_path / "secrets")]
    subprocess.run(script, check=True, capture_output=True)
    folder = tmp_path / "secrets"
    made = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert wanted <= made.keys()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "bypassflow.key").stat().st_mode) == 0o400
    assert stat.S_IMODE((folder / "kafka-ca.key").stat().st_mode) == 0o600
    if os.geteuid() == 0:
        assert (folder / "bypassflow.key").stat().st_uid == 10001
    subprocess.run(script, check=True, capture_output=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == made


def test_git_takes_in_no_secret() -> None:
    assert "/compose/secrets/" in (FOLDER.parent / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_the_override_for_development_shows_the_broker_to_the_machine() -> None:
    told = environment_of(PROJECTS["compose.development.yaml"]["services"]["kafka"])
    assert "HOST://127.0.0.1:9094" in told["KAFKA_ADVERTISED_LISTENERS"]
    assert "127.0.0.1:9094:9094" in load("compose.development.yaml")["services"]["kafka"]["ports"]
