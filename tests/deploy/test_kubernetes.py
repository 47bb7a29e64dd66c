"""The Kubernetes manifests: valid for their API, complete, and consistent with one another."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from foldlog.engine.observing import routes
from foldlog.settings import Settings
from tests.deploy.manifests import (
    KUBERNETES,
    KUSTOMIZATIONS,
    ROOT,
    containers,
    dockerfile,
    documents,
    kustomization,
    pod_specs,
    resource_files,
    resources,
)

BASE = KUBERNETES / "base"
VERSION = "1.37"
CORE = [(file.name, document) for file in resource_files(BASE) for document in documents(file)]
PODS = dict(pod_specs())


def of_kind(kind: str) -> dict[str, Any]:
    (found,) = (document for _, document in CORE if document["kind"] == kind)
    return dict(found)


@pytest.mark.parametrize("document", [pytest.param(d, id=f"{f}-{d['kind']}") for f, d in CORE])
def test_it_follows_the_api(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, VERSION, strict=True)


def test_a_misspelt_field_would_be_found() -> None:
    broken = {**of_kind("StatefulSet"), "spec": {**of_kind("StatefulSet")["spec"], "replica": 3}}
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(broken, VERSION, strict=True)


@pytest.mark.parametrize("directory", KUSTOMIZATIONS, ids=lambda d: str(d.relative_to(ROOT)))
def test_a_kustomization_names_every_file_and_only_files_that_exist(directory: Path) -> None:
    parsed = kustomization(directory)
    generators = parsed.get("configMapGenerator", [])
    named = [
        *parsed["resources"],
        *(patch["path"] for patch in parsed.get("patches", [])),
        *(env for generator in generators for env in generator.get("envs", [])),
    ]
    for name in named:
        target = directory / name
        assert target.is_file() or (target / "kustomization.yaml").is_file(), name
    here = {file.name for file in directory.iterdir()} - {"kustomization.yaml"}
    assert here == {name for name in named if "/" not in name}


def test_the_overlay_changes_what_the_base_has() -> None:
    base, overlay = kustomization(BASE), kustomization(KUBERNETES / "overlays" / "example")
    workloads = {(r["kind"], r["metadata"]["name"]) for r in resources(BASE)}
    patches = [
        document for p in overlay["patches"] for document in documents(KUBERNETES / "overlays/example" / p["path"])
    ]
    assert {(p["kind"], p["metadata"]["name"]) for p in patches} <= workloads
    assert {r["name"] for r in overlay["replicas"]} <= {name for _, name in workloads}
    assert [i["name"] for i in overlay["images"]] == [i["name"] for i in base["images"]]
    assert [g["name"] for g in overlay["configMapGenerator"]] == [g["name"] for g in base["configMapGenerator"]]


def test_every_setting_is_one_that_foldlog_reads() -> None:
    lines = (BASE / "settings.env").read_text(encoding="utf-8").splitlines()
    (overlay,) = kustomization(KUBERNETES / "overlays" / "example")["configMapGenerator"]
    named = {line.partition("=")[0] for line in [*lines, *overlay["literals"]]}
    assert named <= {f"FOLDLOG_{field.upper()}" for field in Settings.model_fields}


@pytest.mark.parametrize("pod", PODS.values(), ids=PODS.keys())
def test_a_pod_runs_restricted(pod: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["automountServiceAccountToken"] is False
    for container in containers(pod):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("pod", PODS.values(), ids=PODS.keys())
def test_a_pod_writes_to_volumes_that_it_has(pod: dict[str, Any]) -> None:
    claims = [claim["metadata"]["name"] for claim in of_kind("StatefulSet")["spec"]["volumeClaimTemplates"]]
    volumes = {*(volume["name"] for volume in pod["volumes"]), *claims}
    for container in containers(pod):
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        assert set(mounts) == {"/var/lib/foldlog", "/tmp"}
        assert set(mounts.values()) <= volumes


@pytest.mark.parametrize("pod", PODS.values(), ids=PODS.keys())
def test_a_pod_reads_the_generated_settings_and_the_base_image(pod: dict[str, Any]) -> None:
    (generator,) = kustomization(BASE)["configMapGenerator"]
    (image,) = kustomization(BASE)["images"]
    for container in containers(pod):
        assert [source["configMapRef"]["name"] for source in container["envFrom"]] == [generator["name"]]
        assert container["image"] == image["name"]


def test_a_worker_is_named_after_its_pod() -> None:
    (worker,) = PODS["foldlog-worker"]["containers"]
    (instance,) = (variable for variable in worker["env"] if variable["name"] == "FOLDLOG_INSTANCE")
    assert instance["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    pattern = next(m.pattern for m in Settings.model_fields["instance"].metadata if hasattr(m, "pattern"))
    assert pattern is not None
    assert re.match(pattern, f"{of_kind('StatefulSet')['metadata']['name']}-11")


def test_a_worker_keeps_its_state_on_its_own_claim() -> None:
    (worker,) = PODS["foldlog-worker"]["containers"]
    (claim,) = of_kind("StatefulSet")["spec"]["volumeClaimTemplates"]
    home = {"name": claim["metadata"]["name"], "mountPath": "/var/lib/foldlog"}
    assert home in worker["volumeMounts"]
    assert "FOLDLOG_HOME=/var/lib/foldlog" in (BASE / "settings.env").read_text(encoding="utf-8")
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]


def test_probes_ask_where_the_worker_serves() -> None:
    (worker,) = PODS["foldlog-worker"]["containers"]
    settings = dict(line.split("=", 1) for line in (BASE / "settings.env").read_text(encoding="utf-8").splitlines())
    host, _, port = settings["FOLDLOG_HTTP"].rpartition(":")
    assert host == "0.0.0.0"
    assert worker["ports"] == [{"name": "http", "containerPort": int(port)}]
    assert ("EXPOSE", port) in dockerfile()
    answered = routes("orders", [], lambda: 0.0, 0)
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        path = "/readyz" if probe == "readinessProbe" else "/healthz"
        assert worker[probe]["httpGet"] == {"path": path, "port": "http"}
        assert path in answered
    (port_of_service,) = of_kind("Service")["spec"]["ports"]
    assert port_of_service == {"name": "http", "port": int(port), "targetPort": "http"}
    annotations = of_kind("StatefulSet")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == port
    assert annotations["prometheus.io/path"] in answered


def test_selectors_find_the_workers() -> None:
    labels = of_kind("StatefulSet")["spec"]["template"]["metadata"]["labels"]
    assert of_kind("StatefulSet")["spec"]["selector"]["matchLabels"] == labels
    assert of_kind("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert of_kind("Service")["spec"]["selector"] == labels
    for spread in PODS["foldlog-worker"]["topologySpreadConstraints"]:
        assert spread["labelSelector"]["matchLabels"] == labels


def test_workers_come_and_go_without_a_queue() -> None:
    spec = of_kind("StatefulSet")["spec"]
    assert spec["podManagementPolicy"] == "Parallel"
    assert PODS["foldlog-worker"]["terminationGracePeriodSeconds"] == 30
    assert of_kind("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


@pytest.mark.parametrize("file", sorted((ROOT / "deploy").rglob("*.yaml")), ids=lambda f: str(f.relative_to(ROOT)))
def test_no_manifest_has_a_key_twice(file: Path) -> None:
    class Strict(yaml.SafeLoader):
        pass

    def mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        assert len(keys) == len(set(keys)), f"{file.name}:{node.start_mark.line + 1}: {keys}"
        loader.flatten_mapping(node)
        return dict(loader.construct_pairs(node))

    Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    list(yaml.load_all(file.read_text(encoding="utf-8"), Loader=Strict))
