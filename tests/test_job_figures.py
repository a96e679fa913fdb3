"""What the finals add to the result."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hpsearch.data.dataset import ImageSet
from hpsearch.final.finalists import Confirmation, Standing
from hpsearch.job.figures import final_figures

LABELS_N = np.arange(120) % 2
PARTS = tuple("shift" if number < 60 else "seen" for number in range(120))


def figures_of(groups: tuple[str, ...] | None, parts: tuple[str, ...] | None) -> dict[str, Any]:
    names = tuple(f"{number}.jpg" for number in range(120))
    val = ImageSet(names=names, paths=names, labels_n=LABELS_N, groups=groups, parts=parts)
    answers_n = 0.5 + 0.2 * (LABELS_N - 0.5) + np.random.default_rng(0).normal(0, 0.1, 120)
    assessment = SimpleNamespace(robustness={}, num_degraded=0, views="none", val_n=answers_n)
    standing = Standing(trial=0, first_score=0.6, values=(0.6,), mean=0.6, lower=0.5, dropped=False)
    confirmation = Confirmation(standings=(standing,), winner=0, optimism=None, noise=0.01, num_trainings=1)
    final: Any = SimpleNamespace(assessment=assessment, confirmation=confirmation, trainings={})
    return dict(final_figures(final, val))


@pytest.mark.parametrize(
    ("groups", "parts", "named"),
    [
        (tuple(f"g{number // 60}" for number in range(120)), PARTS, {"g0", "g1"}),
        (None, PARTS, {"shift", "seen"}),
        (tuple(f"g{number // 4}" for number in range(120)), PARTS, {"shift", "seen"}),  # too small to be scored
    ],
)
def test_groups_are_told_where_they_are_known_and_large(
    groups: tuple[str, ...] | None, parts: tuple[str, ...] | None, named: set[str]
) -> None:
    assert set(figures_of(groups, parts)["groups"]) == named


def test_without_groups_and_parts_nothing_is_told_of_them() -> None:
    assert "groups" not in figures_of(None, None)
