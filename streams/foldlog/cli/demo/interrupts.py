"""Ctrl-C and its kin, as one interrupt that never leaves anything running."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt, once: what follows is clean-up, which ends by itself.

    Main thread only, as signals are.
    """

    def __init__(self) -> None:
        self._held = False
        self._pending = False
        self._raised = False

    @contextmanager
    def heard(self) -> Iterator["Interrupts"]:
        """Takes the signals over, and gives them back at the end; after an interrupt the process is on its way out."""
        before = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        try:
            yield self
        except Exception as error:
            if self._raised:  # C code that an interrupt came up in may report another error in its place
                raise KeyboardInterrupt from error
            raise
        finally:
            for number, handler in before.items():
                # Ignored, not kept: Python gives its own handlers up before the process is gone.
                signal.signal(number, signal.SIG_IGN if self._raised else handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Postpones an interrupt: between starting something and knowing of it, and while it is stopped."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._pending:
            self._raise()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._pending = True
        if not self._held:
            self._raise()

    def _raise(self) -> None:
        self._pending = False
        if not self._raised:
            self._raised = True
            raise KeyboardInterrupt
