"""Studies over real tables whose best trials are confirmed: how much too good a winner's first score is.

Each configuration of a table was really trained with three to five seeds, so that a fresh training is another draw among
them, and the mean of all of them is what the configuration is worth.
"""

from __future__ import annotations

import itertools
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsearch.bench.search_quality import NUM_STEPS, NUM_WORKERS, evaluator, make_engine
from hpsearch.bench.table_tasks import TableTask
from hpsearch.final.finalists import Confirmation, Finalists
from hpsearch.search.simulator import simulate
from hpsearch.search.space import Space

if TYPE_CHECKING:
    from hpsearch.final.finalists import Standing

FRESH = 10_007
"""Seeds of fresh trainings begin here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfirmedStudy:
    """One study; differences are shares of what separates the best configuration of the table from the median."""

    table: str
    """Class and data set."""
    first_optimism: float
    """First score of the best trial minus what its configuration is worth."""
    confirmed_optimism: float
    """Confirmed mean of the winner minus what it is worth."""
    said_optimism: float
    """First score of the winner minus its confirmed mean: what a run reports."""
    changed: bool
    """Whether the winner is not the search's best trial."""
    num_pairs: int
    """Pairs of finalists that were confirmed, at least one fresh training each."""
    num_swapped: int
    """Those of them that stand the other way round by confirmed mean than by first score."""
    gain: float
    """What the winner is worth minus what the search's best trial is worth."""
    num_trainings: int
    """Fresh trainings."""


def run_study(table: int, seed: int, *, budget: int, sampler: str, num_finalists: int, max_repeats: int) -> ConfirmedStudy:
    """Searches one table and confirms its best trials as a run does."""
    task = TableTask(table)
    engine = make_engine(sampler, Space.from_dict(task.space), seed=seed * 100_003 + table)
    simulate(engine, evaluator(task, seed), num_workers=NUM_WORKERS, budget_images=budget * NUM_STEPS)
    best = engine.study.ranking()[:num_finalists]
    finalists = Finalists([(trial.number, trial.value) for trial in best], sampling_error=task.noise, max_repeats=max_repeats)
    while (training := finalists.next()) is not None:
        fresh = FRESH * (seed + 1) + training.trial * max_repeats + training.repeat
        finalists.add(training, float(task.curve(engine.study.trials[training.trial].params, fresh)[-1]))
    confirmation = finalists.confirmation()
    assert confirmation is not None, "a budget of one full training brings a trial to a rung"
    worth = {trial.number: task.worth(trial.params) for trial in best}
    return _compared(task, confirmation, worth)


def _compared(task: TableTask, confirmation: Confirmation, worth: dict[int, float]) -> ConfirmedStudy:
    scale = task.best - task.median
    first = confirmation.standings[0]
    pairs = list(itertools.combinations([one for one in confirmation.standings if one.values], 2))
    winner = next(one for one in confirmation.standings if one.trial == confirmation.winner)
    return ConfirmedStudy(
        table=task.name,
        first_optimism=((first.first_score or 0.0) - worth[first.trial]) / scale,
        confirmed_optimism=(winner.mean - worth[winner.trial]) / scale,
        said_optimism=(confirmation.optimism or 0.0) / scale,
        changed=confirmation.order_changed,
        num_pairs=len(pairs),
        num_swapped=sum(is_swapped(*pair) for pair in pairs),
        gain=(worth[winner.trial] - worth[first.trial]) / scale,
        num_trainings=confirmation.num_trainings,
    )


def is_swapped(better: Standing, worse: Standing) -> bool:
    """Whether fresh seeds turn the order of two finalists round; equal first scores had none."""
    had_order = better.first_score is None or better.first_score != worse.first_score
    return had_order and worse.mean > better.mean


def as_text(studies: list[ConfirmedStudy]) -> str:
    """One line a table, then all of them together."""
    lines = [
        "shares of (best − median) of the table; mean ± standard deviation over studies",
        f"{'table':<32} {'studies':>7} {'first score':>16} {'confirmed':>16} {'reported':>16} {'gain':>16} "
        f"{'winner changed':>14} {'order changed':>13} {'pairs swapped':>13} {'trainings':>9}",
        f"{'':<32} {'':>7} {'too good by':>16} {'too good by':>16} {'optimism':>16} {'in worth':>16} "
        f"{'':>14} {'of finalists':>13} {'of finalists':>13}",
    ]
    groups = {name: [study for study in studies if study.table == name] for name in dict.fromkeys(s.table for s in studies)}
    for name, own in [*groups.items(), ("all", studies)]:
        columns = ("first_optimism", "confirmed_optimism", "said_optimism", "gain")
        figures = " ".join(f"{_spread([getattr(study, column) for study in own]):>16}" for column in columns)
        changed = f"{sum(study.changed for study in own)} of {len(own)}"
        reordered = f"{sum(study.num_swapped > 0 for study in own)} of {len(own)}"
        swapped = f"{sum(study.num_swapped for study in own)} of {sum(study.num_pairs for study in own)}"
        trainings = statistics.mean(study.num_trainings for study in own)
        lines.append(f"{name:<32} {len(own):>7} {figures} {changed:>14} {reordered:>13} {swapped:>13} {trainings:>9.1f}")
    return "\n".join(lines)


def _spread(values: list[float]) -> str:
    return f"{statistics.mean(values):+.3f} ± {statistics.stdev(values) if len(values) > 1 else 0.0:.3f}"
