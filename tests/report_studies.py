"""Studies for the tests of the report: made by the real engine, on a closed-form learning curve in virtual time."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image

from hpsearch.judge.audit import Audit, Finding
from hpsearch.judge.audit_file import write_audit
from hpsearch.judge.cues import Cue
from hpsearch.judge.intervals import auc_interval
from hpsearch.layout import Result, RunLayout
from hpsearch.metrics import score
from hpsearch.report.result import write_result
from hpsearch.report.tables import Predictions, write_predictions
from hpsearch.search.engine import Engine
from hpsearch.search.fold import fold
from hpsearch.search.journal import Journal, read_events
from hpsearch.search.space import Space
from hpsearch.search.types import EngineConfig, Outcome, Stretch, TrialState

SPACE = {
    "backbone": {"choices": ["resnet18", "resnet50", "convnext_tiny"]},
    "se_reduction": {"choices": ["none", 4, 16], "when": {"backbone": ["resnet18", "resnet50"]}},
    "lr": {"low": 1e-4, "high": 1e-2, "log": True},
    "weight_decay": {"low": 1e-5, "high": 5e-2, "log": True},
    "augment.jpeg.p": {"low": 0.0, "high": 0.7},
    "augment.blur.p": {"low": 0.0, "high": 0.5},
    "label_smoothing": {"low": 0.0, "high": 0.1},
    "image_px": {"choices": [192, 224, 256]},
    "fixed": {"batch_size": 64, "optimizer": "adamw"},
    "start": [{"backbone": "resnet18", "se_reduction": "none", "lr": 1e-3}],
}
RUNGS = (2_000, 6_000, 18_000)
HOSTILE = "<script>document.title='broken'</script><b>CUDA & \"memory\""
PARAMETERS = {"resnet18": 11_200_000, "resnet50": 26_000_000, "convnext_tiny": 27_800_000}


def value_at(params: dict[str, Any], images: int, seed: int) -> float:
    """AUC of a trial after so many images: better near lr 1.5e-3 and some JPEG, larger networks slower and better."""
    quality = 0.26 - 0.05 * math.log10(params["lr"] / 1.5e-3) ** 2 - 0.15 * (params["augment.jpeg.p"] - 0.3) ** 2
    quality += {"resnet18": 0.0, "resnet50": 0.03, "convnext_tiny": 0.05}[params["backbone"]]
    quality -= 0.05 * params["augment.blur.p"]
    slowness = {"resnet18": 3_000, "resnet50": 5_000, "convnext_tiny": 7_000}[params["backbone"]]
    noise = np.random.default_rng((seed, images)).normal(0, 0.008)
    return float(np.clip(0.5 + quality * (1 - math.exp(-images / slowness)) + noise, 0, 1))


def simulate(
    num_trials: int = 12, *, slots: int = 2, stop_after: int | None = None, path: Path | None = None, seed: int = 3
) -> Journal:
    """The journal of a whole study, or of one that still goes on after `stop_after` rungs."""
    journal = Journal.in_memory() if path is None else Journal(path)
    config = EngineConfig(rungs=RUNGS, num_trials=num_trials, sampler="random", seed=seed)
    identity = {"search.objective": "auc", "data.source": "sample"}
    engine = Engine.open(Space.from_dict(SPACE), config, journal, identity=identity)
    free, running, rungs = list(range(slots)), {}, 0
    while not engine.finished and rungs != stop_after:
        while free and (stretch := engine.next(free[0])) is not None:
            running[free.pop(0)] = stretch
        slot, stretch = running.popitem()
        if _misfortune(engine, stretch) or not train(engine, stretch):
            free.append(slot)
        else:
            running[slot] = Stretch(
                trial=stretch.trial,
                params=stretch.params,
                from_images=stretch.to_images,
                to_images=engine.study.next_rung(stretch.to_images),
            )
        rungs += 1
    return journal


def train(engine: Engine, stretch: Stretch) -> bool:
    """Reports the rung of `stretch`."""
    value = value_at(stretch.params, stretch.to_images, stretch.trial)
    speed = {"resnet18": 420.0, "resnet50": 190.0, "convnext_tiny": 130.0}[stretch.params["backbone"]]
    seconds = (stretch.to_images - stretch.from_images) / speed
    metrics = {
        "auc": value,
        "accuracy": 0.4 + value / 2,
        "tpr_at_fpr": {"0.01": value - 0.5, "0.005": (value - 0.5) * 0.8, "0.001": (value - 0.5) * 0.4},
        "train_loss": 1.2 - value,
        "lr": stretch.params["lr"] * (1 - stretch.to_images / (RUNGS[-1] + 1)),
        "images_per_second": speed,
    }
    return engine.report(stretch.trial, stretch.to_images, value, seconds, metrics)


def _misfortune(engine: Engine, stretch: Stretch) -> bool:
    outcomes = {4: (Outcome.DIVERGED, "the loss was nan"), 7: (Outcome.FAILED, HOSTILE)}
    if stretch.trial in outcomes:
        engine.end(stretch.trial, *outcomes[stretch.trial])
    return stretch.trial in outcomes


AUDIT = Audit(
    source="faces",
    num_images=4000,
    num_looked_at=4000,
    shares={"train": (3000, 2000), "val": (1000, 600)},
    findings=(
        Finding(
            severity="problem",
            kind="duplicate across splits",
            text="4 files stand in two splits. Remove them from one.",
            examples=(f"{HOSTILE} (train) = a.jpg (val)",),
        ),
        Finding(severity="note", kind="near-duplicate", text="pairs of images show the same picture."),
    ),
    cues=(Cue(name="file size", split="val", auc=0.61, low=0.58, high=0.64),),
)
"""What an audit may find."""


def make_run(directory: Path, num_trials: int = 24, *, stop_after: int | None = None, seed: int = 3) -> RunLayout:
    """A run directory as a run leaves it, without TensorBoard, tables and page; unfinished with `stop_after`."""
    layout = RunLayout(directory)
    simulate(num_trials, path=layout.journal, stop_after=stop_after, seed=seed).close()
    # A space of plain names has no limit on the network's parameters; a space file's journal says so here.
    layout.journal.write_text(layout.journal.read_text().replace('"limits":{}', '"limits":{"num_parameters":200000000}', 1))
    with layout.journal.open("a") as stream:
        for name, seconds in (("prepare", 14.0), ("search", 900.0)):
            stream.write(json.dumps({"event": "phase", "name": name, "seconds": seconds, "gpu_seconds": 0.0, "at": 0.0}) + "\n")
    layout.config.write_text(
        "command: python -m hpsearch.run --name <b>demo</b>\ncommit: 0123abc\n"
        "versions: {python: 3.11.7, torch: 2.14.1}\nhardware: {cores: 2, gpus: []}\n"
        "data: {train: {images: 3000, deepfakes: 2000}, val: {images: 1000, deepfakes: 600}}\n"
        "config: {seed: 3, search: {eta: 3.0, objective: auc}}\n"
    )
    if stop_after is None:
        _finish(layout)
    return layout


def _finish(layout: RunLayout) -> None:
    write_audit(layout.audit_json, AUDIT)
    study = fold(read_events(layout.journal))
    best = study.best()
    assert best is not None
    random = np.random.default_rng(5)
    labels_n = (random.random(1000) < 0.6).astype(np.int64)
    probabilities_n = 1 / (1 + np.exp(-(random.normal(size=1000) * 1.6 + 2.1 * (labels_n - 0.45))))
    scores = score(labels_n, probabilities_n)
    names = tuple(f"{index:032x}.jpg" for index in range(1000))
    write_predictions(layout, Predictions(names=names, labels_n=labels_n, probabilities_n=probabilities_n))
    _picture_mistakes(layout, names)
    images = (2_000, 6_000, 12_000, 18_000)
    values = [value_at(best.params, at, 999) for at in images]
    rungs = [
        {
            "images": at,
            "value": v,
            "seconds": 20.0,
            "metrics": {"auc": v, "train_loss": 1.2 - v, "lr": 1e-3 * (1 - at / 18_001)},
        }
        for at, v in zip(images, values, strict=True)
    ]
    result: Result = {
        "status": "done",
        "trials": {outcome.value: count for outcome, count in study.counts().items()},
        "best": {
            "trial": best.number,
            "params": dict(best.params),
            "backbone": str(best.params["backbone"]),
            "num_parameters": PARAMETERS[str(best.params["backbone"])],
        },
        "val": {
            "auc": scores.auc,
            "auc_ci95": list(auc_interval(labels_n, probabilities_n)),
            "accuracy": scores.accuracy,
            "majority_accuracy": scores.majority_accuracy,
            "tpr_at_fpr": scores.tpr_at_fpr,
            "num_images": scores.num_images,
        },
        "retrain": rungs,  # type: ignore[typeddict-item]
        "images_trained": study.images_trained + images[-1],
        "seconds": {**study.phases, "retrain": 80.0, "export": 3.0},
        "gpu_hours": 0.31,
        "files": {"model": "best/model.safetensors", "submission": "submission.csv", "trials": "trials.csv"},
    }
    write_result(layout, cast("Result", {**result, **_finals(best)}))


def _finals(best: TrialState) -> dict[str, Any]:
    """What fresh seeds, degradations and groups said."""
    value = best.values[best.images]
    winner = {"trial": best.number, "first_score": value, "values": [value - 0.012, value - 0.004], "mean": value - 0.008}
    other = {"trial": 0, "first_score": value - 0.01, "values": [value - 0.03], "mean": value - 0.03, "lower": value - 0.04}
    never = {"trial": 1, "first_score": None, "values": [], "mean": None, "lower": None, "dropped": True}
    confirmation = {
        "finalists": [{**winner, "lower": value - 0.014, "dropped": False}, {**other, "dropped": True}, never],
        "winner": best.number,
        "order_changed": False,
        "optimism": 0.008,
        "noise": 0.006,
        "num_trainings": 3,
        "images": 54_000,
    }
    degraded = {"none": 0.83, "jpeg 90": 0.82, "jpeg 50": 0.74, "blur 1": 0.79, "noise 5": 0.8, "resize 0.5": 0.71}
    return {
        "confirmation": confirmation,
        "robustness": {"auc": degraded, "num_images": 1000},
        "groups": {HOSTILE: 0.46, "studio": 0.7, "street": 0.81},
        "calibration": {"temperature": 1.31},
        "prior_shift": {"train": 0.67, "val": 0.6, "template": 0.52},
    }


def _picture_mistakes(layout: RunLayout, names: tuple[str, ...]) -> None:
    """Pictures as a run leaves them; one name is hostile, one network has no heat."""
    layout.mistakes.mkdir()
    random = np.random.default_rng(2)
    rows = ["img_name,target,y_pred,picture,heat"]
    for number in range(14):
        label, shown = int(number >= 8), HOSTILE.replace('"', '""') if number == 3 else names[number]
        probability = abs(label - 0.99 + 0.05 * (number % 8))
        heat = "" if number == 13 else f"{number:02d}-heat.jpg"
        rows.append(f'"{shown}",{label},{probability:.3f},{number:02d}.jpg,{heat}')
        for file, tone in ((f"{number:02d}.jpg", (150, 120, 100)), (heat, (230, 110, 60))):
            if file:
                pixels_hwc = random.normal(tone, 25, (20, 20, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels_hwc).resize((160, 160)).save(layout.mistakes / file, quality=80)
    (layout.mistakes / "index.csv").write_text("\n".join(rows) + "\n")
