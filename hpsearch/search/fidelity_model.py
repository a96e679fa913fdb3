"""A Gaussian process over configurations and training lengths: what the short trainings say of the full ones.

The score of trial i with features x after a training of length s (a logarithm, 0 for a full one) is modelled with covariance

    [a · k(x, x′) + b · 1(i = i′) + m] · r(s, s′) + noise · 1(same observation)

k is Matérn-5/2 with a length scale for each parameter, b what is peculiar to a trial and stays with it, m what all share.
r is Matérn-3/2 in the logarithm of the length: the nearer two lengths, the more one says of the other, as in freeze-thaw
Bayesian optimisation (Swersky et al. 2014), BOCA (Kandasamy et al. 2017) and DyHPO (Wistuba et al. 2022). Hyperparameters are
those of the largest posterior density; length scales are expected to grow with √dimensions (Hvarfner et al. 2024).

Axes: n, m observations; q queries; d feature columns; g parameters, each with one or more columns and one length scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular
from scipy.linalg.lapack import dpotrf, dpotri
from scipy.optimize import fmin_l_bfgs_b

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

NEW_TRIAL = -1
"""Trial of a query that is no trial yet; shares its peculiarity with none."""
LENGTH_SCALE_PER_ROOT_DIMENSION = 0.36
"""Expected length scale of a parameter in units of its range: .8 for five parameters."""
PRIOR = {"fidelity": (1.0, 0.7), "a": (1.0, 0.7), "b": (0.15, 1.0), "m": (0.3, 0.7), "noise": (0.05, 1.5)}
"""Median and log standard deviation of each other hyperparameter; their medians over 88 tasks of the benchmark."""
LENGTH_SCALE_LOG_STD = 0.7
MAX_ITERATIONS = 6
"""Of the optimiser: it starts at a sensible place, and has to be quick."""
JITTER = 1e-8


@dataclass(frozen=True, kw_only=True, slots=True)
class Observations:
    """Scores of trials at training lengths."""

    features_nd: Array
    """Columns of the configurations, each parameter spanning about 1."""
    log_length_n: Array
    """Logarithm of the training length, 0 for a full one, in units that make the usual first rung about −1."""
    trial_n: Indices
    """Which trial each is of."""
    score_n: Array
    """About standard normal."""

    def __len__(self) -> int:
        return len(self.score_n)

    def take(self, indices: Indices) -> Observations:
        """Some of them."""
        return Observations(
            features_nd=self.features_nd[indices],
            log_length_n=self.log_length_n[indices],
            trial_n=self.trial_n[indices],
            score_n=self.score_n[indices],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Hyperparameters:
    """In logarithms: length scale of each parameter, that of the training length, a, b, m, noise."""

    log_values: Array
    """(g + 5,)."""

    @property
    def length_scale_g(self) -> Array:
        """Of each parameter."""
        return np.exp(self.log_values[:-5])

    @property
    def others(self) -> tuple[float, float, float, float, float]:
        """Length scale of the training length, a, b, m, noise."""
        fidelity, a, b, m, noise = np.exp(self.log_values[-5:])
        return float(fidelity), float(a), float(b), float(m), float(noise)


def fit(observations: Observations, group_d: Indices) -> Hyperparameters:
    """The hyperparameters of largest posterior density, from their prior's medians on.

    Args:
        observations: At least one.
        group_d: For each feature column, the parameter that it belongs to, from 0 without gaps.
    """
    density = _Density(observations, group_d)
    bounds = [(mean - 3 * std, mean + 3 * std) for mean, std in zip(density.mean, density.std, strict=True)]
    best, _, _ = fmin_l_bfgs_b(density.loss_and_gradient, density.mean, bounds=bounds, maxiter=MAX_ITERATIONS)
    return Hyperparameters(log_values=best)


class _Density:
    """Negative log posterior density of hyperparameters, with its gradient."""

    def __init__(self, observations: Observations, group_d: Indices) -> None:
        num_groups = int(group_d.max()) + 1
        differences = observations.features_nd[:, None, :] - observations.features_nd[None, :, :]
        squares_dnn = np.moveaxis(differences**2, 2, 0)
        self._squares_gnn = np.stack([squares_dnn[group_d == group].sum(axis=0) for group in range(num_groups)])
        self._lengths_nn = np.abs(observations.log_length_n[:, None] - observations.log_length_n[None, :])
        self._same_nn = (observations.trial_n[:, None] == observations.trial_n[None, :]).astype(np.float64)
        self._score_n = observations.score_n
        median = LENGTH_SCALE_PER_ROOT_DIMENSION * np.sqrt(num_groups)
        self.mean = np.log([median] * num_groups + [median for median, _ in PRIOR.values()])
        self.std = np.array([LENGTH_SCALE_LOG_STD] * num_groups + [std for _, std in PRIOR.values()])

    def loss_and_gradient(self, log_values: Array) -> tuple[float, Array]:
        hyper = Hyperparameters(log_values=log_values)
        fidelity, a, b, m, noise = hyper.others
        inverse_g = hyper.length_scale_g**-2
        squares_nn = np.tensordot(inverse_g, self._squares_gnn, axes=1)
        matern_nn, slope_nn = _matern52(squares_nn)
        length_nn, length_slope_nn = _matern32(self._lengths_nn / fidelity)
        whole_nn = a * matern_nn + b * self._same_nn + m
        covariance_nn = whole_nn * length_nn
        covariance_nn.flat[:: len(covariance_nn) + 1] += noise + JITTER
        factor_nn, failed = dpotrf(covariance_nn, lower=1)
        if failed:
            return 1e10, np.zeros_like(log_values)
        weights_n = cho_solve((factor_nn, True), self._score_n)
        off_prior = (log_values - self.mean) / self.std
        loss = 0.5 * self._score_n @ weights_n + np.log(np.diag(factor_nn)).sum() + 0.5 * off_prior @ off_prior
        # d loss / d K, of which each gradient is the inner product with its d K.
        inner_nn = 0.5 * (_symmetric(dpotri(factor_nn, lower=1)[0]) - np.outer(weights_n, weights_n))
        scaled_nn = inner_nn * length_nn
        by_scale_g = self._squares_gnn.reshape(len(inverse_g), -1) @ (scaled_nn * slope_nn).ravel() * inverse_g * a
        others = [
            (inner_nn * length_slope_nn * whole_nn).sum(),
            a * (scaled_nn * matern_nn).sum(),
            b * (scaled_nn * self._same_nn).sum(),
            m * scaled_nn.sum(),
            noise * np.trace(inner_nn),
        ]
        return float(loss), np.concatenate([by_scale_g, others]) + off_prior / self.std


class Posterior:
    """What the observations say of full trainings."""

    def __init__(self, hyper: Hyperparameters, observations: Observations, group_d: Indices) -> None:
        self._hyper = hyper
        self._scale_d = 1.0 / hyper.length_scale_g[group_d]
        self._seen = observations
        fidelity, _, b, _, noise = hyper.others
        lengths_nn = np.abs(observations.log_length_n[:, None] - observations.log_length_n[None, :])
        covariance_nn = self._shared(observations.features_nd, observations.features_nd)
        covariance_nn += b * (observations.trial_n[:, None] == observations.trial_n[None, :])
        covariance_nn *= _matern32(lengths_nn / fidelity)[0]
        covariance_nn.flat[:: len(covariance_nn) + 1] += noise + JITTER
        self._factor_nn = np.linalg.cholesky(covariance_nn)
        self._weights_n = cho_solve((self._factor_nn, True), observations.score_n)

    @property
    def trials(self) -> list[int]:
        """Trials that it knows something of, by number."""
        return [int(number) for number in np.unique(self._seen.trial_n)]

    def mean(self, features_qd: Array, trial_q: Indices) -> Array:
        """Expected score after a full training."""
        return np.asarray(self._cross(features_qd, trial_q) @ self._weights_n)

    def draw(self, features_qd: Array, random: np.random.Generator) -> Array:
        """One function from the posterior, at configurations that are no trials yet (Thompson 1933)."""
        cross_qn = self._cross(features_qd, np.full(len(features_qd), NEW_TRIAL))
        reduced_nq = solve_triangular(self._factor_nn, cross_qn.T, lower=True)
        covariance_qq = self._shared(features_qd, features_qd) - reduced_nq.T @ reduced_nq
        # Rounding leaves eigenvalues a little below 0 where queries lie close together.
        covariance_qq.flat[:: len(covariance_qq) + 1] += 1e-6 * (1.0 + float(np.trace(covariance_qq)) / len(covariance_qq))
        factor_qq = np.linalg.cholesky(covariance_qq)
        return np.asarray(cross_qn @ self._weights_n + factor_qq @ random.normal(size=len(features_qd)))

    def _shared(self, features_qd: Array, features_md: Array) -> Array:
        """The terms that trials share: a · k + m."""
        _, a, _, m, _ = self._hyper.others
        left_qd, right_md = features_qd * self._scale_d, features_md * self._scale_d
        squares_qm = (left_qd**2).sum(axis=1)[:, None] + (right_md**2).sum(axis=1)[None, :] - 2.0 * left_qd @ right_md.T
        return np.asarray(a * _matern52(np.maximum(squares_qm, 0.0))[0] + m)

    def _cross(self, features_qd: Array, trial_q: Indices) -> Array:
        """Covariance of queries after a full training with the observations."""
        fidelity, _, b, _, _ = self._hyper.others
        cross_qn = self._shared(features_qd, self._seen.features_nd)
        cross_qn += b * (trial_q[:, None] == self._seen.trial_n[None, :])
        return np.asarray(cross_qn * _matern32(np.abs(self._seen.log_length_n) / fidelity)[0][None, :])


def _matern52(squares: Array) -> tuple[Array, Array]:
    """Matérn-5/2 of squared distances, and its slope: what a squared distance counts for in the logarithm of a length scale."""
    root = np.sqrt(5.0 * squares)
    decay = np.exp(-root)
    return (1.0 + root + root**2 / 3.0) * decay, 5.0 / 3.0 * (1.0 + root) * decay


def _matern32(distances: Array) -> tuple[Array, Array]:
    """Matérn-3/2 of distances, and its derivative by the logarithm of the length scale."""
    root = np.sqrt(3.0) * distances
    decay = np.exp(-root)
    return (1.0 + root) * decay, root**2 * decay


def _symmetric(lower_nn: Array) -> Array:
    """A matrix of which only the lower triangle is filled, whole."""
    lower_nn = np.tril(lower_nn)
    return np.asarray(lower_nn + np.tril(lower_nn, -1).T)
