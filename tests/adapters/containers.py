"""The same servers in containers; testcontainers is imported only where an engine answers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from foldlog.cluster.ports import HOST
from tests.adapters.programs import free_port

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer


class Container:
    """A server in a container, on a port that stays the same when it is stopped and started again."""

    def __init__(self, image: str, port: int, environment: Mapping[str, str], url: str, ready: str) -> None:
        self._outside = free_port()
        self.url = url.format(host=HOST, port=self._outside)
        self._image, self._inside, self._environment, self._ready = image, port, environment, ready
        self._container: DockerContainer | None = None

    def start(self) -> None:
        """Starts it and waits until its log says that it is ready."""
        from testcontainers.core.container import DockerContainer
        from testcontainers.core.waiting_utils import wait_for_logs

        if self._container is None:
            container = DockerContainer(self._image).with_bind_ports(self._inside, self._outside)
            for name, value in self._environment.items():
                container.with_env(name, value)
            self._container = container.start()
        else:
            self._container.get_wrapped_container().start()
        wait_for_logs(self._container, self._ready)

    def stop(self) -> None:
        """Ends its processes in order; its data stay."""
        if self._container:
            self._container.get_wrapped_container().stop()

    def kill(self) -> None:
        """Ends its processes by SIGKILL; its data stay."""
        if self._container:
            self._container.get_wrapped_container().kill()

    def close(self) -> None:
        """Removes it."""
        if self._container:
            self._container.stop()
