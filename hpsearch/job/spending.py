"""What a run has used of its budgets, over restarts, and when the search must leave the rest to the retraining."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsearch.config import BudgetConfig
from hpsearch.errors import ClusterError, InputError
from hpsearch.report.moment import BudgetUse
from hpsearch.report.summary import gpu_hours
from hpsearch.yaml_text import YamlMistakeError, read_plain

if TYPE_CHECKING:
    from hpsearch.layout import RunLayout
    from hpsearch.search.fold import Study
    from hpsearch.search.types import TrialState

FINISHING_SECONDS = 25.0
"""Export, prediction of a small template and report, seen on two cores."""
SMALL_TEMPLATE = 1_000
"""Images of a template that take no longer than that."""
RETRAIN_MARGIN = 1.2
"""Retraining evaluates oftener than the trial did whose speed is taken."""
FORWARD_SPEEDUP = 2.0
"""Scoring an image is a forward pass, a third of the work of training on it, but the final model scores in fp32."""


def budget_use(study: Study, budget: BudgetConfig, seconds: float | None = None) -> BudgetUse:
    """What `study` has used; `seconds` of wall time where the caller knows better than the journal's last event."""
    return BudgetUse(
        seconds=study.driven_seconds if seconds is None else seconds,
        max_seconds=None if budget.minutes is None else budget.minutes * 60,
        gpu_hours=gpu_hours(study),
        max_gpu_hours=budget.gpu_hours,
        max_trials=budget.trials,
    )


def check_gpu_hours(budget: BudgetConfig, gpus: float, say: Callable[[str], None]) -> None:
    """Before anything trains: GPU hours limit nothing where trials get no GPU, as `say` is told.

    Raises:
        ClusterError: they are the only limit.
    """
    if budget.gpu_hours is None or gpus:
        return
    if budget.minutes is None and budget.trials is None:
        raise ClusterError(
            f"--gpu-hours {budget.gpu_hours:g} is the only limit, and trials get no GPU here, so the search would never end. "
            "Give --minutes or --trials; where nodes have GPUs, `ray status` shows whether Ray knows of them."
        )
    say(f"--gpu-hours {budget.gpu_hours:g} limits nothing: trials get no GPU here")


def read_budget(layout: RunLayout) -> BudgetConfig:
    """The budget in a run's `config.yaml`; no limits where it has none yet.

    Raises:
        InputError: the file is broken.
    """
    if not layout.config.is_file():
        return BudgetConfig()
    try:
        return BudgetConfig(**read_plain(layout.config.read_text(encoding="utf-8"))["config"]["budget"])
    except (OSError, UnicodeDecodeError, YamlMistakeError, KeyError, TypeError) as error:
        raise InputError(f"{layout.config}: holds no budget ({error}). Start the run again to write it anew.") from error


def trainings_by_images(reserve_fraction: float, search_images: int, images_per_training: int) -> int:
    """Fresh trainings that make up `reserve_fraction` of all images, the search having seen `search_images`."""
    return int(reserve_fraction / (1 - reserve_fraction) * search_images / images_per_training)


@dataclass(slots=True)
class Spending:
    """The clock of one run of a study."""

    budget: BudgetConfig
    """What may be used."""
    reserve_fraction: float
    """Share of it that is left to finalists and retraining, as far as they can use it."""
    images_to_retrain: int
    """Images of the retraining."""
    gpus: float
    """GPU share of the retraining."""
    speedup: float
    """Speed of the retraining over that of a trial, which may have a share of the machine only."""
    earlier_seconds: float
    """Wall seconds of earlier runs of this study."""
    began: float
    """When this command began, on `clock`."""
    max_trainings: int
    """Fresh trainings that the finals could use at most."""
    slots: int
    """Of them at a time."""
    images_to_judge: int = 0
    """Images that the winner sees when it is judged and answers a large template, views counted."""
    clock: Callable[[], float] = time.monotonic

    @property
    def seconds(self) -> float:
        """Wall seconds of this study so far."""
        return self.earlier_seconds + self.clock() - self.began

    def retrain_seconds(self, best: TrialState | None) -> float:
        """How long the retraining will take, from the speed of the best trial so far; 0 where that is not known."""
        speed = best.metrics[best.images].get("images_per_second") if best is not None else None
        return RETRAIN_MARGIN * self.images_to_retrain / (speed * self.speedup) if speed else 0.0

    def num_trainings(self, study: Study) -> int:
        """Fresh trainings that the reserve allows; the first one is done even where it is 0.

        With a limit in time the reserve is that share of it, whatever the search has left over; without any limit it is
        that share of what search and trainings see together.
        """
        best = study.best()
        seconds_each = self._training_seconds(best)
        counts = []
        if self.budget.minutes is not None and seconds_each:
            reserve = self.reserve_fraction * self.budget.minutes * 60
            left = min(reserve, self.budget.minutes * 60 - self.seconds) - self._finishing_seconds(best)
            counts.append(self.slots * int(max(0.0, left) / seconds_each))
        if self.budget.gpu_hours is not None and self.gpus and seconds_each:
            reserve_hours = self.reserve_fraction * self.budget.gpu_hours
            left_hours = min(reserve_hours, self.budget.gpu_hours - gpu_hours(study))
            counts.append(int(max(0.0, left_hours) * 3600 / (seconds_each * self.gpus)))
        return min(counts, default=trainings_by_images(self.reserve_fraction, study.images_trained, self.images_to_retrain))

    def may_start(self, study: Study, num_running: int) -> bool:
        """Whether one more training, with a trial's resources, ends within the limits; `num_running` are under way."""
        best = study.best()
        seconds = self._training_seconds(best)
        in_time = (
            self.budget.minutes is None or self.seconds + seconds + self._finishing_seconds(best) <= self.budget.minutes * 60
        )
        hours = gpu_hours(study) + (num_running + 1) * seconds * self.gpus / 3600
        return in_time and (self.budget.gpu_hours is None or hours <= self.budget.gpu_hours)

    def is_spent(self, study: Study) -> bool:
        """Whether the search has to end, so that confirming and retraining fit into what is left."""
        best = study.best()
        if self.budget.minutes is not None and self.seconds >= self.budget.minutes * 60 - self._reserve_seconds(best):
            return True
        if self.budget.gpu_hours is not None:
            each_hours = self._training_seconds(best) * self.gpus / 3600
            wanted = self.reserve_fraction * self.budget.gpu_hours
            # Those in flight still spend less than a training each.
            usable = min(wanted, (self.max_trainings + self.slots) * each_hours) if each_hours else wanted
            reserve = max(usable, self.retrain_seconds(best) * self.gpus / 3600)
            return gpu_hours(study) >= self.budget.gpu_hours - reserve
        return False

    def is_late(self, study: Study) -> bool:
        """Whether pieces in training must stop too: half the reserve is over."""
        if self.budget.minutes is None:
            return False
        return self.seconds >= self.budget.minutes * 60 - self._reserve_seconds(study.best()) / 2

    def _training_seconds(self, best: TrialState | None) -> float:
        """Of one fresh training with a trial's resources."""
        return self.retrain_seconds(best) * self.speedup

    def _finishing_seconds(self, best: TrialState | None) -> float:
        """Judging, export, prediction and report."""
        speed = best.metrics[best.images].get("images_per_second") if best is not None else None
        return FINISHING_SECONDS + (self.images_to_judge / (FORWARD_SPEEDUP * speed * self.speedup) if speed else 0.0)

    def _reserve_seconds(self, best: TrialState | None) -> float:
        """What the search leaves: the share that was asked for, but no more than all trainings of the finals could use."""
        assert self.budget.minutes is not None
        wanted = self.reserve_fraction * self.budget.minutes * 60
        each = self._training_seconds(best)
        if not each:
            return wanted
        rounds = 1 + math.ceil(self.max_trainings / self.slots)  # one for the pieces in flight, which are shorter
        finishing = self._finishing_seconds(best)
        return max(min(wanted, rounds * each + finishing), self.retrain_seconds(best) + finishing)
