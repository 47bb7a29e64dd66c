"""A clock that can be moved under a running process, by libfaketime (https://github.com/wolfcw/libfaketime)."""

from pathlib import Path

from foldlog.core.errors import ConfigError

# The variant for programs with threads.
_PLACES = (
    "/usr/lib/*/faketime/libfaketimeMT.so.1",
    "/usr/lib*/faketime/libfaketimeMT.so.1",
    "/usr/local/lib/faketime/libfaketimeMT.so.1",
)


def library() -> Path:
    """Where libfaketime is; ConfigError names the package where it is missing."""
    for pattern in _PLACES:
        for found in sorted(Path("/").glob(pattern.removeprefix("/"))):
            return found
    raise ConfigError(
        "libfaketime is missing, no clock can be moved: apt-get install libfaketime, "
        "or leave the fault out with `--without clock-moved`"
    )


class Clock:
    """The wall clock of processes that were started with `env`; the monotonic one goes on as it is."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.env = {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.move(0)

    def move(self, seconds: int) -> None:
        """From within a second on it shows so much more than the true time."""
        part = self._file.with_suffix(".part")
        part.write_text(f"{seconds:+d}\n", "ascii")
        part.replace(self._file)
