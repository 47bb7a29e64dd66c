"""Schemas as they were released: the files of a git revision, compared with the files of now."""

import json
import subprocess
from pathlib import Path

from foldlog.contracts.changes import breaking
from foldlog.contracts.files import SUFFIX, load
from foldlog.contracts.schema import Schema
from foldlog.core.errors import ConfigError, ContractError


def incompatible(root: Path, context: str, revision: str) -> list[str]:
    """What the context's files under `root` break for readers and records of a revision, a line each.

    An event type that is gone breaks too: its records stay in the log. Raises ConfigError where git does not know
    the revision.
    """
    now = load(root)
    found = []
    for name, old in sorted(_released(root, context, revision).items()):
        if name in now:
            found += [f"{name} since {revision}: {reason}" for reason in breaking(old, now[name])]
        elif any(field["name"] == "meta" for field in old["fields"]):
            found.append(f"{name} since {revision}: the event type is gone, but its records stay in the log")
    return found


def _released(root: Path, context: str, revision: str) -> dict[str, Schema]:
    listed = _git(root, "ls-tree", "-r", "--name-only", revision, "--", context)
    schemas = {}
    for path in listed.splitlines():
        if path.endswith(SUFFIX):
            text = _git(root, "show", f"{revision}:./{path}")
            try:
                schema = json.loads(text)
                schemas[f"{schema['namespace']}.{schema['name']}"] = schema
            except (ValueError, TypeError, KeyError) as error:
                raise ContractError(f"{revision}:{path} is no Avro record with name and namespace: {error}") from error
    return schemas


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    except OSError as error:
        raise ConfigError(f"git cannot be run: {error.strerror}") from error
    if done.returncode:
        raise ConfigError(f"git {arguments[0]} in {root}: {done.stderr.strip()}")
    return done.stdout
