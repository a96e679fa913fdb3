"""Ctrl-C, SIGTERM and SLURM's SIGUSR1: once asks for an orderly end, twice ends the process."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import pytest

from hpsearch.errors import EXIT_INTERRUPTED
from hpsearch.execute.interrupt import catch_interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_signal_asks_for_an_orderly_end(number: signal.Signals) -> None:
    with catch_interrupts() as interrupt:
        assert not interrupt.requested
        os.kill(os.getpid(), number)
        assert interrupt.requested


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with catch_interrupts():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_second_signal_ends_the_process_at_once() -> None:
    program = (
        "import os, signal, time\n"
        "from hpsearch.execute.interrupt import catch_interrupts\n"
        "with catch_interrupts():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(60)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == EXIT_INTERRUPTED
    assert "interrupted twice" in done.stderr


def test_outside_of_the_main_thread_nothing_is_caught() -> None:
    seen: list[bool] = []

    def other_thread() -> None:
        with catch_interrupts() as interrupt:
            seen.append(interrupt.requested)

    thread = threading.Thread(target=other_thread)
    thread.start()
    thread.join()
    assert seen == [False]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_between_the_phases_ends_the_command_as_ctrl_c_does(number: signal.Signals) -> None:
    program = (
        "import os, sys\n"
        "from hpsearch.cli import guarded\n"
        "from hpsearch.execute.interrupt import listen_everywhere\n"
        "def command(argv):\n"
        "    listen_everywhere()\n"
        f"    os.kill(os.getpid(), {int(number)})\n"
        "sys.exit(guarded(command))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == EXIT_INTERRUPTED
    assert done.stderr == "hpsearch: interrupted\n"


@pytest.mark.parametrize(
    "moment", ["signal.getsignal(signal.SIGTERM) is not own", "any('raylet' in p.name() for p in children())"]
)
def test_sigterm_while_ray_starts_ends_the_command_as_ctrl_c_does(tmp_path: Path, moment: str) -> None:
    program = (
        "import os, signal, sys, threading, time\n"
        "from functools import partial\n"
        "from pathlib import Path\n"
        "import psutil\n"
        "from hpsearch.cli import guarded, leave\n"
        "from hpsearch.execute.connect import connect\n"
        "from hpsearch.execute.interrupt import listen_everywhere\n"
        "listen_everywhere()\n"
        "own, children = signal.getsignal(signal.SIGTERM), psutil.Process().children\n"
        "def strike():\n"
        f"    while not ({moment}):\n"
        "        time.sleep(0.001)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "def command(argv):\n"
        "    threading.Thread(target=strike, daemon=True).start()\n"
        f"    with connect('', tune_dir=Path({str(tmp_path)!r})):\n"
        "        time.sleep(30)\n"
        "    return 0\n"
        "leave(partial(guarded, command))\n"
    )
    with tempfile.TemporaryDirectory(dir="/tmp") as sessions:  # Ray's sockets need a short path
        environment = {**os.environ, "RAY_TMPDIR": sessions, "XDG_CONFIG_HOME": str(tmp_path)}
        words = [sys.executable, "-c", program]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False, env=environment)
        assert done.stderr == "hpsearch: interrupted\n"
        assert done.returncode == EXIT_INTERRUPTED
        deadline = time.monotonic() + 60
        while any(sessions in " ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])):
            assert time.monotonic() < deadline, "processes of Ray's outlive the command"
            time.sleep(0.1)
