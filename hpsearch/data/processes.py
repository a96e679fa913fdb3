"""One function over many tasks in clean child processes.

Children are fresh interpreters that import the function's module and nothing of the caller's: neither its main module
(which multiprocessing imports again) nor torch nor Ray. They are not reached by Ctrl-C, and end when the caller closes the
generator or dies, since they read their tasks from a pipe (joblib's children were seen to stay for 40 s after a SIGKILL).
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import IO, Any, TypeVar

from hpsearch.errors import ClusterError

T = TypeVar("T")

_CHILD = "from hpsearch.data.processes import _serve; _serve()"
_DONE = object()


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def map_in_processes(function: Callable[..., T], tasks: Iterable[tuple[Any, ...]], *, num_workers: int) -> Generator[T]:
    """Yields `function(*task)` for each task, as they come.

    Args:
        function: A module's function; it, its arguments and its result are pickled.
        tasks: Consumed as workers become free.
        num_workers: Child processes; at least 1.

    Raises:
        ClusterError: a child was killed.
        Exception: whatever `function` raises.
    """
    results: queue.SimpleQueue[Any] = queue.SimpleQueue()
    shared = _Shared(tasks)
    children = [_start() for _ in range(max(1, num_workers))]
    threads = [threading.Thread(target=_feed, args=(child, function, shared, results), daemon=True) for child in children]
    try:
        for thread in threads:
            thread.start()
        num_working = len(threads)
        while num_working:
            result = results.get()
            if isinstance(result, _Failure):
                raise result.error
            if result is _DONE:
                num_working -= 1
            else:
                yield result
    finally:
        shared.close()
        for child in children:
            child.kill()
        for thread in threads:
            thread.join()
        for child in children:
            child.wait()


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


class _Shared:
    """Hands the tasks out, one at a time, to several threads."""

    def __init__(self, tasks: Iterable[tuple[Any, ...]]) -> None:
        self._tasks = iter(tasks)
        self._lock = threading.Lock()
        self._closed = False

    def close(self) -> None:
        self._closed = True

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        while not self._closed:
            with self._lock:
                task = next(self._tasks, None)
            if task is None:
                return
            yield task


def _start() -> subprocess.Popen[bytes]:
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    search_path = os.pathsep.join(path or "." for path in sys.path)
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **one_thread, "PYTHONPATH": search_path},
        start_new_session=True,  # Ctrl-C is the caller's to answer
    )


def _feed(child: subprocess.Popen[bytes], function: Callable[..., T], shared: _Shared, results: queue.SimpleQueue[Any]) -> None:
    """Gives `child` one task after another and passes its results on; the last is `_DONE` or a failure."""
    try:
        with _pipes(child) as (to_child, from_child):
            for task in shared:
                pickle.dump((function, task), to_child)
                to_child.flush()
                results.put(pickle.load(from_child))
        results.put(_DONE)
    except (EOFError, BrokenPipeError, pickle.UnpicklingError):
        code = child.wait()
        reason = f"was killed by signal {-code}, most likely for lack of memory" if code < 0 else f"ended with code {code}"
        results.put(
            _Failure(ClusterError(f"a process that worked on images {reason}. Free memory, then run the same command again."))
        )
    except Exception as error:  # of the tasks or of pickling; a thread must not die without a word
        results.put(_Failure(error))


@contextlib.contextmanager
def _pipes(child: subprocess.Popen[bytes]) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        yield child.stdin, child.stdout
    finally:
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
        child.stdout.close()


def _serve() -> None:
    """Works off the tasks of the parent until it closes the pipe or dies."""
    from_parent, to_parent = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not come between the results
    try:
        while True:
            function, task = pickle.load(from_parent)
            pickle.dump(_result_or_failure(function, task), to_parent)
            to_parent.flush()
    except (EOFError, BrokenPipeError):
        os._exit(0)  # nobody listens any more; flushing at a normal exit would complain


def _result_or_failure(function: Callable[..., T], task: tuple[Any, ...]) -> T | _Failure:
    try:
        return function(*task)
    except Exception as error:  # travels to the parent, which raises it
        return _Failure(error)
