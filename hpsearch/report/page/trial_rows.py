"""The table of trials, with what to show and what to sort by in each cell."""

from __future__ import annotations

from dataclasses import dataclass

from hpsearch.report import wording
from hpsearch.report.page.content import PageContent
from hpsearch.report.summary import state_of
from hpsearch.search.types import TrialState


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One cell."""

    text: str
    """What is shown; empty: absent."""
    key: str | float | int | None
    """What it is sorted by; None: last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One trial."""

    number: int
    """Of the trial."""
    state: str
    """How it stands."""
    is_best: bool
    """Whether it is the chosen one."""
    cells: list[Cell]
    """The columns after number and state."""
    message: str
    """Why it ended, where that needs saying."""


def columns(content: PageContent) -> list[str]:
    """Titles after number and state."""
    values = [f"{content.objective.upper()} at {images:,}" for images in content.rungs]
    return [*values, "images", "time", "origin", *content.searched]


def rows(content: PageContent) -> list[Row]:
    """Every trial by number."""
    chosen = content.best.number if content.best else None
    return [
        Row(
            number=trial.number,
            state=state_of(trial),
            is_best=trial.number == chosen,
            cells=_cells(content, trial),
            message=wording.printable(trial.message),
        )
        for trial in content.study.trials.values()
    ]


def _cells(content: PageContent, trial: TrialState) -> list[Cell]:
    seconds = sum(trial.seconds.values())
    cells = [_score(trial.values.get(images)) for images in content.rungs]
    cells.append(Cell(text=f"{trial.images:,}", key=trial.images))
    cells.append(Cell(text=wording.duration(seconds), key=round(seconds, 3)))
    cells.append(Cell(text=trial.origin, key=trial.origin))
    for name in content.searched:
        value = trial.params.get(name)
        cells.append(Cell(text="" if value is None else wording.value(value), key=value))
    return cells


def _score(value: float | None) -> Cell:
    return Cell(text="" if value is None else f"{value:.4f}", key=value)
