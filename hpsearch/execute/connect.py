"""Connects this process to Ray: one of its own inside this machine, or a cluster that is there already."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import logging
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray._private.node import Node

import hpsearch
from hpsearch.errors import ClusterError
from hpsearch.execute.auth import prepare_cluster_token, prepare_local_token
from hpsearch.execute.messages import first_line
from hpsearch.execute.resources import NodeResources

OBJECT_STORE_BYTES = (256 * 2**20, 2 * 2**30)
"""Least and most memory of a local object store; a search passes nothing large through it."""
OBJECT_STORE_FRACTION = 0.05
"""Share of the machine's memory for it, within these bounds; Ray's default is 30 %."""
REACH_SECONDS = 5.0
"""How long a cluster's address may take to answer."""
SESSION_PREFIX = "hpsearch-ray-"
LOCK_NAME = "owner.lock"
NEEDED_PROCESSES = ("raylet", "gcs_server")
"""Those of Ray's own that nothing goes on without."""
MAX_TEMP_DIR_CHARS = 40
"""Ray adds 66 characters for its sockets, whose paths have at most 107."""


@dataclass(slots=True)
class Cluster:
    """A connection to Ray."""

    address: str
    """As given; empty: a Ray of our own."""
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def nodes(self) -> list[NodeResources]:
        """The live nodes, and what Ray may hand out of each."""
        return live_nodes()

    def close(self) -> None:
        """Disconnects; a Ray of our own ends with all its processes and files."""
        self._stack.close()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def live_nodes() -> list[NodeResources]:
    """The live nodes of the connected cluster, and what Ray may hand out of each."""
    return [resources_of(node) for node in alive()]


def resources_of(node: Mapping[str, Any]) -> NodeResources:
    """What Ray may hand out of a node that it describes so."""
    return NodeResources(
        name=str(node["NodeManagerAddress"]),
        cpus=float(node["Resources"].get("CPU", 0)),
        gpus=float(node["Resources"].get("GPU", 0)),
    )


def name_of(node: Mapping[str, Any]) -> str:
    """What people call it: its address, and enough of Ray's own name to tell apart two on one machine."""
    return f"{node['NodeManagerAddress']}-{node['NodeID'][:8]}"


def alive() -> list[dict[str, Any]]:
    """Ray's own description of the live nodes."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # Ray's own has no types
    return [node for node in nodes if node["Alive"]]


def connect(address: str, *, tune_dir: Path, plugins: Sequence[str] = ()) -> Cluster:
    """Connects to the Ray cluster at `address`, or starts a Ray of our own.

    A process that is connected already stays so.

    Args:
        address: empty for a Ray of our own; `auto`, `HOST:PORT`, or `ray://HOST:PORT`.
        tune_dir: where the token goes if the home directory cannot be written.
        plugins: the user's modules; they travel with hpsearch where code has to be shipped.

    Raises:
        ClusterError: nothing answers at the address, the token is missing or wrong, or Ray does not start.
        KeyboardInterrupt: Ctrl-C or SIGTERM; what had started has ended.
    """
    if ray.is_initialized():
        return Cluster(address=address)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    cluster = Cluster(address=address)
    try:
        if address:
            cluster._stack.callback(ray.shutdown)
            _join(address, plugins)
        else:
            prepare_local_token(tune_dir)
            session_dir = cluster._stack.enter_context(_session_dir())
            cluster._stack.callback(ray.shutdown)  # also of a Ray that was interrupted while it started
            _start(session_dir)
        _silence()
    except SystemExit as error:  # Ray takes SIGTERM for itself while it starts
        cluster.close()
        raise KeyboardInterrupt from error
    except BaseException:
        cluster.close()
        raise
    return cluster


def check_own_ray() -> None:
    """Looks whether the processes of a Ray of our own still run, where this process started one.

    Ray itself ends this process some ten seconds after its raylet, with exit code 1 and without a word. Workers see that a
    raylet is gone only once it has been waited for, which looking does.

    Raises:
        ClusterError: one has ended.
    """
    node = ray._private.worker._global_node
    if not isinstance(node, Node):  # of a Ray Client
        return
    for kind, _ in node.dead_processes():
        if kind in NEEDED_PROCESSES:
            raise ClusterError(
                f"Ray's own process on this machine, {kind}, has ended. Look for a machine short of memory; start the same "
                "command again to continue."
            )


def _start(temp_dir: Path) -> None:
    try:
        ray.init(
            "local",  # also where RAY_ADDRESS names a cluster
            include_dashboard=False,
            object_store_memory=_object_store_bytes(),
            log_to_driver=False,
            logging_level=logging.ERROR,
            _temp_dir=str(temp_dir),
        )
    except Exception as error:
        ray.shutdown()
        logs = _kept_logs(temp_dir)
        raise ClusterError(f"Ray does not start on this machine: {first_line(error)}. Its logs are in {logs}.") from error


def _join(address: str, plugins: Sequence[str]) -> None:
    _check_reachable(address)
    token_file = prepare_cluster_token(address)
    try:
        ray.init(address=address, runtime_env=_code_to_ship(plugins), log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:
        token = f"the token in {token_file}" if token_file else "RAY_AUTH_MODE=disabled"
        raise ClusterError(
            f"--address {address}: cannot connect with {token}: {first_line(error)}. Check that the cluster runs there and "
            "was started with RAY_AUTH_MODE=token and the same token."
        ) from error


def _code_to_ship(plugins: Sequence[str]) -> dict[str, Any]:
    """The runtime environment: hpsearch itself, by exactly one route.

    Inside a submitted job the code came with the job, and a second route would clash with it.
    """
    if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ:
        return {}
    package = str(Path(hpsearch.__file__).parent)
    return {"py_modules": [package, *(_path_of(plugin) for plugin in plugins)]}


def _path_of(plugin: str) -> str:
    spec = importlib.util.find_spec(plugin.split(".")[0])
    if spec is None or spec.origin is None:
        raise ClusterError(f"plugins={plugin}: no such Python module here. Install it, or start from its directory.")
    origin = Path(spec.origin)
    return str(origin.parent if origin.name == "__init__.py" else origin)


def _check_reachable(address: str) -> None:
    """Ray itself tries for a minute or more."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address == "auto":
        return
    if not host or not port.isdigit():
        raise ClusterError(f"--address {address}: expected auto, HOST:PORT or ray://HOST:PORT.")
    try:
        socket.create_connection((host, int(port)), timeout=REACH_SECONDS).close()
    except OSError as error:
        raise ClusterError(
            f"--address {address}: nothing answers there within {REACH_SECONDS:g} s ({error}). Check the address, and that the "
            "head's port (6379; 10001 for ray://) is open from this machine."
        ) from error


def _silence() -> None:
    # Notes of the raylet on lost workers; they reach the study as `lost`, and the rest stays in Ray's log files.
    ray._private.worker._worker_logs_enabled = False
    logging.getLogger("ray").setLevel(logging.ERROR)


def _object_store_bytes() -> int:
    least, most = OBJECT_STORE_BYTES
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(min(most, max(least, OBJECT_STORE_FRACTION * memory)))


@contextlib.contextmanager
def _session_dir() -> Iterator[Path]:
    """A directory for Ray's sockets and logs; removed at the end, and those of killed runs with it."""
    parent = _parent_of_sessions()
    _remove_left_behind(parent)
    unlocked = Path(tempfile.mkdtemp(prefix=f".{SESSION_PREFIX}", dir=parent))
    with (unlocked / LOCK_NAME).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        directory = unlocked.rename(unlocked.with_name(unlocked.name.removeprefix(".")))
        try:
            yield directory
        finally:
            _remove(directory)
            _remove_left_behind(parent)  # processes of a killed driver may have lived on for a moment


def _parent_of_sessions() -> Path:
    parent = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    return Path(parent if len(parent) + len(SESSION_PREFIX) + 9 <= MAX_TEMP_DIR_CHARS else "/tmp")


def num_other_runs() -> int:
    """Runs on this machine that have a Ray of their own now; each takes all cores and GPUs for its own."""
    found = 0
    for lock in _parent_of_sessions().glob(f"{SESSION_PREFIX}*/{LOCK_NAME}"):
        with contextlib.suppress(FileNotFoundError, PermissionError), lock.open("a") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                found += 1
    return found


def tell_of_other_runs(say: Callable[[str], None]) -> None:
    """Says how many there are, and how to share the machine with them; nothing where there are none."""
    if others := num_other_runs():
        runs = "another run" if others == 1 else f"{others} other runs"
        say(
            f"{runs} of hpsearch on this machine: each takes all cores and GPUs. Give each a part with "
            "--set resources.max_slots=N, and with CUDA_VISIBLE_DEVICES where there are GPUs."
        )


def _remove_left_behind(parent: Path) -> None:
    # A killed driver cannot clean up; its lock died with it.
    for directory in parent.glob(f"{SESSION_PREFIX}*"):
        with contextlib.suppress(OSError), (directory / LOCK_NAME).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(directory)


def _remove(directory: Path) -> None:
    # Ray's processes may still write a last line to their logs.
    for _ in range(10):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        time.sleep(0.2)


def _kept_logs(temp_dir: Path) -> Path:
    kept = temp_dir.with_name(f"ray-logs-of-{temp_dir.name}")  # not found by who removes what killed runs have left
    with contextlib.suppress(OSError):
        shutil.copytree(temp_dir / "session_latest" / "logs", kept, dirs_exist_ok=True)
    return kept
