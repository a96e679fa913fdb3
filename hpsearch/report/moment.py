"""A run at one moment, as the live display and `status` show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hpsearch.config import Objective, ParamValue
from hpsearch.report.facts import objective_of, searched_parameters
from hpsearch.report.summary import StudySummary, summarise
from hpsearch.search.fold import Study
from hpsearch.train.gpu_use import GpuUse


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialProgress:
    """How far a running trial is."""

    images: int
    """Images seen."""
    to_images: int
    """Images at which its next rung is."""
    images_per_second: float | None = None
    """Its present speed; None: not known yet."""
    step_fraction: float | None = None
    """Share of its time that is not spent on waiting for images; None: not known."""
    gpu: GpuUse | None = None
    """What its GPU says of itself; None: not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BudgetUse:
    """What a run has used of what it may use; None: no limit. Cumulative over restarts."""

    seconds: float
    """Wall seconds of the whole command."""
    max_seconds: float | None = None
    """Wall seconds that the command may take."""
    gpu_hours: float = 0.0
    """GPU share × wall time."""
    max_gpu_hours: float | None = None
    """GPU hours that the command may use."""
    max_trials: int | None = None
    """Trials that may be started."""

    @property
    def seconds_left(self) -> float | None:
        """Wall seconds to go; None: no limit."""
        return None if self.max_seconds is None else max(0.0, self.max_seconds - self.seconds)

    @property
    def is_used_up(self) -> bool:
        """Whether a limit in time is reached."""
        return self.seconds_left == 0 or (self.max_gpu_hours is not None and self.gpu_hours >= self.max_gpu_hours)


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """Everything that one refresh shows; nothing in it changes afterwards."""

    summary: StudySummary
    """The study."""
    objective: Objective
    """What rungs compare."""
    budget: BudgetUse
    """What is used and left."""
    best_params: Mapping[str, ParamValue] = field(default_factory=dict)
    """Searched parameters of the best trial."""
    running: Mapping[int, TrialProgress] = field(default_factory=dict)
    """Running trials by number."""
    last_at: float = 0.0
    """Unix seconds of the journal's last event; 0: not known."""

    @property
    def images_per_second(self) -> float | None:
        """Speed of all running trials together; None: none is known yet."""
        known = [progress.images_per_second for progress in self.running.values() if progress.images_per_second]
        return sum(known) if known else None

    @property
    def step_images_per_second(self) -> float | None:
        """What the running trials would reach together if none had to wait for images; None: not known of all of them."""
        speeds = [(trial.images_per_second, trial.step_fraction) for trial in self.running.values()]
        known = [speed / fraction for speed, fraction in speeds if speed and fraction]
        return sum(known) if known and len(known) == len(speeds) else None

    @property
    def seconds_to_last_trial(self) -> float | None:
        """Seconds until all trials that may start have begun, at the pace so far; None: no such limit, or too early to say."""
        most, begun = self.budget.max_trials, self.summary.num_trials
        tried = begun - self.summary.counts.get("running", 0)
        if most is None or not self.running or tried < 1 or begun >= most:
            return None
        return self.budget.seconds / tried * (most - begun)

    @property
    def gpus(self) -> list[GpuUse]:
        """The GPUs of the running trials, each once."""
        return list({trial.gpu.uuid: trial.gpu for trial in self.running.values() if trial.gpu is not None}.values())


def moment_of(study: Study, *, budget: BudgetUse, running: Mapping[int, TrialProgress] | None = None) -> Moment:
    """`study` as it stands now."""
    summary = summarise(study)
    params = summary.best.params if summary.best else {}
    return Moment(
        summary=summary,
        objective=objective_of(study),
        budget=budget,
        best_params={name: params[name] for name in searched_parameters(study) if name in params},
        running=dict(running or {}),
        last_at=study.last_at,
    )
