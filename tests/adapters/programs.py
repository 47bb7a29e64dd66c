"""Server programs of this machine, each on a free loopback port in a temporary directory."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from random import SystemRandom

import psycopg

from foldlog.cluster.ports import HOST, RANGE, answers, is_free

PATIENCE = 90.0  # s


def free_port() -> int:
    """A port that nobody listens on, below those that systems hand out to outgoing connections."""
    return next(port for port in SystemRandom().sample(RANGE, len(RANGE)) if is_free(port))


def found(name: str, places: str) -> Path | None:
    """The newest program in the places of Linux distributions (a pattern below `/`), else the one on PATH."""
    placed = sorted(Path("/").glob(f"{places}/{name}"))
    on_path = shutil.which(name)
    return placed[-1] if placed else Path(on_path) if on_path else None


class Program:
    """A server process that can be stopped and started again with its data; `close` deletes them."""

    def __init__(self, program: Path, url: str) -> None:
        self.port = free_port()
        self.url = url.format(host=HOST, port=self.port)
        self._program = program
        # Not pytest's own directory: another user than ours may have to reach this one.
        self._directory = Path(tempfile.mkdtemp(prefix="foldlog-"))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and waits until it answers; AssertionError with its log where it ends instead."""
        self._run(self._command())
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._process is not None
            assert self._process.poll() is None, f"{self._program} ended:\n{self._said()}"
            assert time.monotonic() < deadline, f"{self._program} does not answer:\n{self._said()}"
            time.sleep(0.05)

    def stop(self) -> None:
        """Ends it in order; its connections end at once."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it by SIGKILL, with every process that it has started."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """Ends it, and deletes its data."""
        self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _command(self) -> Sequence[str]:
        raise NotImplementedError

    def _answers(self) -> bool:
        return answers(HOST, self.port)

    def _environment(self) -> Mapping[str, str]:
        return os.environ

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
        self._process.wait(PATIENCE)
        self._process = None
        deadline = time.monotonic() + PATIENCE
        while not is_free(self.port):  # a child of it may end later
            assert time.monotonic() < deadline, f"{self._program} does not end:\n{self._said()}"
            time.sleep(0.02)

    def _run(self, command: Sequence[str], user: str | None = None) -> None:
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self._directory,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=user,
                group=user,
                extra_groups=[] if user else None,
            )

    def _said(self) -> str:
        return (self._directory / "log").read_text(errors="replace")[-3000:]


class Postgres(Program):
    """PostgreSQL; it refuses to run as root, so root runs it as the user `postgres`."""

    def __init__(self, program: Path, url: str) -> None:
        super().__init__(program, url)
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(self._directory, self._user, self._user)
        made = ["-D", "data", "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"]
        self._run([str(program.with_name("initdb")), *made], self._user)
        assert self._process is not None
        assert self._process.wait(PATIENCE) == 0, self._said()

    def start(self) -> None:
        # A killed server leaves its pid file, which would be taken for a running server's if the pid is used again.
        (self._directory / "data" / "postmaster.pid").unlink(missing_ok=True)
        super().start()

    def stop(self) -> None:
        self._end(signal.SIGINT)  # a "fast" shutdown: it does not wait for its clients

    def _run(self, command: Sequence[str], user: str | None = None) -> None:
        super()._run(command, self._user)

    def _command(self) -> Sequence[str]:
        where = ["-D", "data", "-p", str(self.port), "-h", HOST, "-c", "unix_socket_directories="]
        # The data need not survive the machine (-F), only the server: each commit is written before it is answered.
        return [str(self._program), *where, "-F", "-c", "full_page_writes=off"]

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


class Redis(Program):
    """Redis, with every write in its append-only file before it is answered: a kill loses none."""

    def _command(self) -> Sequence[str]:
        where = ["--port", str(self.port), "--bind", HOST, "--dir", str(self._directory)]
        return [str(self._program), *where, "--save", "", "--appendonly", "yes", "--appendfsync", "no"]

    def wipe(self) -> None:
        """Deletes what a stopped server had."""
        shutil.rmtree(self._directory / "appendonlydir", ignore_errors=True)
        (self._directory / "appendonly.aof").unlink(missing_ok=True)


class RabbitMQ(Program):
    """RabbitMQ as one node; its port mapper (epmd) outlives the node and is ended by name of its port."""

    def __init__(self, program: Path, url: str) -> None:
        super().__init__(program, url)
        self._mapper, self._dist = str(free_port()), str(free_port())
        (self._directory / "plugins").write_text("[].")
        (self._directory / "advanced.config").write_text("[{kernel,[{inet_dist_use_interface,{127,0,0,1}}]}].")

    def stop(self) -> None:
        super().stop()
        self._end_mapper()

    def kill(self) -> None:
        super().kill()
        self._end_mapper()

    def _command(self) -> Sequence[str]:
        return [str(self._program)]

    def _answers(self) -> bool:
        """It listens before it serves: only an answer to the protocol's header tells."""
        try:
            with socket.create_connection((HOST, self.port), 2) as connection:
                connection.sendall(b"AMQP\0\0\x09\x01")
                return connection.recv(1) == b"\1"
        except OSError:
            return False

    def _environment(self) -> Mapping[str, str]:
        here = self._directory
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(here),
            "ERL_EPMD_PORT": self._mapper,
            "ERL_EPMD_ADDRESS": HOST,
            "RABBITMQ_NODENAME": f"t{self.port}@localhost",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": HOST,
            "RABBITMQ_DIST_PORT": self._dist,
            "RABBITMQ_MNESIA_BASE": str(here / "data"),
            "RABBITMQ_LOG_BASE": str(here),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(here / "rabbitmq"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(here / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(here / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
        }

    def _end_mapper(self) -> None:
        """Ends it; for as long as it has not noticed that the node is gone it refuses to."""
        mapper = found("epmd", "usr/lib/erlang/erts-*/bin")
        if mapper is None:
            return
        command = [str(mapper), "-port", self._mapper, "-kill"]
        deadline = time.monotonic() + PATIENCE
        environment = self._environment()
        while b"living nodes" in subprocess.run(command, capture_output=True, check=False, env=environment).stdout:
            assert time.monotonic() < deadline, f"{mapper} does not end:\n{self._said()}"
            time.sleep(0.1)


Make = Callable[[Path, str], Program]
