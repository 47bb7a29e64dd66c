"""The whole bench: `python -m tests.bench [ARGUMENTS of foldlog bench]`.

Makes the peers' environments under build/peers, starts a cluster of its own under build/bench, and stops it again.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

FOLDLOG = (sys.executable, "-m", "foldlog.cli.main")
PEERS = "build/peers"


def main() -> int:
    """Runs it; gives the exit code of what failed first."""
    os.environ["FOLDLOG_HOME"] = str(Path("build/bench").absolute())
    bench = (*FOLDLOG, "bench", "--peers", PEERS, "--plot", "build/bench.png", *sys.argv[1:])
    # Ctrl-C reaches the whole group; what is running ends by itself, and what was started is still stopped.
    signal.signal(signal.SIGINT, lambda *_: None)
    try:
        for command in ((sys.executable, "-m", "tests.bench.peers.setup", PEERS), (*FOLDLOG, "up"), bench):
            code = subprocess.call(command)
            if code:
                return code
    finally:
        subprocess.call((*FOLDLOG, "down", "--wipe"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
