"""Before anything trains: every live node uses the run directory, finds the data, and runs the same versions; in seconds."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hpsearch.errors import ClusterError, StorageError
from hpsearch.execute.connect import alive, name_of
from hpsearch.execute.messages import last_line
from hpsearch.execute.node_probe import DRIVER, NodeNeeds, NodeProbe, Versions, marker_name, own_versions, probe_node
from hpsearch.run_files import RunFiles, SharedFiles

PROBE_SECONDS = 120.0
"""How long a node may take to answer; a worker of it has to start first, and torch to count its GPUs."""
MAX_IMAGES = 16
"""Images that a node looks for: the first, the last, and some between."""


def check_storage(directory: Path) -> None:
    """Writes a file in the run directory from this process.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        marker = directory / f"probe-{secrets.token_hex(4)}"
        marker.write_text("hpsearch")
        marker.unlink()
    except OSError as error:
        raise StorageError(
            f"{directory}: cannot be written ({error.strerror}). Give another --out, or make it writable."
        ) from error


def some_of(paths: Sequence[str]) -> tuple[str, ...]:
    """At most `MAX_IMAGES` of `paths`, spread evenly, the first and the last among them."""
    last = len(paths) - 1
    count = min(MAX_IMAGES, len(paths))
    return tuple(paths[place * last // max(1, count - 1)] for place in range(count))


def check_nodes(directory: Path, needs: NodeNeeds | None = None, files: RunFiles | None = None) -> list[NodeProbe]:
    """Asks every live node whether it can take part.

    Args:
        directory: the run directory; each node writes and reads a marker there.
        needs: what nodes with cores need for training; None: nobody asks.
        files: how the directory reaches the nodes; None: over a mount.

    Raises:
        StorageError: a node does not see what this process wrote, or cannot write there.
        ClusterError: a node does not answer, misses data, disk or GPUs, or its versions differ; the message has a table.
    """
    check_storage(directory)
    with closing(Handshake(directory / "probe", files or SharedFiles())) as handshake:
        probes = _asked(handshake, needs)
        unseen = [probe.name for probe in probes if not probe.problem and not handshake.is_answered_by(probe.name)]
    _check_problems(directory, probes, unseen)
    _check_versions(probes)
    _check_complaints(probes)
    return probes


class Handshake:
    """What this process writes into the run directory for nodes to read, and they for it."""

    def __init__(self, directory: Path, files: RunFiles) -> None:
        """Makes `directory`, below the run directory, and leaves a word there."""
        self.directory = directory.resolve()
        self.files = files
        self.secret = secrets.token_hex(16)
        self._written = [self.directory / DRIVER]
        self.directory.mkdir(exist_ok=True)
        (self.directory / DRIVER).write_text(self.secret)
        files.send(self.directory / DRIVER)

    def is_answered_by(self, name: str) -> bool:
        """Whether what the node of this name has written is seen here."""
        marker = self.directory / marker_name(name)
        self._written.append(marker)
        self.files.fetch(marker)
        return marker.is_file()

    def close(self) -> None:
        """Removes all of it; what cannot be removed costs space only."""
        with contextlib.suppress(StorageError):
            for file in self._written:
                self.files.remove(file)
        shutil.rmtree(self.directory, ignore_errors=True)


def ask(node: Mapping[str, Any], handshake: Handshake, needs: NodeNeeds | None) -> Any:
    """Begins to ask one node whether it can take part; a reference to its `NodeProbe`."""
    there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    probe: Any = ray.remote(probe_node).options(num_cpus=0, scheduling_strategy=there, max_retries=0)
    trains = needs if node["Resources"].get("CPU", 0) > 0 else None
    num_gpus = int(node["Resources"].get("GPU", 0))
    return probe.remote(name_of(node), str(handshake.directory), handshake.secret, handshake.files, trains, num_gpus)


def objections(probe: NodeProbe, *, is_seen: bool) -> list[str]:
    """Why a node that joins later may not train; empty: it may. `is_seen`: what it wrote in the run directory is seen here."""
    here, found = own_versions(), []
    if probe.problem or not is_seen:
        why = probe.problem or "what it writes is not seen here"
        found.append(f"the run directory is not the same there ({why}); mount it at the same path.")
    for field in fields(Versions):
        theirs, ours = getattr(probe.versions, field.name), getattr(here, field.name)
        if theirs != ours:
            found.append(f"{field.name} is {theirs} there and {ours} here; install the same ones everywhere.")
    return [*found, *probe.complaints]


def _asked(handshake: Handshake, needs: NodeNeeds | None) -> list[NodeProbe]:
    pending = {ask(node, handshake, needs): name_of(node) for node in alive()}
    ready, late = ray.wait(list(pending), num_returns=len(pending), timeout=PROBE_SECONDS)
    if late:
        names = ", ".join(pending[reference] for reference in late)
        raise ClusterError(f"no answer from {names} within {PROBE_SECONDS:g} s. Restart or remove these nodes.")
    try:
        probes: list[NodeProbe] = ray.get(ready)
    except Exception as error:
        raise ClusterError(f"a node cannot run hpsearch: {last_line(error)}") from error
    return sorted(probes, key=lambda probe: probe.name)


def _check_problems(directory: Path, probes: Sequence[NodeProbe], unseen: Sequence[str]) -> None:
    problems = [f"  {probe.name}: {probe.problem}" for probe in probes if probe.problem]
    problems += [f"  {name}: what it writes there is not seen here" for name in unseen]
    if problems:
        raise StorageError(
            f"{directory} is not the same directory on every node:\n"
            + "\n".join(problems)
            + "\nMount it on these nodes at the same path, or give an --out that all nodes share, with the credentials that "
            "an object store asks for."
        )


def _check_versions(probes: Sequence[NodeProbe]) -> None:
    here = own_versions()
    if all(probe.versions == here for probe in probes):
        return
    raise ClusterError(f"versions differ between nodes:\n{table(probes)}\nInstall the same ones everywhere.")


def _check_complaints(probes: Sequence[NodeProbe]) -> None:
    complaints = [f"  {probe.name}: {complaint}" for probe in probes for complaint in probe.complaints]
    if complaints:
        raise ClusterError("nodes cannot train:\n" + "\n".join(complaints) + f"\n{table(probes)}")


def table(probes: Sequence[NodeProbe]) -> str:
    """All answers, one line a node, this process first."""
    names = [field.name for field in fields(Versions)]
    rows = [("node", *names, "images", "cache", "GPUs"), ("this driver", *_row(own_versions()), "", "", "")]
    rows += [(probe.name, *_row(probe.versions), probe.data, probe.cache, probe.gpus) for probe in probes]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _row(versions: Versions) -> tuple[str, ...]:
    return versions.python, versions.ray, versions.torch, versions.hpsearch
