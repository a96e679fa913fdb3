"""Before anything trains: every live node writes and reads the run directory and runs the same versions."""

from __future__ import annotations

import platform
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import hpsearch
from hpsearch.errors import ClusterError, StorageError
from hpsearch.execute.messages import last_line

PROBE_SECONDS = 60.0
"""How long a node may take to answer; a worker of it has to start first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Versions:
    """What has to be the same on every node."""

    python: str
    """Of the interpreter; pickled code needs the same minor version."""
    ray: str
    """Of the package."""
    torch: str
    """Of the package; results differ between versions."""
    hpsearch: str
    """Of the code that runs there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeProbe:
    """What one node answered."""

    name: str
    """Its address."""
    versions: Versions
    """What runs there."""
    problem: str
    """Why it cannot use the run directory; empty: it can."""


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


def check_nodes(directory: Path) -> list[NodeProbe]:
    """Lets every live node write and read a marker in `directory`, the run directory, and compares versions.

    Raises:
        StorageError: a node does not see what this process wrote, or cannot write there.
        ClusterError: a node does not answer, or its versions differ; the message is a table.
    """
    check_storage(directory)
    probe_dir = directory.resolve() / f"probe-{secrets.token_hex(4)}"
    secret = secrets.token_hex(16)
    probe_dir.mkdir()
    try:
        (probe_dir / "driver").write_text(secret)
        probes = _asked(probe_dir, secret)
        unseen = [probe.name for probe in probes if not probe.problem and not (probe_dir / _marker_name(probe.name)).is_file()]
    finally:
        shutil.rmtree(probe_dir, ignore_errors=True)
    _check_problems(directory, probes, unseen)
    _check_versions(probes)
    return probes


def _asked(probe_dir: Path, secret: str) -> list[NodeProbe]:
    nodes = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    probe: Any = ray.remote(_probe)
    pending = {}
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        name = str(node["NodeManagerAddress"])
        marker = f"{name}-{node['NodeID'][:8]}"
        options = {"num_cpus": 0, "scheduling_strategy": there, "max_retries": 0}
        pending[probe.options(**options).remote(marker, str(probe_dir), secret)] = marker
    ready, late = ray.wait(list(pending), num_returns=len(pending), timeout=PROBE_SECONDS)
    if late:
        names = ", ".join(pending[reference] for reference in late)
        raise ClusterError(f"no answer from {names} within {PROBE_SECONDS:g} s. Restart or remove these nodes.")
    try:
        probes: list[NodeProbe] = ray.get(ready)
    except Exception as error:
        raise ClusterError(f"a node cannot run hpsearch: {last_line(error)}") from error
    return sorted(probes, key=lambda probe: probe.name)


def _probe(name: str, probe_dir: str, secret: str) -> NodeProbe:
    """Runs on each node."""
    problem = ""
    try:
        found = Path(probe_dir, "driver").read_text()
        if found != secret:
            problem = "reads something else there"
        Path(probe_dir, _marker_name(name)).write_text(secret)
    except OSError as error:
        problem = f"{error.strerror}: {error.filename}"
    return NodeProbe(name=name, versions=own_versions(), problem=problem)


def own_versions() -> Versions:
    """Versions of this process."""
    return Versions(
        python=platform.python_version(), ray=ray.__version__, torch=_installed("torch"), hpsearch=hpsearch.__version__
    )


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _marker_name(name: str) -> str:
    return f"node-{name}"


def _check_problems(directory: Path, probes: Sequence[NodeProbe], unseen: Sequence[str]) -> None:
    problems = [f"  {probe.name}: {probe.problem}" for probe in probes if probe.problem]
    problems += [f"  {name}: what it writes there is not seen here" for name in unseen]
    if problems:
        raise StorageError(
            f"{directory} is not the same directory on every node:\n"
            + "\n".join(problems)
            + "\nMount it on these nodes at the "
            "same path, or give an --out that all nodes share."
        )


def _check_versions(probes: Sequence[NodeProbe]) -> None:
    here = own_versions()
    if all(probe.versions == here for probe in probes):
        return
    names = [field.name for field in fields(Versions)]
    rows = [("node", *names), ("this driver", *_row(here)), *((probe.name, *_row(probe.versions)) for probe in probes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    table = "\n".join(
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
    raise ClusterError(f"versions differ between nodes:\n{table}\nInstall the same ones everywhere.")


def _row(versions: Versions) -> tuple[str, ...]:
    return versions.python, versions.ray, versions.torch, versions.hpsearch
