"""Judges the winner's export as it will be used: which views, and how good it is on validation images and on the holdout.

Runs on a worker; no Ray here.

Legend: n images of a set.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.data.dataset import DEEPFAKE, REAL
from hpsearch.data.string_column import StringColumn
from hpsearch.final.scorer import Scorer
from hpsearch.judge.objectives import auc
from hpsearch.judge.robustness import DEGRADATIONS
from hpsearch.judge.views import ALL_VIEWS, SINGLE_VIEWS, WHOLE, Views, averaged, chosen_views
from hpsearch.model.ensemble import members_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.config import Objective, TestViews
    from hpsearch.data.dataset import Dataset
    from hpsearch.data.training_data import LabelledImages
    from hpsearch.train.worker_setup import WorkerSetup

MAX_IMAGES = {"cpu": 1_000, "cuda": 5_000}
"""Validation images, drawn at random, that views are chosen on, and that one network sees of each degradation (an ensemble's
networks share them); the scores are those of all images."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AssessJob:
    """All that a worker needs to judge one export."""

    setup: WorkerSetup
    """What the worker needs for any work."""
    dataset: Dataset
    """Labelled images."""
    export: str
    """Directory of the export."""
    views: TestViews
    """Views to use; `auto`: chosen on validation images."""
    objective: Objective = "auc"
    """What they are chosen by."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Assessment:
    """What came of it."""

    views: Views
    """Views that the model is used with."""
    labels_n: NDArray[np.int64]
    """Label of each readable validation image."""
    val_n: NDArray[np.float64]
    """P(deepfake) of each readable validation image, in their order, with these views."""
    holdout_n: NDArray[np.float64] | None
    """P(deepfake) of each readable image of the holdout; None: there is none."""
    robustness: dict[str, float]
    """AUC by degradation, `none` first, of one view."""
    num_degraded: int
    """Images of the robustness table."""


def assess(job: AssessJob) -> Generator[dict[str, int], None, Assessment]:
    """Scores the export with all its figures.

    Yields:
        `done` and `total` steps.
    """
    device = job.setup.begin()
    job.setup.files.fetch_below(Path(job.export))
    scorer = Scorer.load(Path(job.export), plugins=job.setup.plugins, device=device)
    data = job.setup.training_data(job.dataset, scorer.description.stored_px)
    num_members = len(members_of(scorer.model))
    most = MAX_IMAGES[scorer.device.partition(":")[0]]
    total = len(DEGRADATIONS) + 3
    yield {"done": 0, "total": total}
    tried, answers = drawn(data.val, most), {}
    if job.views == "auto":
        answers = {name: scorer.score_set(tried, views=(name,)) for name in views_tried(num_members)}
    views = job.views if job.views != "auto" else chosen_views(tried.labels_n, answers, job.objective, tried.parts)
    names = SINGLE_VIEWS[views]
    yield {"done": 1, "total": total}
    val_n = averaged(answers, views) if answers and tried is data.val else scorer.score_set(data.val, views=names)
    few = drawn(data.val, most // num_members)
    holdout_n = None if data.holdout is None else scorer.score_set(data.holdout, views=names)
    yield {"done": 2, "total": total}
    robustness = {"none": auc(few.labels_n, scorer.score_set(few, views=(WHOLE,)))}
    for name, degradation in DEGRADATIONS.items():
        yield {"done": 2 + len(robustness), "total": total}
        answers_n = scorer.score_set(few, views=(WHOLE,), degradation=degradation)
        robustness[name] = auc(few.labels_n, answers_n)
    return Assessment(
        views=views,
        labels_n=data.val.labels_n,
        val_n=val_n,
        holdout_n=holdout_n,
        robustness=robustness,
        num_degraded=len(few),
    )


def views_tried(num_members: int) -> tuple[str, ...]:
    """Single views that a choice is made from: all of them, but of an ensemble, whose networks cost as much, two."""
    return ALL_VIEWS if num_members == 1 else SINGLE_VIEWS["flip"]


def num_judged(num_val: int, num_holdout: int, num_answered: int, device: str, num_members: int, views: TestViews) -> int:
    """Images that the networks of a model of up to `num_members` see at most, views and degradations counted.

    They see those of validation and holdout in `assess`, and `num_answered` of a template afterwards.
    """
    few = min(num_val, MAX_IMAGES[device])
    again = num_val if num_val > few else 0
    passes = max(count * len(views_tried(count) if views == "auto" else SINGLE_VIEWS[views]) for count in (1, num_members))
    return passes * (few + again + num_holdout + num_answered) + (1 + len(DEGRADATIONS)) * few


def drawn(images: LabelledImages, most: int) -> LabelledImages:
    """About `most` of `images` at most, drawn at random, always the same; of each class its share, one at least."""
    if len(images) <= most:
        return images
    random, rows = np.random.default_rng(0), []
    for label in (REAL, DEEPFAKE):
        of_class = random.permutation(np.flatnonzero(images.labels_n == label))
        rows.append(of_class[: max(1, round(most * len(of_class) / len(images)))])
    chosen = np.sort(np.concatenate(rows))
    parts = None if images.parts is None else StringColumn.of(images.parts).take(chosen)
    return dataclasses.replace(images, labels_n=images.labels_n[chosen], indices_n=images.indices_n[chosen], parts=parts)
