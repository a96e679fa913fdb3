"""Where a result comes from: command, commit, package versions, hardware."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import hpsearch
from hpsearch.data.processes import num_cores

PACKAGES = ("torch", "torchvision", "timm", "ray", "optuna", "numpy", "pandas", "scikit-learn", "tensorboard")


def provenance() -> dict[str, Any]:
    """Command, commit, versions and hardware of this process, as plain values for YAML and JSON."""
    return {"command": command(), "commit": commit(), "versions": versions(), "hardware": hardware()}


def command() -> str:
    """The command line of this process, as a person would type it."""
    program = Path(sys.argv[0])
    stem = program.parent.name if program.stem == "__main__" else program.stem
    known = {"run", "trial", "report", "predict", "bench"}
    words = ["python", "-m", f"hpsearch.{stem}"] if stem in known else [program.name]
    return shlex.join([*words, *sys.argv[1:]])


def commit() -> str:
    """Commit of the checkout that the package lies in, with `+changes` where files differ; empty outside a checkout."""
    folder = Path(hpsearch.__file__).parents[1]
    if not (folder / ".git").exists():
        return ""
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, timeout=5, check=True)
        changes = subprocess.run(
            ["git", "status", "--porcelain"], cwd=folder, capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return head.stdout.strip() + ("+changes" if changes.stdout.strip() else "")


def versions() -> dict[str, str]:
    """Versions of Python, hpsearch and the packages that decide a result; absent packages are absent."""
    found = {"python": platform.python_version(), "hpsearch": hpsearch.__version__}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """Processor, cores, memory (GiB) and GPUs of this machine."""
    import torch

    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "processor": _processor(),
        "cores": num_cores(),
        "memory_gib": round(pages / 2**30, 1),
        "gpus": gpus,
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
