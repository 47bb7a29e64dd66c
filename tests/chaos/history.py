"""What clients did and heard, one JSON line a happening, never changed once written.

`invoke` comes before a record leaves; `delivered` says at which place Kafka has it; `fail` that it was refused and is
nowhere; `ok` carries a reply; `unknown` says that the client gave up waiting. A command id may be invoked again.
"""

import json
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Happening = Literal["invoke", "delivered", "fail", "ok", "unknown"]


class History:
    """An append-only file; several threads may write, each line is whole."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()
        self._started = time.monotonic()

    def write(self, what: Happening, id: str, **told: Any) -> None:
        """Appends one happening of a command or a record."""
        at = round(time.monotonic() - self._started, 4)
        line = json.dumps({"at": at, "what": what, "id": id, **told}, separators=(",", ":"))
        with self._lock:
            self._file.write(line + "\n")
            self._file.flush()

    def close(self) -> None:
        """Ends it."""
        self._file.close()


@dataclass
class Told:
    """All that is known of one id: what it was, where Kafka has it, what the replies said."""

    kind: str
    invoked: int = 0
    failed: int = 0
    places: list[str] = field(default_factory=list)
    replies: list[tuple[str, int, bool]] = field(default_factory=list)  # status, version, duplicate

    @property
    def acknowledged(self) -> bool:
        """Whether Kafka or the engine has said that it has it."""
        return bool(self.places or self.replies)

    @property
    def never_left(self) -> bool:
        """Whether each attempt was refused for good."""
        return self.failed == self.invoked and not self.acknowledged


def told(lines: Iterable[str]) -> dict[str, Told]:
    """What a history says of each id; ValueError for a line that is none."""
    found: dict[str, Told] = {}
    for entry in _entries(lines):
        id_, what = entry["id"], entry["what"]
        if what == "invoke":
            found.setdefault(id_, Told(entry["kind"])).invoked += 1
            continue
        if id_ not in found:
            raise ValueError(f"{what} of {id_}, which was never invoked")
        match what:
            case "delivered":
                found[id_].places.append(entry["place"])
            case "fail":
                found[id_].failed += 1
            case "ok":
                found[id_].replies.append((entry["status"], entry["version"], entry["duplicate"]))
            case "unknown":
                pass
            case _:
                raise ValueError(f"no happening: {what}")
    return found


def _entries(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, 1):
        try:
            yield json.loads(line)
        except ValueError as error:
            raise ValueError(f"line {number} of the history is no JSON: {line[:80]!r}") from error
