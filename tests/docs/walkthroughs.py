"""Which pages are followed, in which folder, and what is not run as it stands, with the reason."""

import re
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.docs.pages import ROOT, Block, Page
from tests.docs.terminal import Command, Terminal, commands, shows

SHELL = ("bash", "sh", "console")
# Pages whose named blocks are files that the reader writes; elsewhere a named block is cut from the repository's file.
WRITTEN = (
    "docs/write-a-context.md",
    "docs/run-a-context.md",
    "docs/produce-from-any-language.md",
    "docs/windows-and-joins.md",
    "docs/python-client.md",
    "docs/rebuild-a-view.md",
    "docs/repair.md",
    "docs/analyse-views.md",
    "docs/sinks.md",
    "docs/write-a-saga.md",
    "docs/sagas.md",
)
REPOSITORY = ("topologies", "schemas", "deploy", "docker-compose.yml", "CHANGELOG.md")

# Not run, but parsed: these programs are not on a machine that has Python and make alone.
ELSEWHERE = {
    "docker": "needs a Docker engine; tests/deploy checks image and compose file",
    "kubectl": "needs a Kubernetes cluster; tests/deploy checks the manifests",
}
# Not run as it stands: `make` would install, or test, from within a test. The target must exist.
INSTEAD = {
    "make demo": "foldlog demo --orders 30",  # the same program on the log's first lines
    "make test": "true",  # this is it
    "make setup": "true",  # the environment that runs this
}
# Asked by Python instead, which is everywhere.
_GET = """import sys, urllib.request as r
url, body, *headers = sys.argv[1:]
json = {"Content-Type": "application/json"} if body else {}
request = r.Request(url, body.encode() or None, {**json, **dict(each.split(": ", 1) for each in headers)})
try:
    answer = r.urlopen(request)
except r.HTTPError as error:
    answer = error  # curl, too, shows what it says
with answer:
    print(answer.read().decode(), end="")"""
CURL = f"{shlex.quote(sys.executable)} -c {shlex.quote(_GET)}"
_SQL = (
    "import csv, psycopg, sys; cursor = psycopg.connect(sys.argv[1]).execute(sys.argv[-1]); "
    "csv.writer(sys.stdout, lineterminator='\\n').writerows([[c.name for c in cursor.description], *cursor])"
)
_GET_KEY = "import redis, sys; print(redis.Redis.from_url(sys.argv[2], decode_responses=True).get(sys.argv[4]))"
PROGRAMS = {
    name: f"{shlex.quote(sys.executable)} -c {shlex.quote(text)}"
    for name, text in {"psql": _SQL, "redis-cli": _GET_KEY}.items()
}
FIXED_PORT = re.compile(r"127\.0\.0\.1:(9180|8470|8480)")  # as the pages name it; another one while they are followed
# Ends with 1 by what it says, not by a fault.
EXIT_CODES = {"foldlog topics diff topologies.orders": 1}  # nothing is applied yet
ASSIGNMENT = re.compile(r"[A-Z_]+=")
# A view follows its log, so a reader looks again.
READERS = tuple(
    f"foldlog {each}"
    for each in ("status", "view", "inspect", "dead-letters", "parked list", "parked show", "sagas list", "sagas show")
)
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Walk:
    """Pages that are followed in one sitting; `repository` where the reader stands in a clone.

    `given` are the values of variables that the page exports with an example's.
    """

    pages: tuple[str, ...]
    repository: bool = True
    given: Mapping[str, str] = field(default_factory=dict)

    def follow(self, home: Path) -> Iterator[str]:
        """Does what the pages say, one command after the other; yields each fault."""
        directory = home / "foldlog"
        directory.mkdir()
        if self.repository:
            _copy(directory)
        with closing(Terminal(directory, given=self.given)) as terminal:
            for name in self.pages:
                for block in Page(name).blocks:
                    yield from _block(block, terminal)
            yield from (f"a worker ended with {code}" for code in terminal.stop_workers() if code)


WALKS = (
    Walk(("docs/write-a-context.md", "docs/run-a-context.md"), repository=False),
    Walk(("docs/windows-and-joins.md", "docs/rebuild-a-view.md"), repository=False),
    Walk(("docs/repair.md",), repository=False),
    Walk(("README.md",)),
    Walk(("docs/produce-from-any-language.md",)),
    Walk(("docs/python-client.md",)),
    Walk(("docs/write-a-saga.md", "docs/sagas.md"), repository=False),
    Walk(("docs/edges.md",)),
    Walk(("docs/between-services.md",)),
    Walk(("docs/analyse-views.md",)),
    Walk(("docs/query-views.md",)),
    Walk(("docs/operate.md",)),
    Walk(("docs/observe.md",)),
)
# Followed by the tests that have the servers.
SERVED = Walk(("docs/sinks.md",))


def _copy(directory: Path) -> None:
    for name in REPOSITORY:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, directory)


def _block(block: Block, terminal: Terminal) -> Iterator[str]:
    if block.page in WRITTEN and block.path:
        file = terminal.cwd / block.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.text, encoding="utf-8")
    if block.language not in SHELL:
        return
    if block.page == "docs/operate.md":
        terminal.run("foldlog up")  # whoever reads it has a cluster
    found = commands(block.language, block.text)
    for command, following in zip(found, (*found[1:], None), strict=True):
        asked = following is not None and following.line == "echo $?"
        yield from (f"{block}: {fault}" for fault in _command(command, asked, terminal))


def _command(command: Command, code_is_asked: bool, terminal: Terminal) -> Iterator[str]:
    line = FIXED_PORT.sub(f"127.0.0.1:{terminal.port}", command.line)
    words = shlex.split(line, comments=True)
    program = next(number for number, word in enumerate(words) if not ASSIGNMENT.match(word))
    words = words[program:]
    if words[0] in ELSEWHERE:
        yield from missing_files(words)
    elif words[0] == "make":
        yield from missing_targets(words[1:])
        yield from _run(Command(INSTEAD[" ".join(words)]), 0, terminal)
    elif words[0] == "export" and words[1].partition("=")[0] in terminal.given:
        name = words[1].partition("=")[0]
        yield from _run(Command(f"export {name}={shlex.quote(terminal.given[name])}"), 0, terminal)
    elif words[0] in PROGRAMS:
        yield from _run(Command(line.replace(words[0], PROGRAMS[words[0]], 1), command.shown), 0, terminal)
    elif words[0] == "curl":
        body = words[words.index("--json") + 1] if "--json" in words else ""
        headers = [words[number + 1] for number, word in enumerate(words) if word == "-H"]
        asked = Command(f"{CURL} {shlex.join([words[-1], body, *headers])}", command.shown)
        yield from _run(asked, 0, terminal, again=not body)
    elif words[:2] == ["foldlog", "run"]:
        terminal.start_worker(line)
    elif words[:3] == ["foldlog", "edge", "webhook"]:
        terminal.start_worker(line, ".foldlog/edges")
    elif words[:3] in (["foldlog", "query", "serve"], ["foldlog", "edge", "http"]):
        terminal.start_service(line)
    else:
        if words[:2] == ["foldlog", "down"]:
            yield from (f"a worker ended with {code}" for code in terminal.stop_workers() if code)
        yield from _run(command, None if code_is_asked else EXIT_CODES.get(" ".join(words), 0), terminal)


def _run(command: Command, code: int | None, terminal: Terminal, again: bool = False) -> Iterator[str]:
    """`again` where the command only reads, so that who reads too early may read once more."""
    deadline = time.monotonic() + (PATIENCE_S if again or command.line.startswith(READERS) else 0)
    while True:
        output = terminal.run(command.line)
        right = code in (None, terminal.code)
        as_shown = not command.shown or shows(command.shown, output)
        if (right and as_shown) or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    if not right:
        yield f"`{command.line}` ends with {terminal.code}, not {code}:\n{output}"
    elif not as_shown:
        yield f"`{command.line}` prints\n{output}\nthe page shows\n" + "\n".join(command.shown)


def missing_targets(names: list[str]) -> list[str]:
    """The names that are no target of the Makefile."""
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8")))
    return [f"there is no make target {name}" for name in names if name not in targets]


def missing_files(words: list[str]) -> list[str]:
    """The files of the repository that a command names and that are not there."""
    named = [word for word in words if word.startswith(("deploy/", "docs/", "schemas/"))]
    return [f"there is no {word}" for word in named if not (ROOT / word).exists()]
