"""`foldlog` in a process whose clock libfaketime moves: `python -m tests.chaos.clocked run tests.chaos.bank`.

libfaketime 0.9.10 fakes more than a clock that is set would change, and the process would stand still for no fault
of its own. So two things keep the true clock:
- librdkafka: it computes the deadlines of its waits by the faked clock and waits by glibc's C11 functions, which are
  not faked, two hours too long. It is bound to the C library directly (RTLD_DEEPBIND).
- `time.sleep`: its deadline, by the monotonic clock, is taken for one of the faked clock, and it fails with EINVAL.
What Python and RocksDB take for the time of day does move: stores' ages, dead letters' times, log lines.
"""

import os
import sys
import threading
import time
from typing import SupportsFloat

_flags = sys.getdlopenflags()
sys.setdlopenflags(_flags | os.RTLD_DEEPBIND)
import confluent_kafka  # noqa: E402, F401 — loaded here for how it is bound

sys.setdlopenflags(_flags)


def _sleep(seconds: SupportsFloat, /) -> None:
    threading.Event().wait(float(seconds))


time.sleep = _sleep  # type: ignore[assignment]

from foldlog.cli.main import main  # noqa: E402 — nobody may get hold of the other sleep

if __name__ == "__main__":
    main()
