"""What the tests of the deployment read: every manifest of the repository, parsed once."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
KUSTOMIZATIONS = (
    KUBERNETES / "base",
    KUBERNETES / "overlays" / "example",
    ROOT / "deploy" / "topics",
)


def documents(file: Path) -> list[Any]:
    """The YAML documents of a file."""
    return list(yaml.safe_load_all(file.read_text(encoding="utf-8")))


def compose() -> dict[str, Any]:
    """The parsed docker-compose.yml."""
    (document,) = documents(ROOT / "docker-compose.yml")
    assert isinstance(document, dict)
    return document


def kustomization(directory: Path) -> dict[str, Any]:
    """The parsed kustomization of a directory."""
    (document,) = documents(directory / "kustomization.yaml")
    assert isinstance(document, dict)
    return document


def resource_files(directory: Path) -> Iterator[Path]:
    """The manifest files of a kustomization, its patches left out."""
    for name in kustomization(directory)["resources"]:
        if (directory / name).is_file():
            yield directory / name


def resources(directory: Path) -> list[dict[str, Any]]:
    """The resources that a kustomization itself lists as files."""
    return [document for file in resource_files(directory) for document in documents(file)]


def dockerfile() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile as (name, argument), continuation lines joined."""
    text = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    joined = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", text))
    lines = (line for line in joined.splitlines() if line.strip())
    return [(name.upper(), argument.strip()) for name, _, argument in (line.partition(" ") for line in lines)]


def pod_specs() -> Iterator[tuple[str, dict[str, Any]]]:
    """The pod specification of each workload of the base, with its name."""
    for resource in resources(KUBERNETES / "base"):
        if "template" in resource.get("spec", {}):
            yield resource["metadata"]["name"], resource["spec"]["template"]["spec"]


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """Every container of a pod, those of the start included."""
    return [*pod.get("initContainers", []), *pod["containers"]]
