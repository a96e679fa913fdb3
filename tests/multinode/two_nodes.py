"""Two machines inside this one: a network, a file system and a token file each, one mount shared, all in a PID namespace.

    keeper: sleep in its own PID, mount and network namespace; when it dies the kernel ends every process below it
      node 1   10.77.0.1 ──── veth ──── 10.77.0.2   node 2
      /tmp, with home and caches: its own           the same
      /mnt: shared                                  /mnt: the same directory
      /srv: the checkout                            /srv: empty, and hpsearch is not installed

A node whose plug is pulled says nothing more: its link goes first, so that no connection is closed, then all its processes.

Needs root; where that is not there `needing_two_nodes` skips with the reason.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ADDRESSES = {1: "10.77.0.1", 2: "10.77.0.2"}
PORT = 6379
CHECKOUT = Path(__file__).parents[2]
TOKEN = "0123456789abcdef" * 4
S3_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_EC2_METADATA_DISABLED": "true"}
"""Of a test's own server, which takes any."""
TOKEN_FILE = "/tmp/home/.config/hpsearch/ray_token"
SECONDS = 60.0


def needing_two_nodes(*, timeout_seconds: int) -> list[pytest.MarkDecorator]:
    """Marks of a module whose tests need them."""
    reason = _why_not()
    skip = pytest.mark.skipif(bool(reason), reason=reason)
    return [pytest.mark.multinode, pytest.mark.slow, pytest.mark.timeout(timeout_seconds), skip]


def _why_not() -> str:
    """Why there cannot be two nodes here; empty: there can."""
    if os.geteuid() != 0:
        return "needs root for network namespaces"
    missing = [tool for tool in ("unshare", "nsenter", "ip") if shutil.which(tool) is None]
    if missing:
        return f"needs {', '.join(missing)}"
    tried = subprocess.run(["unshare", "--pid", "--fork", "--net", "--mount", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else f"no namespaces here: {tried.stderr.decode().strip()}"


class TwoNodes:
    """Both machines; Ray runs on each that `start_ray` was called for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.shared = root / "shared"
        self.shared.mkdir()
        namespaces = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--mount", "--net", "sleep", "infinity"]
        self._keeper = subprocess.Popen(namespaces)
        self._inside = ["nsenter", f"--target={_child(self._keeper.pid)}", "--pid", "--mount", "--net", "--"]
        self._holders = {node: self._hold() for node in ADDRESSES}
        first, second = (self._pid_inside(node) for node in ADDRESSES)
        link = ["ip", "link", "add", "eth0", "netns", first, "type", "veth", "peer", "name", "eth0", "netns", second]
        _run(*self._inside, *link)
        for node in ADDRESSES:
            self._furnish(node)

    def _hold(self) -> int:
        """A process that keeps a node's namespaces; its PID out here."""
        holder = subprocess.Popen([*self._inside, "unshare", "--net", "--mount", "--propagation=private", "sleep", "infinity"])
        pid = _child(holder.pid)
        _wait(lambda: _network(pid) != _network(_child(self._keeper.pid)))
        _wait(lambda: Path(f"/proc/{pid}/comm").read_text().strip() == "sleep")
        return pid

    def _pid_inside(self, node: int) -> str:
        status = Path(f"/proc/{self._holders[node]}/status").read_text()
        return next(line.split()[-1] for line in status.splitlines() if line.startswith("NSpid:"))

    def _furnish(self, node: int) -> None:
        own = self.root / f"node{node}"
        token = own / TOKEN_FILE.removeprefix("/tmp/")
        token.parent.mkdir(parents=True)
        token.write_text(TOKEN)
        token.chmod(0o600)
        commands = [
            f"ip address add {ADDRESSES[node]}/24 dev eth0 && ip link set eth0 up && ip link set lo up",
            f"mount --bind {self.shared} /mnt",
            f"mount --bind {CHECKOUT} /srv" if node == 1 else "",
            *([] if node == 1 else [f"mount -t tmpfs none {folder}" for folder in (CHECKOUT / "hpsearch", *_installed())]),
            f"mount --bind {own} /tmp",
        ]
        for command in filter(None, commands):
            self.run(node, "bash", "-c", command)

    def command(self, node: int, *words: object, token_file: str = TOKEN_FILE, code: str = "/srv") -> list[str]:
        """`words`, to be run on `node`."""
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": "/tmp/home",
            "PYTHONPATH": code,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": token_file,
            "OMP_NUM_THREADS": "1",
            "RAY_ENABLE_AUTO_CONNECT": "0",
            **S3_CREDENTIALS,
        }
        enter = ["nsenter", f"--target={self._holders[node]}", "--pid", "--mount", "--net", "--wd=/", "--"]
        return [*enter, "env", "-i", *(f"{name}={value}" for name, value in environment.items()), *map(str, words)]

    def run(self, node: int, *words: object, expect: int = 0, **options: str) -> subprocess.CompletedProcess[str]:
        """Runs `words` on `node` to their end."""
        return _run(*self.command(node, *words, **options), expect=expect)

    def start(self, node: int, log: Path, *words: object, **options: str) -> subprocess.Popen[bytes]:
        """Begins `words` on `node`; what they say goes to `log`."""
        with log.open("wb") as stream:
            return subprocess.Popen(self.command(node, *words, **options), stdout=stream, stderr=subprocess.STDOUT)

    def start_ray(self, node: int, *, head: int = 1, dashboard: bool = False) -> None:
        """Starts the head, or a worker of the one on node `head`; one core each."""
        leading = ["--head", f"--port={PORT}", f"--include-dashboard={str(dashboard).lower()}"]
        role = leading if node == head else [f"--address={ADDRESSES[head]}:{PORT}"]
        own = [f"--node-ip-address={ADDRESSES[node]}", "--num-cpus=1", "--num-gpus=0", "--object-store-memory=200000000"]
        # Not with the checkout's code on its path: workers get what the driver ships.
        self.run(node, "ray", "start", *role, *own, "--disable-usage-stats", code="")

    def processes(self, node: int) -> dict[int, str]:
        """What runs on `node`: PID out here → command line."""
        holder, found = self._holders[node], {}
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if int(entry.name) != holder and _network(int(entry.name)) == _network(holder):
                    found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
        return found

    def kill(self, node: int, title: str) -> None:
        """Kills the process on `node` whose command line begins with `title`."""
        (pid,) = [pid for pid, line in self.processes(node).items() if line.startswith(title)]
        os.kill(pid, signal.SIGKILL)

    def pull_the_plug(self, node: int) -> None:
        """Everything on `node` is gone, and nobody is told; its disk stays."""
        self.run(node, "ip", "link", "set", "eth0", "down")
        for pid in self.processes(node):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def plug_in(self, node: int) -> None:
        """Lets `node` reach the network again; nothing runs on it yet."""
        self.run(node, "ip", "link", "set", "eth0", "up")

    def close(self) -> None:
        """Ends everything."""
        self._keeper.kill()
        self._keeper.wait()


def _installed() -> list[Path]:
    """Where this interpreter finds hpsearch without the checkout on its path."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    find = (
        "import importlib.util as u; spec = u.find_spec('hpsearch'); print(spec.submodule_search_locations[0] if spec else '')"
    )
    found = subprocess.run([sys.executable, "-c", find], cwd="/", env=environment, capture_output=True, text=True, check=True)
    folder = found.stdout.strip()
    return [Path(folder)] if folder and Path(folder) != CHECKOUT / "hpsearch" else []


def _network(pid: int) -> Path:
    return Path(f"/proc/{pid}/ns/net").readlink()


def _child(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    _wait(lambda: bool(children.read_text().split()))
    return int(children.read_text().split()[0])


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the namespaces were not made in time"
        time.sleep(0.02)


def _run(*words: object, expect: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == expect, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done
