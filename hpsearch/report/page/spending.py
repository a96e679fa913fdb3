"""Where the budget went: by what came of it, by rung, by backbone; in GPU hours where GPUs were used, else in time on slots."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hpsearch.report.page.content import PageContent
from hpsearch.report.page.figure import Figure, axis, hover
from hpsearch.report.page.trial_marks import STATES
from hpsearch.report.summary import state_of
from hpsearch.search.fold import Study
from hpsearch.search.types import TrialState

IN_VAIN = "in vain"
AFTERWARDS = "after the search"
COLOURS = {**{state: f"${state}" for state in STATES}, IN_VAIN: "$failed", AFTERWARDS: "$accent"}
"""What came of it → colour."""

FINAL_PHASES = ("retraining", "training on all images", "judging", "predicting")
"""Phases after the search that train or score, as the journal names them."""

LONG_SECONDS = 3 * 3600
"""Time on slots is told in hours from here on, in minutes below."""

BAR_PX = 34


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """What the bars count."""

    name: str
    """On the axis."""
    seconds: float
    """One of it."""
    by_gpu: bool
    """Whether seconds are multiplied by the share of a GPU."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A piece of one trial's training."""

    trial: TrialState
    """Whose it was."""
    rung: int
    """Rung that it was for, from 1."""
    use: str
    """What came of it: the state of a trial that may still be chosen, or `in vain`."""
    seconds: float
    """Wall seconds on its slot."""
    gpus: float
    """Share of a GPU that it had."""
    images: int
    """Images that it brought the trial forward."""


Spent = dict[tuple[str, str], tuple[float, int]]
"""(row, use) → amount in the unit, and images."""


def unit_of(study: Study) -> Unit:
    """GPU hours where any GPU was used."""
    pieces = list(_pieces(study))
    if study.gpu_seconds or any(piece.gpus for piece in pieces):
        return Unit(name="GPU hours", seconds=3600, by_gpu=True)
    if sum(piece.seconds for piece in pieces) >= LONG_SECONDS:
        return Unit(name="slot hours", seconds=3600, by_gpu=False)
    return Unit(name="slot minutes", seconds=60, by_gpu=False)


def spending_figures(content: PageContent) -> list[Figure]:
    """Stacked bars by outcome of the trial, by rung, and by backbone where several were tried."""
    study, unit = content.study, unit_of(content.study)
    afterwards = _afterwards(study, unit)
    by_outcome = _rows(study, unit, lambda piece: state_of(piece.trial)) | afterwards
    by_rung = _rows(study, unit, lambda piece: f"rung {piece.rung}") | afterwards
    by_backbone = _rows(study, unit, lambda piece: str(piece.trial.params.get("backbone", "")))
    last = [AFTERWARDS] if afterwards else []
    seen = {row for (row, _), (amount, _) in by_outcome.items() if amount}
    outcomes = [state for state in reversed(STATES) if state in seen]
    rungs = [f"rung {number}" for number in range(1, len(content.rungs) + 1)]
    figures = [
        _bars("spent-outcome", "outcome of the trial", unit, by_outcome, [*outcomes, *last]),
        _bars("spent-rung", "rung", unit, by_rung, [*rungs, *last]),
    ]
    backbones = sorted({row for row, _ in by_backbone} - {""})
    if len(backbones) > 1:
        figures.append(_bars("spent-backbone", "backbone", unit, by_backbone, backbones, of=" of the search"))
    return [figure for figure in figures if figure.traces]


def spent_by_use(study: Study) -> dict[str, float]:
    """What came of all that was spent, in `unit_of(study)`: a state of trials that may still be chosen, `in vain`, or later."""
    unit = unit_of(study)
    spent: dict[str, float] = defaultdict(float)
    for piece in _pieces(study):
        spent[piece.use] += _amount(piece, unit)
    for (_, use), (amount, _) in _afterwards(study, unit).items():
        spent[use] += amount
    return dict(spent)


def spending_sentence(content: PageContent) -> str:
    """What came of the budget, and what is called waste."""
    spent, unit = spent_by_use(content.study), unit_of(content.study)
    total = sum(spent.values())
    if not total:
        return "No training time has been journaled yet."
    going_on = spent.get("running", 0.0) + spent.get("waiting", 0.0)
    parts = {
        "trials that reached the full budget": spent.get("completed", 0.0),
        "trials that were stopped early": spent.get("paused", 0.0),
        "trials that run or wait for a slot": going_on,
        f"what came after the search ({_phases(content.study)})": spent.get(AFTERWARDS, 0.0),
    }
    listed = ", ".join(f"{_share(amount, total)} to {where}" for where, amount in parts.items() if amount)
    waste = spent.get(IN_VAIN, 0.0)
    used = f"{_written(total, unit)}: {listed}" if listed else f"{_written(total, unit)} were spent"
    return (
        f"{used}. Waste is {_written(waste, unit)} ({_share(waste, total)}): all training of trials that ended badly, "
        "and pieces of others that were lost or stopped before a rung."
    )


def spending_caption(study: Study) -> str:
    """What the unit of the bars is, and what is not in them."""
    if unit_of(study).by_gpu:
        what = "GPU hours: the share of a GPU that a slot has × its wall time."
    else:
        what = "No GPU was used: the wall time of each slot; after the search, where slots are not told apart, of its phases."
    return f"{what} Pieces that train now are counted when they end."


def _rows(study: Study, unit: Unit, row_of: Callable[[Piece], str]) -> Spent:
    spent: Spent = defaultdict(lambda: (0.0, 0))
    for piece in _pieces(study):
        key = (row_of(piece), piece.use)
        amount, images = spent[key]
        spent[key] = (amount + _amount(piece, unit), images + piece.images)
    return dict(spent)


def _pieces(study: Study) -> Iterator[Piece]:
    """All that slots trained in the search."""
    for trial in study.trials.values():
        use, previous = (IN_VAIN if trial.ended_badly else state_of(trial)), 0
        for rung, images in enumerate(study.rungs, start=1):
            if images not in trial.values:
                break
            gpus = float(trial.metrics[images].get("gpus", 0.0))
            seconds = trial.seconds.get(images, 0.0)
            yield Piece(trial=trial, rung=rung, use=use, seconds=seconds, gpus=gpus, images=images - previous)
            previous = images
        for reached, seconds in trial.vain_seconds.items():
            rung = min(1 + sum(images <= reached for images in study.rungs), len(study.rungs))
            yield Piece(trial=trial, rung=rung, use=IN_VAIN, seconds=seconds, gpus=study.gpus_per_trial, images=0)


def _afterwards(study: Study, unit: Unit) -> Spent:
    """Fresh trainings, judging and predicting; the journal has no share of a GPU for each, only all GPU seconds."""
    if unit.by_gpu:
        vain = sum(seconds for trial in study.trials.values() for seconds in trial.vain_seconds.values())
        # A study that went on with another share of a GPU counts its earlier pieces in vain by that one.
        seconds = max(0.0, study.gpu_seconds - vain * study.gpus_per_trial)
    else:
        seconds = sum(study.phases.get(phase, 0.0) for phase in FINAL_PHASES)
    rounding_seconds = 1e-3
    return {(AFTERWARDS, AFTERWARDS): (seconds / unit.seconds, 0)} if seconds > rounding_seconds else {}


def _phases(study: Study) -> str:
    return ", ".join(phase for phase in FINAL_PHASES if phase in study.phases) or "other phases"


def _amount(piece: Piece, unit: Unit) -> float:
    return piece.seconds * (piece.gpus if unit.by_gpu else 1.0) / unit.seconds


def _bars(
    name: str,
    what: str,
    unit: Unit,
    spent: Mapping[tuple[str, str], tuple[float, int]],
    rows: Sequence[str],
    *,
    of: str = "",
) -> Figure:
    traces = []
    for use in (*reversed(STATES), IN_VAIN, AFTERWARDS):
        cells = [spent.get((row, use), (0.0, 0)) for row in rows]
        if any(amount for amount, _ in cells):
            traces.append(
                {
                    "type": "bar",
                    "orientation": "h",
                    "name": use,
                    "x": [amount for amount, _ in cells],
                    "y": [hover(row) for row in rows],
                    "marker": {"color": COLOURS[use]},
                    "customdata": [
                        hover(row, use if use != row else "", _written(amount, unit), f"{images:,} images" if images else "")
                        for row, (amount, images) in zip(rows, cells, strict=True)
                    ],
                    "hovertemplate": "%{customdata}<extra></extra>",
                }
            )
    title = f"{unit.name[0].upper()}{unit.name[1:]}{of}"
    return Figure(
        name=name,
        label=f"{title} by {what}, and what came of them.",
        traces=traces,
        layout={
            "barmode": "stack",
            "xaxis": axis(title, rangemode="tozero"),
            "yaxis": axis(what.capitalize(), showgrid=False, autorange="reversed"),
            "legend": {"traceorder": "normal"},
            "showlegend": True,
        },
        height_px=130 + BAR_PX * len(rows),
    )


def _written(amount: float, unit: Unit) -> str:
    return f"{amount:.3g} {unit.name}"


def _share(part: float, total: float) -> str:
    return f"{100 * part / total:.0f} %"
