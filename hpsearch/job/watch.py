"""Tells people what a search does: display, TensorBoard, `trials.csv` and page, from the executor's events."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hpsearch.errors import HpsearchError
from hpsearch.job.spending import budget_use
from hpsearch.report.facts import objective_of
from hpsearch.report.moment import TrialProgress
from hpsearch.report.rebuild import write_page_of
from hpsearch.report.tables import write_trials
from hpsearch.search.types import Outcome

if TYPE_CHECKING:
    from hpsearch.execute.checkpoints import CheckpointKeeper
    from hpsearch.execute.session import SearchEvent
    from hpsearch.job.spending import Spending
    from hpsearch.layout import RunLayout
    from hpsearch.report.display import Display
    from hpsearch.report.tensorboard import TensorBoardWriter
    from hpsearch.search.engine import Engine
    from hpsearch.search.fold import BestStep
    from hpsearch.search.study_log import StudyLog
    from hpsearch.search.types import TrialState

log = logging.getLogger(__name__)

SECONDS_BETWEEN_TABLES = 10.0
"""`trials.csv` of 2,000 trials takes 0.1 s to write."""
SECONDS_BETWEEN_PAGES = 60.0
PAGE_FRACTION = 0.02
"""Most of the driver's time that pages may take: one of 1,000 trials needs 1.5 s, one of 200 needs 0.3 s."""


@dataclass(slots=True)
class Watch:
    """Takes the executor's events, in the driver's process."""

    layout: RunLayout
    """Where tables and event files go."""
    engine: Engine
    """Whose study is watched."""
    display: Display
    """What people see."""
    tensorboard: TensorBoardWriter
    """What TensorBoard reads."""
    study_log: StudyLog
    """What optuna-dashboard reads."""
    checkpoints: CheckpointKeeper
    """Deletes what nothing can resume any more."""
    spending: Spending
    """The clock and the limits."""
    show_best: Callable[[TrialState], None]
    """Shows a trial that has become the best so far."""
    running: dict[int, TrialProgress] = field(default_factory=dict)
    """Trials that slots work on."""
    announced: BestStep | None = field(init=False)
    """The best so far that people know of."""
    tables_at: float = float("-inf")
    """When the tables were last written."""
    page_due_at: float = float("-inf")
    """When the page is to be written again."""

    def __post_init__(self) -> None:
        """Takes for known what earlier runs have found."""
        self.announced = self._best()

    def __call__(self, event: SearchEvent) -> None:
        """Shows and keeps one event."""
        if event.kind != "progress":
            facts = {name: getattr(event, name) for name in ("trial", "slot", "images", "value", "outcome", "message")}
            self.display.tell(event.kind, **facts, going_on=event.going_on)
        trial = self.engine.study.trials[event.trial]
        if event.kind in ("started", "progress") or event.going_on:
            self.running[event.trial] = _progress_of(trial, event)
        else:
            self.running.pop(event.trial, None)
        if event.kind == "rung":
            self._view(lambda: self.tensorboard.rung(trial))
        if event.kind in ("rung", "ended"):
            self._announce_best()
            self.checkpoints.sweep(event.trial)
            if not event.going_on:
                self._view(lambda: self.tensorboard.ended(trial))
        if event.kind == "ended" and event.outcome is not None:
            self.display.event(f"trial {event.trial} {_WORDS[event.outcome]}: {event.message}")
        if event.kind == "lost":
            self.display.event(f"trial {event.trial} lost its worker, its stretch is done again: {event.message}")
        self.refresh()

    def refresh(self) -> None:
        """Shows the study as it stands, and writes its table from time to time."""
        use = budget_use(self.engine.study, self.spending.budget, self.spending.seconds)
        self.display.update(self.engine.study, running=self.running, budget=use)
        if time.monotonic() - self.tables_at >= SECONDS_BETWEEN_TABLES:
            self._write_tables()
        if time.monotonic() >= self.page_due_at:
            self._write_page()

    def finish(self, *, interrupted: bool) -> None:
        """Brings tables and views up to date once the search has ended, or was interrupted."""
        self.running.clear()
        self._write_tables()
        if not interrupted:
            self._view(lambda: self.tensorboard.finished(self.engine.study))
        self.study_log.finish(self.engine.study)

    def _write_tables(self) -> None:
        self.tables_at = time.monotonic()
        self._view(lambda: write_trials(self.layout, self.engine.study))
        self._view(lambda: self.study_log.update(self.engine.study))

    def _write_page(self) -> None:
        began = time.monotonic()
        self._view(lambda: write_page_of(self.layout, "running"))
        now = time.monotonic()
        self.page_due_at = now + max(SECONDS_BETWEEN_PAGES, (now - began) / PAGE_FRACTION)

    def _view(self, write: Callable[[], None]) -> None:
        """Writes what follows from the journal; a disk that is full or gone ends no search here, the journal waits for it."""
        try:
            if self.layout.trials.is_dir():  # nothing is made in the place of a disk that is gone
                write()
        except (HpsearchError, OSError) as error:
            log.warning("%s", error)

    def _best(self) -> BestStep | None:
        steps = self.engine.study.best_so_far
        return steps[-1] if steps else None

    def _announce_best(self) -> None:
        best = self._best()
        if best is not None and best != self.announced:
            self.announced = best
            objective = objective_of(self.engine.study)
            self.display.event(f"trial {best.trial}: best {objective} so far {best.value:.4f} at {best.images:,} images")
            self._view(lambda: self.show_best(self.engine.study.trials[best.trial]))


def _progress_of(trial: TrialState, event: SearchEvent) -> TrialProgress:
    now, before = event.progress, trial.metrics.get(trial.images, {}).get("images_per_second")
    progress = TrialProgress(images=event.images, to_images=trial.target_images, images_per_second=before)
    if now is None or not now.images_per_second:
        return progress
    return replace(progress, images_per_second=now.images_per_second, step_fraction=now.step_fraction, gpu=now.gpu)


_WORDS = {
    Outcome.DIVERGED: "diverged",
    Outcome.INFEASIBLE: "is infeasible",
    Outcome.FAILED: "failed",
    Outcome.COMPLETED: "completed",
    Outcome.PAUSED: "paused",
}
