"""Learning-curve tasks drawn from the FT-PFN prior (Rakotoarison et al. 2024, "In-context freeze-thaw Bayesian optimization").

A task is a space of five parameters in [0, 1] and, for each configuration, a noisy curve over 27 steps: a random network gives
each configuration the 23 numbers that shape a mixture of four curve families, among them curves that saturate, break or fall.
The prior is the one that package `ifbo` was published with; only its sampling code is loaded, without what else it imports.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.config import Params
from hpsearch.errors import InputError

NUM_DIMENSIONS = 5
"""Parameters of a task, `x0` to `x4`."""
NUM_STEPS = 27
"""Steps of a full training: three powers of η = 3."""
NUM_CURVE_NUMBERS = 23
"""Outputs of the prior's network for each configuration."""
NUM_REFERENCES = 3_000
"""Random configurations that say what best and median are."""
SMALLEST_SPREAD = 0.02
"""Tasks whose best and median are nearer than this say nothing and are left out."""

Array = NDArray[np.float64]


class CurveTask:
    """The FT-PFN task of one index; the same index always gives the same task.

    Attributes:
        name: `ftpfn-<index>`.
        space: definition for `Space.from_dict`.
        best: largest noiseless final value of 3,000 random configurations.
        median: their median.
    """

    num_steps = NUM_STEPS

    def __init__(self, index: int) -> None:
        self.name = f"ftpfn-{index}"
        self.space: dict[str, Any] = {f"x{i}": {"low": 0.0, "high": 1.0} for i in range(NUM_DIMENSIONS)}
        self._index = index
        with _seeded(index):
            self._prior = _prior_module().DatasetPrior(NUM_DIMENSIONS, NUM_CURVE_NUMBERS)
        configs_nd = np.random.default_rng([index, 2]).uniform(size=(NUM_REFERENCES, NUM_DIMENSIONS))
        finals_n = self._shapes(configs_nd).values(np.ones(1))[:, 0]
        self.best, self.median = float(finals_n.max()), float(np.median(finals_n))
        self._known: dict[tuple[float, ...], _Shapes] = {}

    @property
    def is_usable(self) -> bool:
        """Whether best and median differ enough for a regret."""
        return self.best - self.median >= SMALLEST_SPREAD

    def curve(self, params: Params, seed: int) -> Array:
        """Noisy values of one training after each of the steps.

        Args:
            params: `x0` to `x4`.
            seed: of the noise of this training.
        """
        shape = self._shape(params)
        clean = shape.values(np.arange(1, NUM_STEPS + 1) / NUM_STEPS)[0]
        noise = np.random.default_rng([self._index, 3, seed]).normal(size=NUM_STEPS)
        return np.asarray(np.clip(clean + shape.sigma_n[0] * noise, 0.0, 1.0))

    def regret(self, params: Params, seed: int) -> float:
        """(best − mean of five fresh noisy final values) / (best − median)."""
        shape = self._shape(params)
        noise = np.random.default_rng([self._index, 4, seed]).normal(size=5)
        found = np.clip(shape.values(np.ones(1))[0, 0] + shape.sigma_n[0] * noise, 0.0, 1.0).mean()
        return float((self.best - found) / (self.best - self.median))

    def _shape(self, params: Params) -> _Shapes:
        key = tuple(float(params[name]) for name in self.space)
        if key not in self._known:
            self._known[key] = self._shapes(np.array([key]))
        return self._known[key]

    def _shapes(self, configs_nd: Array) -> _Shapes:
        # The network is noisy itself; seeding it by the configuration makes a configuration's curve a fixed thing.
        with _seeded(int(np.abs(configs_nd[0] * 2**40).sum()) + self._index):
            curve = self._prior.curves_for_configs(configs_nd)
        found = inspect.getclosurevars(curve).nonlocals
        wanted = ("Yinf", "Xsat", "alpha", "Rpsat", "w", "PREC")
        return _Shapes(y0=found["Y0"], sigma_n=found["sigma"], by_name={name: found[name] for name in wanted})


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shapes:
    """Curve numbers of n configurations."""

    y0: float
    """Value before training, shared by all."""
    sigma_n: Array
    """Standard deviation of the noise."""
    by_name: dict[str, Array]
    """Arguments of the prior's curve function: (n,) for `Yinf`, (n, 4 families) for the others."""

    def values(self, x_t: Array) -> Array:
        """Noiseless values (n, t) at the fractions `x_t` of a full training, in [0, 1]."""
        # The prior's function takes numbers; columns work as well, except a single one.
        is_single = len(self.sigma_n) == 1
        arguments = {name: value.T[..., 0] if is_single else value.T[..., None] for name, value in self.by_name.items()}
        with np.errstate(all="ignore"):
            values_nt = _prior_module().comb(x_t, Y0=self.y0, **arguments)
        return np.asarray(np.clip(np.nan_to_num(np.atleast_2d(values_nt)), 0.0, 1.0))


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seeds the global generators that the prior draws from, and puts numpy's back afterwards."""
    import torch

    state = np.random.get_state()
    np.random.seed(seed % 2**32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            yield
        finally:
            np.random.set_state(state)


@lru_cache(maxsize=1)
def _prior_module() -> types.ModuleType:
    """`ifbo.priors.ftpfn_prior`, without `ifbo/__init__` and `ifbo/priors/__init__`, which need a cluster client."""
    spec = importlib.util.find_spec("ifbo")
    if spec is None or not spec.submodule_search_locations:
        raise InputError("the learning-curve tasks need package ifbo; install it with: pip install 'hpsearch[bench]'")
    root = spec.submodule_search_locations[0]
    for name, path in (("ifbo", root), ("ifbo.priors", f"{root}/priors")):
        package = types.ModuleType(name)
        package.__path__ = [path]
        sys.modules.setdefault(name, package)
    return importlib.import_module("ifbo.priors.ftpfn_prior")
