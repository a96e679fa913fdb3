"""What a node answers before anything trains: storage, data, cache directory, GPUs, versions. Runs on each node."""

from __future__ import annotations

import json
import os
import platform
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import ray

import hpsearch
from hpsearch.errors import HpsearchError
from hpsearch.run_files import RunFiles

DRIVER = "driver"
"""Name of the file that the driver writes for the nodes to read."""
GPU_SECONDS = 60.0
"""How long torch may take to count a node's GPUs; loading it from a cold disk takes most of that."""
COUNT_GPUS = """
import json, torch
n = torch.cuda.device_count()
print(json.dumps({"gpus": n, "names": sorted({torch.cuda.get_device_name(i) for i in range(n)}), "cuda": torch.version.cuda}))
"""
"""In a process of its own, since Ray hides the GPUs from a task that asks for none."""


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
class NodeNeeds:
    """What a node that trains must have."""

    images: tuple[str, ...] = ()
    """Some of the images, by the paths that all nodes shall find them at."""
    cache_dir: str = ""
    """Parent of the node's caches of decoded images; empty: none is needed."""
    cache_bytes: Mapping[str, int] = field(default_factory=dict)
    """Start of a cache's name, `<px>px-<files>-` → disk that it takes where it is not there yet. The rest of the name follows
    from the times of the files, which may differ between nodes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeProbe:
    """What one node answered."""

    name: str
    """Its address."""
    versions: Versions
    """What runs there."""
    problem: str = ""
    """Why it cannot use the run directory; empty: it can."""
    data: str = "–"
    """Whether it finds the images; `–`: it trains nothing, so nobody asked."""
    cache: str = "–"
    """Free disk in its cache directory."""
    gpus: str = "–"
    """What torch sees of its GPUs; `–`: Ray has none there."""
    complaints: tuple[str, ...] = ()
    """What else is wrong with it, each with what to do."""


def probe_node(name: str, probe_dir: str, secret: str, files: RunFiles, needs: NodeNeeds | None, num_gpus: int) -> NodeProbe:
    """Everything about this node.

    Args:
        name: what it is called; it writes a marker of this name.
        probe_dir: below the run directory; holds what the driver wrote.
        secret: what that is.
        files: how it reaches this node.
        needs: what training takes; None: it trains nothing.
        num_gpus: GPUs that Ray hands out here.
    """
    complaints: list[str] = []
    data = cache = gpus = "–"
    if needs is not None:
        data = _look_for_images(needs.images, complaints)
        cache = _try_cache(needs, complaints)
    if num_gpus > 0:
        gpus = _count_gpus(num_gpus, complaints)
    return NodeProbe(
        name=name,
        versions=own_versions(),
        problem=_try_storage(name, Path(probe_dir), secret, files),
        data=data,
        cache=cache,
        gpus=gpus,
        complaints=tuple(complaints),
    )


def own_versions() -> Versions:
    """Versions of this process."""
    return Versions(
        python=platform.python_version(), ray=ray.__version__, torch=_installed("torch"), hpsearch=hpsearch.__version__
    )


def marker_name(name: str) -> str:
    """What a node's marker in the run directory is called."""
    return f"node-{name}"


def _try_storage(name: str, probe_dir: Path, secret: str, files: RunFiles) -> str:
    try:
        files.fetch(probe_dir / DRIVER)
        found = (probe_dir / DRIVER).read_text()
        (probe_dir / marker_name(name)).write_text(secret)
        files.send(probe_dir / marker_name(name))
    except OSError as error:
        return f"{error.strerror}: {error.filename}"
    except HpsearchError as error:
        return str(error)
    return "" if found == secret else "reads something else there"


def _look_for_images(images: tuple[str, ...], complaints: list[str]) -> str:
    missing = [path for path in images if not os.access(path, os.R_OK)]
    if missing:
        complaints.append(
            f"{len(missing)} of {len(images)} images that were looked for cannot be read, {missing[0]} first. "
            "Mount them at the same path, or let the run copy them there: --data driver://DIR."
        )
        return f"{len(missing)}/{len(images)} missing"
    return "visible"


def _try_cache(needs: NodeNeeds, complaints: list[str]) -> str:
    if not needs.cache_dir:
        return "–"
    directory = Path(needs.cache_dir)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        marker = directory / f"probe-{secrets.token_hex(4)}"
        marker.write_text("hpsearch")
        marker.unlink()
        free = shutil.disk_usage(directory).free
    except OSError as error:
        complaints.append(
            f"the cache directory {directory} cannot be written ({error.strerror}). Give --set data.cache_dir=DIR."
        )
        return "not writable"
    missing = {name: size for name, size in needs.cache_bytes.items() if not _holds_cache(directory, name)}
    if sum(missing.values()) > free:
        complaints.append(
            f"{directory} has {_gib(free)} free, and decoded images take {_gib(sum(missing.values()))} "
            f"({', '.join(name.partition('-')[0] for name in missing)}). "
            "Free some, or give a larger disk with --set data.cache_dir=DIR."
        )
    return f"{_gib(free)} free"


def _holds_cache(directory: Path, name: str) -> bool:
    return any((cache / "index.json").is_file() for cache in directory.glob(f"{name}*"))


def _count_gpus(num_gpus: int, complaints: list[str]) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    command = [sys.executable, "-c", COUNT_GPUS]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=GPU_SECONDS, check=True)
        seen = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        complaints.append(f"torch did not count its GPUs within {GPU_SECONDS:g} s. Look at nvidia-smi there.")
        return "no answer"
    except (subprocess.CalledProcessError, ValueError, IndexError) as error:
        words = str(getattr(error, "stderr", "") or error).strip().splitlines()
        complaints.append(f"torch cannot be loaded there: {words[-1] if words else error}. Install it again.")
        return "torch fails"
    if seen["gpus"] < num_gpus:
        complaints.append(
            f"Ray has {num_gpus} GPU there, and torch (CUDA {seen['cuda'] or 'none'}) sees {seen['gpus']}. Check the driver "
            "with nvidia-smi, and that this torch is built for CUDA."
        )
    return f"{seen['gpus']} × {', '.join(seen['names'])}" if seen["gpus"] else "0 seen"


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:,.1f} GiB"
