"""A search as Ray's documentation shows it for PyTorch: `OptunaSearch`, `ASHAScheduler`, a `DataLoader` in each trial.

    python -m hpsearch.bench.ray_script --data DIR --space FILE --minutes M --out DIR

It is the peer of `bench search --real`, and is given what a careful user gives it: a core and a loader's worker process for
each trial, workers that live from epoch to epoch, one thread where there is one core, no gradients in evaluation; on a GPU
pinned memory, copies that do not wait, and our settings of cuDNN and TF32. The space, its conditions and its fixed parameters
are ours, and so are the networks; moving average and gradient clipping are left out, which saves it time. Search and scheduler
have Ray's defaults.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch
from torch.nn import functional as F
from torch.utils.data import DataLoader

from hpsearch.bench.augmentation import torchvision_pipeline
from hpsearch.bench.usual_way import ImageFiles
from hpsearch.config import DataConfig, Params, RunConfig
from hpsearch.data.processes import num_cores
from hpsearch.execute.connect import connect
from hpsearch.job.inputs import Inputs, read_inputs
from hpsearch.metrics import score
from hpsearch.model.backbones import build
from hpsearch.train.augment.registry import resolved
from hpsearch.train.precision import tune_device
from hpsearch.train.settings import TrialSettings, full_budget, settings_from
from hpsearch.train.vocabulary import model_spec

if TYPE_CHECKING:
    import optuna

    from hpsearch.data.dataset import Dataset, ImageSet
    from hpsearch.search.dimension import Dimension
    from hpsearch.search.space import Space

PARAMS = "params"
"""Key of a trial's Tune configuration that holds its parameters."""
COUNTS = "images"
"""Directory with one file a trial: the images that it has trained on so far."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trainee:
    """What every trial needs beside its parameters."""

    dataset: Dataset
    """Labelled images."""
    counts: str
    """Where trials write how many images they have seen."""
    num_workers: int
    """Worker processes of a trial's loader."""


def train(config: dict[str, Any], trainee: Trainee) -> None:
    """One trial: trains epoch by epoch and reports the AUC after each."""
    settings = settings_from(config[PARAMS])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda":
        tune_device(device)
    model = build(model_spec(settings)).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    images, val = trainee.dataset.train, trainee.dataset.val
    augment = resolved(settings.augment)
    centred = {"crop": {**augment["crop"], "mode": "centre"}} if "crop" in augment else {}
    batches = _loader(images, settings, augment, trainee.num_workers, device, shuffle=True)
    val_batches = _loader(val, settings, centred, trainee.num_workers, device, shuffle=False)
    num_epochs = max(1, round(full_budget(settings, len(images)) / len(images)))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_epochs * len(batches))
    with (Path(trainee.counts) / tune.get_context().get_trial_id()).open("w") as count:
        for _ in range(num_epochs):
            model.train()
            for batch in batches:
                images_bchw, labels_b = (part.to(device, non_blocking=True) for part in batch)
                loss = F.cross_entropy(model(images_bchw), labels_b, label_smoothing=settings.label_smoothing)
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
                schedule.step()
                count.write(f"{len(labels_b)}\n")
                count.flush()
            tune.report({"auc": _auc(model, val_batches, val, device)})


def _loader(
    images: ImageSet, settings: TrialSettings, augment: Any, num_workers: int, device: torch.device, *, shuffle: bool
) -> DataLoader[tuple[torch.Tensor, int]]:
    files = ImageFiles(images, torchvision_pipeline(augment, settings.image_px, resize=True))
    return DataLoader(
        files,
        batch_size=settings.batch_size,
        shuffle=shuffle,
        drop_last=shuffle,
        num_workers=num_workers,
        persistent_workers=True,
        multiprocessing_context="fork",
        pin_memory=device.type == "cuda",
    )


@torch.no_grad()
def _auc(model: torch.nn.Module, batches: DataLoader[Any], val: ImageSet, device: torch.device) -> float:
    model.eval()
    parts = [torch.softmax(model(images_bchw.to(device, non_blocking=True)), dim=1)[:, 1].cpu() for images_bchw, _ in batches]
    return score(val.labels_n, torch.cat(parts).double().numpy()).auc


def suggest(space: Space, trial: optuna.Trial) -> dict[str, Params]:
    """The space as `OptunaSearch` takes one with conditions: a function that asks the trial value by value."""

    def choose(dimension: Dimension, params: Params) -> Any:
        if dimension.kind == "categorical":
            return trial.suggest_categorical(dimension.key, dimension.choices)
        if dimension.kind == "float":
            return trial.suggest_float(dimension.key, dimension.low, dimension.high, log=dimension.log)
        low, high = int(dimension.low), int(dimension.high)
        return trial.suggest_int(dimension.key, low, high, log=dimension.log, step=dimension.step)

    return {PARAMS: space.complete(choose)}


def search(inputs: Inputs, out: Path, deadline: float) -> int:
    """Searches until `deadline` on the monotonic clock; returns the number of trials."""
    counts = out / COUNTS
    counts.mkdir(parents=True)
    num_gpus = torch.cuda.device_count()
    cores = num_cores() // num_gpus if num_gpus else 1
    trainee = Trainee(
        dataset=inputs.dataset,
        counts=str(counts.resolve()),
        num_workers=cores,
    )
    with connect("", tune_dir=out):
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(train, trainee=trainee), {"cpu": cores, "gpu": int(num_gpus > 0)}),
            tune_config=tune.TuneConfig(
                metric="auc",
                mode="max",
                search_alg=OptunaSearch(functools.partial(suggest, inputs.space), metric="auc", mode="max"),
                scheduler=ASHAScheduler(),
                num_samples=-1,
                time_budget_s=max(1.0, deadline - time.monotonic()),
            ),
            run_config=tune.RunConfig(
                storage_path=str(out.resolve()),
                name="tune",
                verbose=0,
                failure_config=tune.FailureConfig(fail_fast="raise"),  # a failing peer must not look like a slow one
            ),
        )
        return len(tuner.fit())


def images_trained(out: Path) -> int:
    """Images that all trials below `out` have been trained on, those that were stopped in an epoch included."""
    return sum(int(line) for file in (out / COUNTS).iterdir() for line in file.read_text().splitlines())


def main() -> None:
    """Entry point of the script; its last line on stdout is JSON."""
    began = time.monotonic()
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", required=True, metavar="DIR", help="labelled images")
    options.add_argument("--space", required=True, metavar="FILE", help="a path or the name of a shipped space")
    options.add_argument("--minutes", type=float, required=True, metavar="M", help="wall minutes of the whole script")
    options.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new directory for what it writes")
    given = options.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    inputs = read_inputs(RunConfig(data=DataConfig(source=given.data), space=given.space), {})
    num_trials = search(inputs, given.out, began + given.minutes * 60)
    print(json.dumps({"images": images_trained(given.out), "trials": num_trials}))


if __name__ == "__main__":
    main()
