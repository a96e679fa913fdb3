"""Ctrl-C and SIGTERM: once asks for an orderly end, twice ends the process."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from hpsearch.cli import stderr_line
from hpsearch.errors import EXIT_INTERRUPTED

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""SIGUSR1 is what SLURM sends ahead of its time limit."""

STDERR = 2
"""Written to as it is: a handler may have interrupted a write through Python's own buffer."""


class Interrupt:
    """Whether an orderly end was asked for."""

    def __init__(self) -> None:
        self.requested = False

    def listen(self) -> None:
        """Takes the signals, also from whoever took them since; only the main thread can."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """The signal handler."""
        if self.requested:
            sys.stderr.write(stderr_line("event", "interrupted twice: ending at once"))
            sys.stderr.flush()
            os._exit(EXIT_INTERRUPTED)
        self.requested = True
        with suppress(OSError):
            os.write(
                STDERR, stderr_line("event", "stopping; everything is kept. Once more ends it at once.", before="\n").encode()
            )


def listen_everywhere() -> None:
    """Lets SIGTERM and SIGUSR1 do what Ctrl-C does where nobody catches interrupts; to be called again after `ray.init`."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            signal.signal(number, stop)


@contextmanager
def catch_interrupts() -> Iterator[Interrupt]:
    """Catches interrupts while the block runs; outside of the main thread, where Python cannot, it never sees one."""
    interrupt = Interrupt()
    previous = {number: signal.getsignal(number) or signal.SIG_DFL for number in SIGNALS}
    interrupt.listen()
    try:
        yield interrupt
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in previous.items():
                signal.signal(number, handler)
