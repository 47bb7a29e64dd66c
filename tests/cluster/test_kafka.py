"""Kafka's log directory gets an identity, whatever the dice say."""

import uuid
from pathlib import Path

import pytest

from foldlog.cluster import kafka, ports
from foldlog.cluster.artifacts import Software
from foldlog.cluster.place import Place
from foldlog.core.errors import ClusterError

DASHED = uuid.UUID(bytes=b"\xf8" + bytes(15))


def prepared(directory: Path, programs: Software) -> Place:
    place = Place.of(directory)
    place.run.mkdir(parents=True)
    kafka.prepare(place, programs, ports.choose({}, {}))
    return place


def test_an_id_may_begin_with_a_dash(programs: Software, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uuid, "uuid4", lambda: DASHED)
    assert kafka.cluster_id() == "-AAAAAAAAAAAAAAAAAAAAA"
    place = prepared(tmp_path, programs)
    assert "cluster.id=-AAAAAAAAAAAAAAAAAAAAA" in (place.kafka / "meta.properties").read_text()


def test_what_the_tool_says_is_kept(programs: Software, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "PROPERTIES", "process.roles=nothing\n")
    with pytest.raises(ClusterError, match="cannot be formatted: see ") as caught:
        prepared(tmp_path, programs)
    log = Path(str(caught.value).rpartition("see ")[2])
    assert "process.roles" in log.read_text()
