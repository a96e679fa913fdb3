"""`bench search --real`: our run against a script from Ray's documentation, on real images, in real time, in turns."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.errors import ClusterError
from hpsearch.layout import RunLayout
from hpsearch.report.provenance import provenance
from hpsearch.report.result import read_result

if TYPE_CHECKING:
    import argparse

OURS, RAY = "hpsearch", "ray"
"""The two ways."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RealRun:
    """One whole command."""

    way: str
    """`hpsearch` or `ray`."""
    images: int
    """Images trained on."""
    seconds: float
    """Wall time of the command, from its start to its end."""
    trials: int
    """Trials begun."""

    @property
    def images_per_second(self) -> float:
        """What the machine got done."""
        return self.images / self.seconds


def add_real_options(search: argparse.ArgumentParser) -> None:
    """Adds what `--real` needs."""
    search.add_argument("--real", action="store_true", help="whole runs on images instead, against a script from Ray's docs")
    search.add_argument("--data", default="sample", metavar="DIR", help="with --real: labelled images")
    search.add_argument("--space", default="quickstart", metavar="FILE", help="with --real: the space (default: quickstart)")
    search.add_argument("--minutes", type=float, default=4.0, metavar="M", help="with --real: of each run (default: 4)")
    search.add_argument("--repeats", type=int, default=2, metavar="N", help="with --real: runs of each (default: 2)")


def run_real(arguments: argparse.Namespace) -> str:
    """Runs both in turns, writes what is asked for, and returns what to print.

    Raises:
        ClusterError: one of them failed; with the end of what it said.
    """
    ways: dict[str, Callable[[argparse.Namespace, Path], RealRun]] = {OURS: _ours, RAY: _ray}
    runs = []
    for number in range(arguments.repeats):
        for way in ways if number % 2 == 0 else reversed(ways):
            sys.stderr.write(f"{way}, run {number + 1} of {arguments.repeats}, {arguments.minutes:g} min\n")
            with tempfile.TemporaryDirectory(prefix="hpsearch-bench-") as out:
                runs.append(ways[way](arguments, Path(out)))
    place = provenance()
    if arguments.json:
        content = {"rows": [asdict(run) | {"images_per_second": round(run.images_per_second, 1)} for run in runs], **place}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n")
    return as_text(runs, place)


def as_text(runs: list[RealRun], place: dict[str, Any]) -> str:
    """One line a run, and the ratio of the medians."""
    hardware, versions = place["hardware"], place["versions"]
    lines = [
        f"{hardware['cores']} cores {hardware['processor']}, torch {versions['torch']}, ray {versions['ray']}",
        f"{'':<10}{'images trained':>16}{'seconds':>9}{'images/s':>10}{'trials':>8}",
    ]
    for run in runs:
        lines.append(f"{run.way:<10}{run.images:>16,}{run.seconds:>9.0f}{run.images_per_second:>10,.0f}{run.trials:>8}")
    medians = {way: statistics.median(run.images_per_second for run in runs if run.way == way) for way in (OURS, RAY)}
    lines.append(f"hpsearch trains {medians[OURS] / medians[RAY]:.2f} × as many images per second (medians)")
    return "\n".join(lines)


def _ours(arguments: argparse.Namespace, out: Path) -> RealRun:
    """A run as a user starts it; decoding the images and retraining are part of its time, as of its images.

    Pieces of training that the end of the search cuts off are in its time but not in its images; the script counts its own.
    """
    words = ["hpsearch.run", "--data", arguments.data, "--space", arguments.space, "--minutes", str(arguments.minutes)]
    words += ["--out", str(out), "--name", "run", "--display", "quiet", "--set", f"data.cache_dir={out / 'cache'}"]
    seconds, _ = _timed(words)
    result = read_result(RunLayout(out / "run"))
    assert result is not None, "a run that ended well leaves a result"
    return RealRun(way=OURS, images=result["images_trained"], seconds=seconds, trials=sum(result["trials"].values()))


def _ray(arguments: argparse.Namespace, out: Path) -> RealRun:
    words = ["hpsearch.bench.ray_script", "--data", arguments.data, "--space", arguments.space]
    seconds, said = _timed([*words, "--minutes", str(arguments.minutes), "--out", str(out)])
    return RealRun(way=RAY, seconds=seconds, **json.loads(said.splitlines()[-1]))


def _timed(words: list[str]) -> tuple[float, str]:
    """Wall seconds of `python -m words`, and what it printed."""
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"python -m {' '.join(words)} ended with code {done.returncode}:\n{done.stderr[-2000:]}")
    return time.monotonic() - began, done.stdout
