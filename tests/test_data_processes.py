"""Tasks in child processes: results, failures and ends."""

import operator
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpsearch.data.processes import map_in_processes
from hpsearch.errors import ClusterError


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ends_within(seconds: float, process: int) -> bool:
    until = time.monotonic() + seconds
    while alive(process) and time.monotonic() < until:
        time.sleep(0.05)
    return not alive(process)


def test_every_task_gives_its_result() -> None:
    results = map_in_processes(operator.mul, ((n, n) for n in range(50)), num_workers=2)
    assert sorted(results) == sorted(n * n for n in range(50))


def test_no_tasks_give_no_results() -> None:
    assert list(map_in_processes(operator.mul, [], num_workers=2)) == []


def test_a_result_may_be_none() -> None:
    assert list(map_in_processes(time.sleep, [(0,)], num_workers=1)) == [None]


def test_an_exception_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        list(map_in_processes(operator.truediv, [(1, 1), (1, 0)], num_workers=1))


def test_an_exception_of_the_tasks_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        list(map_in_processes(operator.neg, ((1 // n,) for n in (1, 0)), num_workers=1))


def test_a_child_that_is_killed_is_an_error() -> None:
    with pytest.raises(ClusterError, match=r"killed by signal 9, most likely for lack of memory"):
        list(map_in_processes(signal.raise_signal, [(signal.SIGKILL,)], num_workers=1))


def test_children_end_when_the_caller_has_enough() -> None:
    pids = map_in_processes(os.getpid, (() for _ in range(1_000_000)), num_workers=2)
    pid = next(pids)
    assert alive(pid)
    pids.close()
    assert not alive(pid)


def test_children_end_with_a_caller_that_is_killed() -> None:
    code = """
import os, signal
from hpsearch.data.processes import map_in_processes
for pid in map_in_processes(os.getpid, (() for _ in range(1_000_000)), num_workers=1):
    print(pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    pid = int(subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=False).stdout)
    assert ends_within(10, pid)


def test_what_a_child_prints_does_not_mix_with_the_results(capfd: pytest.CaptureFixture[str]) -> None:
    assert list(map_in_processes(print, [("hello",)], num_workers=1)) == [None]
    assert "hello" not in capfd.readouterr().out


def test_children_import_nothing_of_the_callers(tmp_path: Path) -> None:
    script = tmp_path / "script.py"  # without `if __name__ == "__main__"`, as users write them
    script.write_text("""
import numpy
from hpsearch.data.processes import map_in_processes
expression = "[name in __import__('sys').modules for name in ('numpy', 'os')]"
print(list(map_in_processes(eval, [(expression,)], num_workers=1)))
""")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert done.stdout == "[[False, True]]\n"
