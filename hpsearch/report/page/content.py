"""Everything that the page tells, as plain values; the page looks at nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from hpsearch.config import Objective
from hpsearch.judge.audit import Audit
from hpsearch.layout import Result
from hpsearch.report.facts import SearchedParameter, objective_of, searched_parameters
from hpsearch.report.mistakes import Mistake
from hpsearch.report.quantities import Quantity, quantity
from hpsearch.report.result import retrained
from hpsearch.report.summary import StudySummary, gpu_hours, summarise
from hpsearch.report.tables import Predictions
from hpsearch.search.fold import Study
from hpsearch.search.types import TrialState

UNTOLD = "under way, between phases, or of a killed run"
"""What stands in a table of phases for time that belongs to none that ended."""


@dataclass(frozen=True, kw_only=True)
class PageContent:
    """One run."""

    name: str
    """Name of the run directory."""
    study: Study
    """What its journal says."""
    made_at: datetime
    """When the page was made."""
    result: Result | None = None
    """`result.json`; None while there is none."""
    predictions: Predictions | None = None
    """The retrained model's answers on the validation images; None while there are none."""
    mistakes: tuple[Mistake, ...] = ()
    """The worst of them, as pictures."""
    audit: Audit | None = None
    """What the audit before the search found wrong with the images; None: there was none yet."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """`config.yaml`: command, commit, versions, hardware, configuration."""
    importance: Mapping[str, float] = field(default_factory=dict)
    """Parameter → share of all importance, see `search.importance`; empty: too few trials."""
    top_share: float = 0.0
    """Share of the trials that `importance` takes for the best ones."""
    status: str = "running"
    """`done`, `interrupted` or `running`."""
    path: tuple[tuple[int, float], ...] = ()
    """(images trained in the whole study, best value at the top rung by then), in the order of the journal."""

    @cached_property
    def summary(self) -> StudySummary:
        """The study in a few numbers."""
        return summarise(self.study)

    @cached_property
    def objective(self) -> Objective:
        """What rungs compare."""
        return objective_of(self.study)

    @property
    def gpu_hours(self) -> float:
        """Share of a GPU × wall time of all work so far, see `report.summary.gpu_hours`."""
        return gpu_hours(self.study)

    @property
    def seconds(self) -> dict[str, float]:
        """Phase → wall seconds, and what no phase has told of, over all restarts: their sum is the time of all drivers."""
        phases = self.study.phases
        rest = self.study.driven_seconds - sum(phases.values())
        return {**phases, UNTOLD: rest} if rest >= 1 else phases

    @property
    def score(self) -> Quantity:
        """The objective's title and unit."""
        return quantity(self.objective)

    @cached_property
    def searched(self) -> dict[str, SearchedParameter]:
        """Searched parameters by name."""
        return searched_parameters(self.study)

    @cached_property
    def best(self) -> TrialState | None:
        """The trial that was, or would be, retrained."""
        chosen = self.result["best"] if self.result else None
        return self.study.trials.get(chosen["trial"]) if chosen else self.summary.best

    @cached_property
    def retraining(self) -> TrialState | None:
        """The retraining as a trial."""
        return retrained(self.result)

    @property
    def rungs(self) -> tuple[int, ...]:
        """Images at each rung, ascending."""
        return tuple(self.study.rungs)

    def rung_number(self, trial: TrialState) -> int:
        """Rung that `trial` reached, from 1; 0: none."""
        return sum(images in trial.values for images in self.rungs)
