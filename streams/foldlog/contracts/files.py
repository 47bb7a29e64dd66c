"""Schemas as files: `schemas/<context>/<owner>/<Record>.avsc`, committed, reviewed, and checked against the code."""

import json
from pathlib import Path

from foldlog.contracts.schema import Schema
from foldlog.contracts.subjects import schemas
from foldlog.core.errors import ContractError
from foldlog.core.topology import Topology

SUFFIX = ".avsc"


def write(topology: Topology, root: Path) -> list[Path]:
    """Write every schema of a context under `root` and delete those of types that are gone; the files written."""
    wanted = _wanted(topology, root)
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for path in _orphans(topology, root, wanted):
        path.unlink()
    return list(wanted)


def check(topology: Topology, root: Path) -> list[str]:
    """What is stale, missing or orphaned under `root`, a line each that names the file; empty where all is well."""
    remedy = f"run `foldlog schemas write topologies.{topology.name}`"
    wanted = _wanted(topology, root)
    found = []
    for path, text in wanted.items():
        if not path.is_file():
            found.append(f"{path} is missing: {remedy}")
        elif path.read_text(encoding="utf-8", errors="replace") != text:
            found.append(f"{path} is stale: {remedy}")
    orphans = _orphans(topology, root, wanted)
    return [*found, *(f"{path} belongs to no record of {topology.name}: {remedy}" for path in orphans)]


def load(root: Path) -> dict[str, Schema]:
    """Every schema under `root` by full name; ContractError names a file that is no schema."""
    return dict(_loaded(path) for path in sorted(root.rglob(f"*{SUFFIX}")))


def _loaded(path: Path) -> tuple[str, Schema]:
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
        return f"{schema['namespace']}.{schema['name']}", schema
    except (ValueError, TypeError, KeyError) as error:
        raise ContractError(f"{path} is no Avro record with name and namespace: {error}") from error


def _wanted(topology: Topology, root: Path) -> dict[Path, str]:
    return {_path(root, name): _text(schema) for name, schema in schemas(topology).items()}


def _text(schema: Schema) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _path(root: Path, name: str) -> Path:
    *folders, record = name.split(".")
    return root.joinpath(*folders, record + SUFFIX)


def _orphans(topology: Topology, root: Path, wanted: dict[Path, str]) -> list[Path]:
    return [path for path in sorted((root / topology.name).rglob(f"*{SUFFIX}")) if path not in wanted]
