"""Importance: what decides the value is found, what does not is near nothing, conditional parameters are no obstacle."""

import math
from typing import Any

import numpy as np

from hpsearch.search.fold import Study
from hpsearch.search.importance import MIN_TRIALS, importance
from hpsearch.search.space import Space

SPACE = Space.from_dict(
    {
        "lr": {"low": 1e-5, "high": 1e-1, "log": True},
        "idle": {"low": 0.0, "high": 1.0},
        "kind": {"choices": ["plain", "squeezed"]},
        "reduction": {"low": 2, "high": 32, "when": {"kind": ["squeezed"]}},
    }
)


def studied(num_trials: int, *, images_of: Any = lambda number: 100) -> Study:
    study, random = Study(), np.random.default_rng(0)
    study.apply({"event": "study", "space": SPACE.to_dict(), "rungs": [100, 300], "eta": 3.0})
    for number in range(num_trials):
        params = SPACE.draw(random)
        study.apply({"event": "suggested", "trial": number, "params": params, "origin": "random"})
        study.apply({"event": "started", "trial": number, "slot": 0, "from_images": 0, "to_images": 100})
        value = 1 - abs(math.log10(float(params["lr"])) + 3)
        images = images_of(number)
        for rung in (100, 300):
            if rung <= images:
                found = {"event": "rung", "trial": number, "images": rung, "value": value - rung, "seconds": 1.0, "metrics": {}}
                study.apply(found)
    return study


def test_the_parameter_that_decides_comes_first_and_the_shares_add_up() -> None:
    shares = importance(studied(80))
    assert next(iter(shares)) == "lr"
    assert set(shares) == {"lr", "idle", "kind", "reduction"}
    assert shares["lr"] > 0.7
    assert math.isclose(sum(shares.values()), 1.0)


def test_a_trial_of_a_higher_rung_counts_as_better_whatever_the_values() -> None:
    # Values at the second rung are lower by 200, as on a harder scale; those trials are still the best.
    promoted = studied(80, images_of=lambda number: 300 if number < 8 else 100)
    alone = studied(80, images_of=lambda number: 100)
    assert importance(promoted) != importance(alone)


def test_a_small_study_has_no_importance() -> None:
    assert importance(studied(MIN_TRIALS - 1)) == {}


def test_the_same_study_gives_the_same_importance() -> None:
    assert importance(studied(40)) == importance(studied(40))
