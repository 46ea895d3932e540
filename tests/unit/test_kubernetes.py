"""The manifests of compose/kubernetes: Kubernetes takes them, kustomize finds what they name, our program starts."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

import cli
from pipeline.configuration import load as load_configuration
from tests.command_lines import refusal

FOLDER = Path(__file__).resolve().parents[2] / "compose" / "kubernetes"
BASE, EXAMPLE = FOLDER / "base", FOLDER / "overlays" / "example"
ALERTS = FOLDER / "components" / "alerts"
# The oldest that its makers still mended when this was written, and the newest that is known here.
VERSIONS = ("1.33", kubernetes_validate.latest_version().removesuffix(".0"))

Tree = dict[str, Any]


def documents(path: Path) -> list[Tree]:
    return [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document]


def kustomization(folder: Path) -> Tree:
    (found,) = documents(folder / "kustomization.yaml")
    return found


RESOURCES = [document for name in kustomization(BASE)["resources"] for document in documents(BASE / name)]
BY_NAME = {(document["kind"], document["metadata"]["name"]): document for document in RESOURCES}
WORKLOADS = {
    document["metadata"]["name"]: document
    for document in RESOURCES
    if document["kind"] in ("Deployment", "StatefulSet", "Job")
}
PODS = {name: workload["spec"]["template"] for name, workload in WORKLOADS.items()}
CONTAINERS = [
    pytest.param(container, pod, id=f"{name}-{container['name']}")
    for name, pod in PODS.items()
    for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
]
OURS = [
    pytest.param(container, pod, id=f"{name}-{container['name']}")
    for name, pod in PODS.items()
    for container in pod["spec"]["containers"]
]
SETTINGS = load_configuration((EXAMPLE / "bypassflow.toml").read_text(encoding="utf-8"), "bypassflow.toml")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", BY_NAME, ids="-".join)
def test_kubernetes_takes_each_manifest(name: tuple[str, str], version: str) -> None:
    assert kubernetes_validate.validate(BY_NAME[name], version, strict=True) == version


def test_kubernetes_refuses_a_manifest_with_a_word_that_it_does_not_know() -> None:
    wrong = {**BY_NAME["StatefulSet", "sink"]}
    wrong["spec"] = {**wrong["spec"], "replica": 1}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


@pytest.mark.parametrize("folder", [BASE, EXAMPLE], ids=lambda folder: folder.name)
def test_a_kustomization_names_every_file_beside_it_and_no_other(folder: Path) -> None:
    told = kustomization(folder)
    named = {*told["resources"], *(patch["path"] for patch in told.get("patches", ()))}
    named |= {file for made in told.get("configMapGenerator", ()) for file in made["files"]}
    assert [name for name in named if not (folder / name).exists()] == []
    assert {path.name for path in folder.iterdir()} - {"kustomization.yaml"} == {n for n in named if "/" not in n}


def test_what_an_overlay_patches_is_in_the_base() -> None:
    told = kustomization(EXAMPLE)
    targets = [patch for each in told["patches"] for patch in documents(EXAMPLE / each["path"])]
    for patch in targets:
        base = BY_NAME[patch["kind"], patch["metadata"]["name"]]
        assert patch["apiVersion"] == base["apiVersion"]
        names = {container["name"] for container in _containers(patch)}
        assert names <= {container["name"] for container in _containers(base)}
    assert {entry["name"] for entry in told["replicas"]} <= WORKLOADS.keys()


def test_the_images_that_an_overlay_renames_are_used_and_of_this_version() -> None:
    used = {container.values[0]["image"] for container in CONTAINERS}  # type: ignore[index]
    for folder in (BASE, EXAMPLE):
        assert {image["name"] for image in kustomization(folder)["images"]} == used
        assert {image["newTag"] for image in kustomization(folder)["images"]} == {cli.__version__}


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_a_sink_with_alerts_beside_it(version: str) -> None:
    (patch,) = documents(ALERTS / "sink.yaml")
    (policy,) = documents(ALERTS / "network-policy.yaml")
    patched = copy.deepcopy(BY_NAME[patch["kind"], patch["metadata"]["name"]])
    patched["spec"]["template"]["spec"]["containers"] += _containers(patch)

    assert kubernetes_validate.validate(patched, version, strict=True) == version
    assert kubernetes_validate.validate(policy, version, strict=True) == version
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= PODS["sink"]["metadata"]["labels"].items()


def test_alerts_read_the_snapshots_of_the_sink_and_write_beside_them() -> None:
    (notify,) = [container for each in documents(ALERTS / "sink.yaml") for container in _containers(each)]
    (sink,) = PODS["sink"]["spec"]["containers"]
    snapshots = next(argument for argument in sink["args"] if argument.startswith("--snapshot-dir=")).partition("=")[2]
    store = Path(next(argument for argument in sink["args"] if argument.startswith("--db="))).name
    mounts = {mount["mountPath"]: mount for mount in notify["volumeMounts"]}

    assert refusal(notify["args"]) is None
    assert f"--db={snapshots}/current/{store}" in notify["args"]
    assert mounts[str(Path(snapshots).parent)]["readOnly"]
    assert not mounts["/var/lib/bypassflow-notify"].get("readOnly")
    assert "--state=/var/lib/bypassflow-notify/notices.json" in notify["args"]
    assert {mount["name"] for mount in notify["volumeMounts"]} <= {mount["name"] for mount in sink["volumeMounts"]}
    assert notify["securityContext"] == sink["securityContext"]
    assert "memory" in notify["resources"]["limits"]


def test_the_component_of_alerts_names_every_file_beside_it() -> None:
    told = kustomization(ALERTS)
    named = {*told["resources"], *(patch["path"] for patch in told["patches"])}
    assert (told["kind"], named) == ("Component", {path.name for path in ALERTS.iterdir()} - {"kustomization.yaml"})
    assert "components: [../../components/alerts]" in (EXAMPLE / "kustomization.yaml").read_text(encoding="utf-8")


def test_what_pods_mount_is_made_or_named() -> None:
    made = {entry["name"] for entry in kustomization(EXAMPLE)["configMapGenerator"]}
    told = (EXAMPLE / "kustomization.yaml").read_text(encoding="utf-8")
    created = set(re.findall(r"create secret generic (\S+)", told))
    volumes = [volume for pod in PODS.values() for volume in pod["spec"]["volumes"]]
    assert {volume["configMap"]["name"] for volume in volumes if "configMap" in volume} == made
    assert {volume["secret"]["secretName"] for volume in volumes if "secret" in volume} == created


@pytest.mark.parametrize(("container", "pod"), OURS)
def test_our_program_takes_the_command(container: Tree, pod: Tree) -> None:
    assert refusal(container["args"]) is None


def test_our_program_takes_the_command_of_a_patch() -> None:
    patched = [
        container for path in EXAMPLE.glob("*.yaml") for each in documents(path) for container in _containers(each)
    ]
    assert [refusal(container["args"]) for container in patched if "args" in container] == [None]


@pytest.mark.parametrize(("container", "pod"), CONTAINERS)
def test_a_container_can_do_no_more_than_it_must(container: Tree, pod: Tree) -> None:
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in container["resources"]["limits"]
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert pod["spec"]["securityContext"]["runAsUser"] == 10001
    assert pod["spec"]["automountServiceAccountToken"] is False


@pytest.mark.parametrize(("container", "pod"), CONTAINERS)
def test_what_a_container_mounts_its_pod_has(container: Tree, pod: Tree) -> None:
    owner = next(name for name, each in PODS.items() if each is pod)
    claims = WORKLOADS[owner]["spec"].get("volumeClaimTemplates", ())
    there = {volume["name"] for volume in pod["spec"]["volumes"]} | {claim["metadata"]["name"] for claim in claims}
    assert {mount["name"] for mount in container["volumeMounts"]} <= there


@pytest.mark.parametrize("name", ["ingest", "correlate", "sink"])
def test_the_key_is_where_the_configuration_says_and_nobody_else_may_read_it(name: str) -> None:
    (copying,) = PODS[name]["spec"]["initContainers"]
    assert copying["command"] == ["install", "--mode=0400", "/run/secret/bypassflow.key", SETTINGS.privacy.key_file]
    volumes = {volume["name"]: volume for volume in PODS[name]["spec"]["volumes"]}
    assert volumes["key"]["emptyDir"]["medium"] == "Memory"


def test_the_example_names_files_that_are_mounted() -> None:
    (container,) = PODS["receive"]["spec"]["containers"]
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    (receiver,) = SETTINGS.receiver
    files = [SETTINGS.kafka.password_file, SETTINGS.kafka.ca_file, getattr(receiver, "secret_file", None)]
    assert {str(Path(str(file)).parent) for file in files} <= mounts
    assert SETTINGS.receive.folder in mounts


def test_whoever_reaches_the_pages_has_to_sign_in() -> None:
    (container,) = PODS["sink"]["spec"]["containers"]
    assert SETTINGS.access.sign_in != "none"
    written = {str(Path(file).parent) for file in (SETTINGS.access.tokens_file, SETTINGS.access.key_file)}
    assert written <= {mount["mountPath"] for mount in container["volumeMounts"]}


def test_one_process_owns_the_store() -> None:
    assert WORKLOADS["sink"]["kind"] == "StatefulSet"
    assert WORKLOADS["sink"]["spec"]["replicas"] == 1
    assert "sink" not in {entry["name"] for entry in kustomization(EXAMPLE)["replicas"]}


@pytest.mark.parametrize("name", ["ingest", "correlate", "sink", "receive"])
def test_a_process_is_asked_how_it_is_where_it_tells(name: str) -> None:
    (container,) = PODS[name]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    asked = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert {kind: probe["path"] for kind, probe in asked.items()} == {
        "startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz",
    }  # fmt: skip
    (port,) = {ports[probe["port"]] for probe in asked.values()}
    assert {f"--metrics=0.0.0.0:{port}", f"--serve=0.0.0.0:{port}"} & set(container["args"])


def test_webhooks_reach_the_receivers() -> None:
    (container,) = PODS["receive"]["spec"]["containers"]
    assert {"name": "http", "containerPort": SETTINGS.receive.port} in container["ports"]


@pytest.mark.parametrize("kind", ["Service", "PodDisruptionBudget", "Deployment", "StatefulSet"])
def test_a_selector_finds_the_pods_of_its_name(kind: str) -> None:
    found = [document for document in RESOURCES if document["kind"] == kind]
    assert found
    for document in found:
        selector = document["spec"]["selector"]
        labels = selector.get("matchLabels", selector)
        assert labels.items() <= PODS[document["metadata"]["name"]]["metadata"]["labels"].items()


def test_nobody_reaches_a_pod_unless_a_policy_says_so() -> None:
    (pairs,) = [entry["pairs"] for entry in kustomization(BASE)["labels"] if entry["includeTemplates"]]
    closed = BY_NAME["NetworkPolicy", "bypassflow-closed"]["spec"]
    assert closed["podSelector"]["matchLabels"].items() <= pairs.items()
    assert closed["policyTypes"] == ["Ingress", "Egress"]
    assert closed.keys().isdisjoint({"ingress", "egress"})


def _containers(document: Tree) -> list[Tree]:
    template = document.get("spec", {}).get("template", {})
    found: list[Tree] = template.get("spec", {}).get("containers", [])
    return found
