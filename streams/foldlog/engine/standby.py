"""Standby replicas: one thread that keeps warm what this process would own if other members of its groups went away."""

import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

import structlog
from confluent_kafka import ConsumerGroupState, KafkaException
from confluent_kafka.admin import AdminClient

from foldlog.engine.following import Follower
from foldlog.engine.kind import Folding
from foldlog.engine.partitions import Partitions
from foldlog.engine.placement import shadowed
from foldlog.engine.shadows import Shadows
from foldlog.settings import Settings

log = structlog.get_logger()

_LOOK_EVERY = 3.0  # s between two looks at the groups
_TURN = 0.3  # s between two turns with nothing to do
_ANSWER = 10.0  # s
_LONGEST_END = 20.0  # s


class Standbys:
    """Follows with little of the machine: small portions, and a rest after each for as long as it took."""

    def __init__(self, admin: AdminClient, bootstrap: str, settings: Settings, instance: str) -> None:
        self._admin = admin
        self._bootstrap = bootstrap
        self._settings = settings
        self._instance = instance
        self._by_group: dict[str, Shadows] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="standby", daemon=True)

    def shadow(self, group: str, kind: Folding[Any], partitions: Partitions) -> Shadows:
        """The shadows of one processor's group; `kind` and `partitions` are theirs alone."""
        hurry = threading.Event()
        follower = Follower(self._bootstrap, self._settings, self._admin, hurry)
        self._by_group[group] = Shadows(kind, partitions, follower, hurry)
        return self._by_group[group]

    def start(self) -> None:
        """Begins to follow."""
        self._thread.start()

    def stop(self) -> None:
        """Tells the thread to end; it closes its stores."""
        self._stopping.set()

    def join(self) -> None:
        """Waits for the thread's end."""
        if self._thread.is_alive():
            self._thread.join(_LONGEST_END)

    def _run(self) -> None:
        try:
            looked = float("-inf")
            while not self._stopping.is_set():
                if time.monotonic() - looked > _LOOK_EVERY:
                    self._look()
                    looked = time.monotonic()
                busy = sum(shadows.turn() for shadows in self._by_group.values())
                self._stopping.wait(0 if busy else _TURN)
        except Exception:  # a standby is a convenience: the process goes on without
            log.exception("no standby replicas any more")
        finally:
            for shadows in self._by_group.values():
                shadows.end()

    def _look(self) -> None:
        """Looks who is there, and says what is to be kept warm; a group in between two assignments stays as it was."""
        try:
            answers: Mapping[str, Future[Any]] = self._admin.describe_consumer_groups(
                list(self._by_group), request_timeout=_ANSWER
            )
            for group, answer in answers.items():
                self._choose(self._by_group[group], answer.result(_ANSWER))
        except (KafkaException, TimeoutError) as error:
            log.debug("the groups cannot be described", because=str(error))

    def _choose(self, shadows: Shadows, group: Any) -> None:
        if group.state != ConsumerGroupState.STABLE:
            return
        members = [member.group_instance_id or member.member_id for member in group.members]
        shadows.wanted = shadowed(self._instance, members, shadows.kind.count, self._settings.standbys)
