"""`python -m hpsearch.bench train`: images per second of a trial, of its network, and of the usual way."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.config import DataConfig, RunConfig
from hpsearch.errors import InputError

if TYPE_CHECKING:
    from hpsearch.bench.augmentation import AugmentationSpeed
    from hpsearch.bench.training_speed import SpeedRow
    from hpsearch.data.dataset import Dataset

DEFAULT_NETWORKS = {
    "cpu": [("test_resnet", 64), ("test_resnet", 128), ("resnet18", 64), ("resnet18", 128)],
    "cuda": [("resnet50", 224), ("convnext_tiny", 224), ("tf_efficientnetv2_s", 300)],
}
"""Backbones and sizes that are timed where none are named."""
HEADER = (
    f"{'device':<7}{'backbone':<22}{'px':>4} {'phase':<6}{'step':>9}{'limit':>9}{'ours':>9}{'usual':>9}"
    f"{'ours/step':>11}{'ours/limit':>11}{'ours/usual':>11}"
)
"""Of the table."""
NUM_DECODED = 512
"""Image files of one measurement of decoding."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainFigures:
    """All that the command has measured."""

    rows: list[SpeedRow]
    """Training and evaluation."""
    augmentation: list[AugmentationSpeed]
    """Augmentation by itself, per core."""
    decoded_px: int
    """Side to which files were decoded."""
    decoded_per_second: float
    """Files that one core decodes and resizes for the cache in a second."""
    provenance: dict[str, Any]
    """Where it was measured: command, commit, versions, hardware."""


def add_train(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds the command and its options."""
    train = commands.add_parser("train", help="images per second of a trial, of its network, and of the usual way")
    train.add_argument("--data", default="sample", metavar="DIR", help="labelled images (default: the sample set)")
    train.add_argument("--backbone", nargs="+", metavar="NAME", help="default: test_resnet and resnet18; larger ones on a GPU")
    train.add_argument("--px", nargs="+", type=int, metavar="N", help="sides of what the network sees (default: 64 and 128)")
    train.add_argument("--batch-size", type=int, default=64, metavar="N", help="images of a step (default: %(default)s)")
    train.add_argument("--repeats", type=int, default=5, metavar="N", help="measurements of each, medians count (default: 5)")
    train.add_argument("--device", choices=["cpu", "cuda"], help="default: a GPU where there is one")
    train.add_argument("--compile", choices=["auto", "always", "never"], default="auto", help="auto: train compiled on a GPU")
    train.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    train.set_defaults(run=run_train)


def run_train(arguments: argparse.Namespace) -> str:
    """Measures, writes what is asked for, and returns what to print.

    Raises:
        InputError: no such backbone or GPU, or data that cannot be read.
    """
    figures = measured(arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(_as_json(figures), indent=1) + "\n")
    return as_text(figures)


def measured(arguments: argparse.Namespace) -> TrainFigures:
    """All figures of the command."""
    import torch

    from hpsearch.bench.training_speed import full_settings, measure
    from hpsearch.data.processes import num_cores
    from hpsearch.job.inputs import cache_directory, read_dataset
    from hpsearch.report.provenance import provenance

    device = arguments.device or ("cuda" if torch.cuda.is_available() else "cpu")
    networks = _networks(arguments, device)
    data = DataConfig(source=arguments.data)
    dataset = read_dataset(RunConfig(data=data))
    torch.set_num_threads(num_cores())  # as in a trial that has the machine for itself
    rows: list[SpeedRow] = []
    sys.stderr.write(f"{HEADER}\n")
    for backbone, px in networks:
        measured_now = measure(
            full_settings(backbone, px, arguments.batch_size),
            dataset,
            device=device,
            cache_dir=cache_directory(data),
            num_cores=num_cores(),
            repeats=arguments.repeats,
            compiles=arguments.compile == "always" or (arguments.compile == "auto" and device == "cuda"),
        )
        rows += measured_now
        sys.stderr.write("".join(f"{_row_text(row)}\n" for row in measured_now))
    sys.stderr.write("augmentation and decoding\n")
    sizes = sorted({px for _, px in networks})
    return TrainFigures(
        rows=rows,
        augmentation=list(_augmentation_speeds(dataset, sizes, arguments.repeats)),
        decoded_px=max(sizes),
        decoded_per_second=decoding_speed(dataset.train.paths[:NUM_DECODED], max(sizes), arguments.repeats),
        provenance=provenance(),
    )


def _networks(arguments: argparse.Namespace, device: str) -> list[tuple[str, int]]:
    """Backbones and sizes: every one that is named at every size that is named."""
    import torch

    from hpsearch.model.backbones import family

    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch sees no GPU here. Leave the option out to measure the CPU.")
    if arguments.backbone is None and arguments.px is None:
        return DEFAULT_NETWORKS[device]
    backbones = arguments.backbone or list(dict.fromkeys(name for name, _ in DEFAULT_NETWORKS[device]))
    for backbone in backbones:
        family(backbone)
    sizes = arguments.px or sorted({px for _, px in DEFAULT_NETWORKS[device]})
    if min(*sizes, arguments.batch_size, arguments.repeats) < 1:
        raise InputError("--px, --batch-size and --repeats must be at least 1.")
    return [(backbone, px) for backbone in backbones for px in sizes]


def _augmentation_speeds(dataset: Dataset, sizes: Sequence[int], repeats: int) -> Iterator[AugmentationSpeed]:
    """Both recipes at each size, from images as large as those of the data set."""
    from PIL import Image

    from hpsearch.bench.augmentation import FULL_RECIPE, SEED_RECIPE, compare_augmentation

    with Image.open(dataset.train.paths[0]) as image:
        source_px = min(image.size)
    for px in sizes:
        for name, recipe in (("seed", SEED_RECIPE), ("full", FULL_RECIPE)):
            yield compare_augmentation(recipe, px, name=name, source_px=source_px, repeats=repeats)


def decoding_speed(paths: Sequence[str], px: int, repeats: int) -> float:
    """Image files that one core decodes and resizes to `px` in a second, median, by CPU time."""
    from hpsearch.data.decode import decode

    rates = []
    for _ in range(repeats + 1):
        began = time.thread_time()
        for path in paths:
            decode(path, px)
        rates.append(len(paths) / (time.thread_time() - began))
    return statistics.median(rates[1:])


def as_text(figures: TrainFigures) -> str:
    """The table, and where it was measured."""
    versions, hardware = figures.provenance["versions"], figures.provenance["hardware"]
    cores = f"{hardware['cores']} core{'s' * (hardware['cores'] != 1)}"
    place = [f"{cores} {hardware['processor']}", *hardware["gpus"]]
    lines = [
        f"images/s on {', '.join(place)}; torch {versions['torch']}, torchvision {versions['torchvision']}, "
        f"timm {versions['timm']}",
        "",
        HEADER,
        *(_row_text(row) for row in figures.rows),
        "",
        "step: the network on one resident batch, the best of eager and compiled where that is asked for;",
        "limit: the same after the full augmentation; ours: a trial, from the cache;",
        "usual: DataLoader, PIL and torchvision in fp32, with the starting points' lighter augmentation",
        "",
        "augmentation alone, images/s of one core        ours  torchvision   ratio",
    ]
    for speed in figures.augmentation:
        name = f"{speed.name} recipe, {speed.source_px} to {speed.image_px} px"
        lines.append(f"  {name:<40}{speed.ours:>10,.0f}{speed.torchvision:>13,.0f}{speed.ratio:>8.1f}")
    lines += ["", f"decoding to {figures.decoded_px} px for the cache: {figures.decoded_per_second:,.0f} files/s of one core"]
    return "\n".join(lines)


def _row_text(row: SpeedRow) -> str:
    speeds = "".join(f"{speed:>9,.0f}" for speed in (row.step, row.limit, row.ours, row.usual))
    shares = f"{row.ours / row.step:>10.0%} {row.ours / row.limit:>10.0%} {row.ours / row.usual:>10.2f}×"
    return f"{row.device:<7}{row.backbone:<22}{row.px:>4} {row.phase:<6}{speeds}{shares}"


def _as_json(figures: TrainFigures) -> dict[str, Any]:
    """`rows` and the rest by name, speeds to a tenth."""
    return {name: _rounded(value) for name, value in asdict(figures).items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return round(value, 1) if isinstance(value, float) else value
