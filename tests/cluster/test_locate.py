"""Which cluster is used: settings and environment first, then Docker if asked for, else the embedded one."""

import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from foldlog.cluster import Cluster, docker, down, find, status, up
from foldlog.core.errors import ClusterError, ConfigError


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FOLDLOG_BOOTSTRAP", "FOLDLOG_REGISTRY"):
        monkeypatch.delenv(name, raising=False)


def test_settings_win_over_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLDLOG_BOOTSTRAP", "environment:9092")
    monkeypatch.setenv("FOLDLOG_REGISTRY", "http://environment:8081/")
    assert find("a:1,b:2", "https://c", tmp_path) == Cluster("a:1,b:2", "https://c", "external")
    assert find(None, None, tmp_path) == Cluster("environment:9092", "http://environment:8081", "external")


def test_without_any_cluster_the_message_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="no cluster: run `foldlog up`"):
        find(None, None, tmp_path)
    assert not down(tmp_path)
    assert not status(tmp_path).running
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("bootstrap", "registry", "message"),
    [
        ("a:1", "", "FOLDLOG_BOOTSTRAP is set but FOLDLOG_REGISTRY is not"),
        ("", "http://a", "FOLDLOG_REGISTRY is set but FOLDLOG_BOOTSTRAP is not"),
        ("a", "http://a", "FOLDLOG_BOOTSTRAP is 'a': write host:port"),
        ("a:b", "http://a", "write host:port"),
        ("a:1,,b:2", "http://a", "write host:port"),
        ("a:70000", "http://a", "write host:port"),
        ("a:1", "a:8081", "FOLDLOG_REGISTRY is 'a:8081': write http://host:port"),
        ("a:1", "http://a:x", "write http://host:port"),
        ("a:1", "http://", "it names no host"),
    ],
)
def test_an_address_that_is_none_is_refused(tmp_path: Path, bootstrap: str, registry: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find(bootstrap, registry, tmp_path)


class Forbidden(BaseHTTPRequestHandler):
    """A registry that answers, though not to us."""

    def do_GET(self) -> None:
        self.send_error(401)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def web() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Forbidden) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_up_checks_an_existing_cluster_and_starts_nothing(tmp_path: Path, web: str) -> None:
    assert up(tmp_path, bootstrap=f"127.0.0.1:9,{web}", registry=f"http://{web}").kind == "external"
    assert status(tmp_path, bootstrap=web, registry=f"http://{web}").running
    assert list(tmp_path.iterdir()) == []


def test_up_names_the_half_of_an_existing_cluster_that_does_not_answer(tmp_path: Path, web: str) -> None:
    with pytest.raises(ClusterError, match=r"no Kafka answers at 127\.0\.0\.1:9 \(FOLDLOG_BOOTSTRAP\)"):
        up(tmp_path, bootstrap="127.0.0.1:9", registry=f"http://{web}")
    with pytest.raises(ClusterError, match=r"no registry answers at http://127\.0\.0\.1:9 \(FOLDLOG_REGISTRY\)"):
        up(tmp_path, bootstrap=web, registry="http://127.0.0.1:9")
    assert [s.responding for s in status(tmp_path, bootstrap=web, registry="http://127.0.0.1:9").servers] == [
        True,
        False,
    ]


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "docker.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    return path


def test_docker_without_an_engine_or_a_file_says_so(
    tmp_path: Path, engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ClusterError, match=r"--docker needs .*docker-compose\.yml"):
        up(tmp_path, docker=True)
    (tmp_path / "docker-compose.yml").write_text("services: {}")
    with pytest.raises(ClusterError, match="no Docker engine answers: start it, or leave out --docker"):
        up(tmp_path, docker=True)


@pytest.mark.parametrize(
    ("reply", "answers"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\nOK", True),
        (b"HTTP/1.0 500 No\r\n\r\n", False),
        (b"SSH-2.0\r\n", False),
        (b"", False),
    ],
)
def test_an_engine_is_one_that_answers_a_ping(engine: Path, reply: bytes, answers: bool) -> None:
    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1024)
            connection.sendall(reply)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(engine))
        listener.listen()
        thread = Thread(target=serve, args=(listener,))
        thread.start()
        assert docker.answers(timeout=60) is answers
        thread.join()


def test_a_silent_engine_is_none(engine: Path) -> None:
    assert not docker.answers()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(engine))
        listener.listen()
        assert not docker.answers(timeout=0.1)
