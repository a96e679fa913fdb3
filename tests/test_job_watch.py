"""What people and TensorBoard hear of a search's events."""

import contextlib
import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from hpsearch.config import BudgetConfig
from hpsearch.execute.checkpoints import CheckpointKeeper
from hpsearch.execute.session import EventKind, SearchEvent
from hpsearch.job.spending import Spending
from hpsearch.job.watch import SECONDS_BETWEEN_PAGES, Watch
from hpsearch.layout import RunLayout
from hpsearch.report.display import Display
from hpsearch.report.tensorboard import TensorBoardWriter
from hpsearch.search.engine import Engine
from hpsearch.search.journal import Journal
from hpsearch.search.space import Space
from hpsearch.search.study_log import StudyLog
from hpsearch.search.types import EngineConfig, Outcome

SPACE = Space.from_dict({"x": {"low": 0.0, "high": 1.0}})


EARLIER_RESULT = {
    "status": "interrupted",
    "trials": {},
    "best": None,
    "val": None,
    "images_trained": 0,
    "seconds": {},
    "gpu_hours": 0.0,
    "files": {},
}


class Searched:
    """A study that is told of by hand, and what its watch said of it."""

    def __init__(self, layout: RunLayout, journal: Journal) -> None:
        self.engine = Engine.open(SPACE, EngineConfig(rungs=(100, 300), sampler="random"), journal)
        self.said = io.StringIO()
        self.pictured: list[int] = []
        layout.trials.mkdir(exist_ok=True)
        self.watch = Watch(
            layout=layout,
            engine=self.engine,
            display=Display("plain", console=Console(file=self.said, width=200)),
            tensorboard=TensorBoardWriter(layout, self.engine.study),
            study_log=StudyLog(layout.study_log, SPACE, "demo"),
            checkpoints=CheckpointKeeper(layout, self.engine.study),
            spending=_spending(),
            show_best=lambda trial: self.pictured.append(trial.number),
        )

    def report(self, value: float) -> None:
        """A slot takes the next stretch, which comes to `value`."""
        stretch = self.engine.next(0)
        assert stretch is not None
        self._tell("started", stretch.trial, stretch.from_images)
        going_on = self.engine.report(stretch.trial, stretch.to_images, value, seconds=1.0)
        self._tell("rung", stretch.trial, stretch.to_images, value=value, going_on=going_on)

    def diverge(self) -> None:
        stretch = self.engine.next(0)
        assert stretch is not None
        self.engine.end(stretch.trial, Outcome.DIVERGED, "the loss was nan")
        self._tell("ended", stretch.trial, stretch.from_images, outcome=Outcome.DIVERGED)

    def _tell(self, kind: EventKind, trial: int, images: int, **facts: Any) -> None:
        self.watch(SearchEvent(kind=kind, trial=trial, slot=0, images=images, **facts))

    def announced(self) -> list[str]:
        return [line.partition(" trial ")[2] for line in self.said.getvalue().splitlines() if "so far" in line]


def _spending() -> Spending:
    return Spending(
        budget=BudgetConfig(),
        reserve_fraction=0.3,
        images_to_retrain=300,
        gpus=0.0,
        speedup=1.0,
        max_trainings=1,
        slots=1,
        earlier_seconds=0.0,
        began=0.0,
    )


def test_a_best_so_far_is_announced_once_and_not_again_after_a_restart(tmp_path: Path) -> None:
    layout, journal = RunLayout(tmp_path), Journal.in_memory()
    first = Searched(layout, journal)
    for value in (0.6, 0.5, 0.55):
        first.report(value)
    first.report(0.58)  # trial 0 goes on, and is still the best although its value fell
    assert first.announced() == ["0: best auc so far 0.6000 at 100 images", "0: best auc so far 0.5800 at 300 images"]
    again = Searched(layout, Journal.in_memory(journal.events))
    again.report(0.4)
    assert again.announced() == []
    again.report(0.7)
    assert again.announced() == ["4: best auc so far 0.7000 at 100 images"]
    assert [*first.pictured, *again.pictured] == [0, 0, 4]


def test_the_next_best_is_announced_where_the_best_one_diverges(tmp_path: Path) -> None:
    searched = Searched(RunLayout(tmp_path), Journal.in_memory())
    for value in (0.6, 0.5, 0.55):
        searched.report(value)
    searched.diverge()
    assert searched.announced() == ["0: best auc so far 0.6000 at 100 images", "2: best auc so far 0.5500 at 100 images"]


def test_the_page_is_there_while_the_search_goes_on_and_is_written_seldom(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path)
    with contextlib.closing(Journal(layout.journal)) as journal:
        searched = Searched(layout, journal)
        layout.result.write_text(json.dumps(EARLIER_RESULT))
        searched.report(0.6)
        first = layout.page.read_text()
        assert "This run has not ended" in first
        searched.report(0.7)
        assert layout.page.read_text() == first
        assert searched.watch.page_due_at > time.monotonic() + 0.9 * SECONDS_BETWEEN_PAGES
        searched.watch.page_due_at = time.monotonic()
        searched.watch.refresh()
        assert "0.7000" in layout.page.read_text()


def test_a_page_that_cannot_be_made_ends_no_search(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    layout = RunLayout(tmp_path)
    layout.config.write_text("{")
    with contextlib.closing(Journal(layout.journal)) as journal:
        Searched(layout, journal).report(0.6)
    assert "is not valid YAML" in caplog.text
