"""What a run would do, for `--plan`: trials by rung, time, GPU hours, disk and memory, from a probe of this machine."""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from hpsearch.data.processes import num_cores
from hpsearch.errors import InfeasibleError
from hpsearch.final.finalists import num_finalists
from hpsearch.job.inputs import cache_directory
from hpsearch.job.spending import FINISHING_SECONDS, RETRAIN_MARGIN, trainings_by_images
from hpsearch.report import wording

if TYPE_CHECKING:
    from hpsearch.config import Params
    from hpsearch.job.inputs import Inputs

BYTES_OF_A_PARAMETER = 16
"""In a checkpoint: the weight, its average, and two moments of Adam, in fp32."""
MAX_PROBE_SECONDS = 60.0
"""Backbones that are not measured by then are named."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BackboneCost:
    """What one backbone costs on this machine."""

    backbone: str
    """Its name."""
    num_parameters: int
    """Its size, without SE."""
    images_per_second: float
    """Training with the threads of one trial; 0: not measured."""
    peak_bytes: int
    """GPU memory of one trial; on a CPU what the process has taken so far, see `Probe`."""


def trials_by_rung(num_trials: int, num_rungs: int, eta: float) -> list[int]:
    """Trials that reach each rung if `num_trials` are started and ⌊n/η⌋ of n promoted."""
    counts = [num_trials]
    for _ in range(num_rungs - 1):
        counts.append(int(counts[-1] / eta + 1e-9))
    return counts


def study_images(num_trials: int, rungs: tuple[int, ...], eta: float) -> int:
    """Images that such a study trains on, without the retraining."""
    pieces = [high - low for low, high in pairwise((0, *rungs))]
    return sum(count * piece for count, piece in zip(trials_by_rung(num_trials, len(rungs), eta), pieces, strict=True))


def num_trials_in(images: float, rungs: tuple[int, ...], eta: float) -> int:
    """The most trials whose study needs no more than `images`."""
    most = 0
    while study_images(most + 1, rungs, eta) <= images:
        most += 1
    return most


@dataclass(frozen=True, kw_only=True, slots=True)
class DataPlan:
    """What the images come to."""

    source: str
    """Where they are."""
    num_train: int
    """Images to train on."""
    num_val: int
    """Images to validate on."""
    num_template: int
    """Images to predict; 0 without a template."""
    stored_px: tuple[int, ...]
    """Sides at which images are stored, ascending."""
    cache_bytes: int
    """Disk of the decoded images."""
    cache_dir: str
    """Where these lie."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyPlan:
    """What the budget is enough for."""

    num_trials: int
    """Trials to start."""
    num_slots: int
    """Trials that run at the same time."""
    rungs: tuple[int, ...]
    """Images at each rung."""
    trials_by_rung: tuple[int, ...]
    """Trials that reach each rung."""
    num_trainings: int
    """Fresh trainings at most after the search; 0: one, of the best trial."""
    num_finalists: int
    """Trials that these train again."""
    search_seconds: float
    """Wall time of the search."""
    retrain_seconds: float
    """Wall time of the fresh trainings."""
    gpu_hours: float
    """Of both; 0 without a GPU."""
    images_per_second: float
    """Of one trial, each backbone seeing as many images."""
    checkpoint_bytes: int
    """Largest checkpoint."""
    network_bytes: int
    """Largest network of the exported model."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a run would do."""

    notes: tuple[str, ...]
    """What a user should know of data set and space."""
    data: DataPlan
    """The images."""
    gpus_per_trial: float
    """GPUs of one trial; 0 on a CPU."""
    backbones: tuple[BackboneCost, ...]
    """What each costs."""
    study: StudyPlan | None
    """Trials and time; None where no backbone could be measured."""

    @property
    def text(self) -> str:
        """The plan for people, in several lines."""
        parts = (_data_lines(self), _cost_lines(self.backbones, self.gpus_per_trial), _study_lines(self))
        return "\n\n".join("\n".join(lines) for lines in parts)


def plan(inputs: Inputs, say: Callable[[str], None]) -> Plan:
    """What would happen; `say` is told what is being measured."""
    import torch

    has_gpu = torch.cuda.is_available()
    config = inputs.config
    asked = config.resources.gpus_per_trial
    gpus = float(has_gpu) if asked is None or isinstance(asked, str) else asked
    num_slots = max(1, int(torch.cuda.device_count() / gpus) if gpus else num_cores())
    num_slots = min(num_slots, config.resources.max_slots or num_slots)
    costs = backbone_costs(inputs, "cuda" if gpus else "cpu", say)
    return Plan(
        notes=inputs.notes,
        data=_data_plan(inputs),
        gpus_per_trial=gpus,
        backbones=tuple(costs),
        study=_study_plan(inputs, costs, num_slots, gpus),
    )


def backbone_costs(inputs: Inputs, device: str, say: Callable[[str], None]) -> list[BackboneCost]:
    """Size, speed and memory of each backbone of the space, measured with one trial's threads."""
    import torch

    from hpsearch.train.vocabulary import TrainVocabulary

    began = time.monotonic()
    if device == "cpu":
        torch.set_num_threads(int(inputs.config.resources.cpus_per_trial or 1))
    costs = []
    for backbone in map(str, inputs.space.values_of("backbone")):
        params: Params = {**typical_params(inputs), "backbone": backbone}
        params["se_reduction"] = "none"
        num_parameters = TrainVocabulary().num_parameters(params)
        is_late = time.monotonic() - began > MAX_PROBE_SECONDS
        speed, peak = (0.0, 0) if is_late else _measured(inputs, params, device, say)
        costs.append(BackboneCost(backbone=backbone, num_parameters=num_parameters, images_per_second=speed, peak_bytes=peak))
    return costs


def typical_params(inputs: Inputs) -> Params:
    """A start point without what depends on its backbone, or the fixed parameters alone."""
    start = inputs.space.start[0] if inputs.space.start else {}
    params = {**inputs.space.fixed, **start}
    params.setdefault("image_px", min(inputs.stored_px_by_size()))
    return params


def _measured(inputs: Inputs, params: Params, device: str, say: Callable[[str], None]) -> tuple[float, int]:
    from hpsearch.train.probe import probe
    from hpsearch.train.settings import settings_from

    say(f"measuring {params['backbone']}")
    settings = dataclasses.replace(settings_from(params), weights="none")
    try:
        found = probe(settings, inputs.stored_px(params), device=device, precision=inputs.config.train.precision)
    except InfeasibleError as error:
        say(f"{params['backbone']}: {error}")
        return 0.0, 0
    return found.images_per_second, found.peak_bytes


def _data_plan(inputs: Inputs) -> DataPlan:
    from hpsearch.data.cache_files import estimated_bytes

    dataset = inputs.dataset
    stored = tuple(sorted(set(inputs.stored_px_by_size().values())))
    return DataPlan(
        source=dataset.source,
        num_train=len(dataset.train),
        num_val=len(dataset.val),
        num_template=len(dataset.template) if dataset.template else 0,
        stored_px=stored,
        cache_bytes=sum(estimated_bytes(len(dataset.train) + len(dataset.val), px) for px in stored),
        cache_dir=str(cache_directory(inputs.config.data)),
    )


def _data_lines(plan: Plan) -> list[str]:
    data = plan.data
    template = f", {data.num_template:,} to predict" if data.num_template else ""
    place = f"({', '.join(map(str, data.stored_px))} px) in {data.cache_dir}"
    return [
        *plan.notes,
        f"data    {data.source}: {data.num_train:,} to train, {data.num_val:,} to validate{template}",
        f"disk    {wording.size(data.cache_bytes)} of decoded images {place}",
    ]


def _cost_lines(costs: Sequence[BackboneCost], gpus: float) -> list[str]:
    lines = [f"{'backbone':<36} {'parameters':>12} {'images/s':>10}" + (f" {'GPU memory':>12}" if gpus else "")]
    for cost in costs:
        measured = (f"{cost.images_per_second:,.0f}", wording.size(cost.peak_bytes)) if cost.images_per_second else ("–", "–")
        line = f"{cost.backbone:<36} {cost.num_parameters / 1e6:>10.1f} M {measured[0]:>10}"
        lines.append(f"{line} {measured[1]:>12}" if gpus else line)
    if not gpus and (most := max(cost.peak_bytes for cost in costs)):
        lines.append(f"memory  {wording.size(most)} at most in this process, which trained these one after the other")
    if not all(cost.images_per_second for cost in costs):
        lines.append("– not measured within a minute; left out of the times below")
    return lines


def _study_plan(inputs: Inputs, costs: Sequence[BackboneCost], num_slots: int, gpus: float) -> StudyPlan | None:
    speeds = [cost.images_per_second for cost in costs if cost.images_per_second]
    if not speeds:
        return None
    speed = statistics.harmonic_mean(speeds)  # each backbone as many images
    rungs, eta = inputs.rungs, inputs.config.search.eta
    num_trials = _num_trials(inputs, speed, num_slots, gpus, rungs[-1] / speed)
    counts = trials_by_rung(num_trials, len(rungs), eta)
    search = study_images(num_trials, rungs, eta) / speed / num_slots
    trainings = _num_trainings(inputs, speed, num_slots, gpus, study_images(num_trials, rungs, eta))
    largest = max(cost.num_parameters for cost in costs)
    return StudyPlan(
        num_trials=num_trials,
        num_slots=num_slots,
        rungs=rungs,
        trials_by_rung=tuple(counts),
        num_trainings=trainings,
        num_finalists=num_finalists(trainings, max(1, counts[-1]), inputs.config.final.finalists),
        search_seconds=search,
        retrain_seconds=max(1, math.ceil(trainings / num_slots)) * rungs[-1] / speed,
        gpu_hours=(search * num_slots + max(1, trainings) * rungs[-1] / speed) * gpus / 3600,
        images_per_second=speed,
        checkpoint_bytes=largest * BYTES_OF_A_PARAMETER,
        network_bytes=largest * 4,
    )


def _study_lines(plan: Plan) -> list[str]:
    study = plan.study
    if study is None:
        return ["No backbone could be measured here, so there is no estimate of time."]
    gpu_hours = f", {study.gpu_hours:.2f} GPU hours" if plan.gpus_per_trial else ""
    reached = ", ".join(
        f"{count} see {images:,} images" for images, count in zip(study.rungs, study.trials_by_rung, strict=True)
    )
    fresh = "one fresh training" if study.num_trainings <= 1 else f"up to {study.num_trainings} fresh trainings"
    again = "the best trial" if study.num_finalists == 1 else f"the {study.num_finalists} best trials"
    searching, retraining = wording.duration(study.search_seconds), wording.duration(study.retrain_seconds)
    return [
        f"search  about {study.num_trials} trials, {study.num_slots} at a time: {reached}",
        f"finals  {fresh} of {again}",
        f"time    about {searching} to search and {retraining} to retrain{gpu_hours};",
        f"        at {study.images_per_second:,.0f} images/s a trial, evaluation and start-up not counted",
        f"disk    up to {wording.size(study.checkpoint_bytes)} a checkpoint, "
        f"{wording.size(study.network_bytes)} for each network of the exported model",
    ]


def _num_trials(inputs: Inputs, speed: float, num_slots: int, gpus: float, retrain_seconds: float) -> int:
    """How many trials the budgets allow, see `Spending.is_spent`."""
    budget, final = inputs.config.budget, inputs.config.final
    most, each = final.finalists * final.repeats, RETRAIN_MARGIN * inputs.rungs[-1] / speed
    limits = []
    if budget.minutes is not None:
        rounds = 1 + math.ceil(most / num_slots)
        finals = min(final.reserve_fraction * budget.minutes * 60, rounds * each + FINISHING_SECONDS)
        limits.append(budget.minutes * 60 - max(finals, retrain_seconds))
    if budget.gpu_hours is not None and gpus:
        finals = min(final.reserve_fraction * budget.gpu_hours, (most + num_slots) * each * gpus / 3600)
        hours = budget.gpu_hours - max(finals, retrain_seconds * gpus / 3600)
        limits.append(hours * 3600 / gpus / num_slots)
    by_time = num_trials_in(min(limits) * speed * num_slots, inputs.rungs, inputs.config.search.eta) if limits else None
    counts = [count for count in (by_time, budget.trials) if count is not None]
    return min(counts, default=0)


def _num_trainings(inputs: Inputs, speed: float, num_slots: int, gpus: float, search_images: int) -> int:
    """Fresh trainings of finalists that the reserve allows, see `Spending.num_trainings`; at most what is asked for."""
    budget, final = inputs.config.budget, inputs.config.final
    seconds_each = RETRAIN_MARGIN * inputs.rungs[-1] / speed
    limits = []
    if budget.minutes is not None:
        reserve = final.reserve_fraction * budget.minutes * 60 - FINISHING_SECONDS
        limits.append(num_slots * int(max(0.0, reserve) / seconds_each))
    if budget.gpu_hours is not None and gpus:
        limits.append(int(final.reserve_fraction * budget.gpu_hours * 3600 / (seconds_each * gpus)))
    allowed = min(limits, default=trainings_by_images(final.reserve_fraction, search_images, inputs.rungs[-1]))
    return min(allowed, final.finalists * final.repeats)
