"""Which configuration wins, once the best few have been trained again with fresh seeds. No torch and no Ray here.

The best of many trials owes its score to luck in part: of its seed and of the images that it was compared on. So the
finalists are trained again, one fresh seed each in the order of their first scores, then a second and a third for those
that are not clearly beaten. The winner has the best lower bound of its confirmed mean; what its first score was above that
mean is the optimism of the search.

The noise of a training is the standard deviation of fresh values about their finalist's mean, pooled over all finalists,
with the sampling error of the validation images as one more observation: it stands in while no finalist has two seeds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Z_LOWER = 1.645
"""One-sided 95 % bound of a normal mean."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """One more training of a finalist, from the start, with a seed of its own."""

    trial: int
    """Number of the trial that the configuration comes from."""
    repeat: int
    """Which fresh seed, from 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """One finalist."""

    trial: int
    """Number of the trial."""
    first_score: float | None
    """Objective in the search, which it was chosen by; None: it was not trained in full there."""
    values: tuple[float, ...]
    """Objective of each fresh training, by repeat."""
    mean: float
    """Their mean; NaN before the first."""
    lower: float
    """Lower bound of the mean; minus infinity before the first."""
    dropped: bool
    """Clearly beaten, or its fresh training failed: not trained again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmation:
    """What the fresh seeds say."""

    standings: tuple[Standing, ...]
    """Finalists by first score, the best first."""
    winner: int
    """Trial with the best lower bound."""
    optimism: float | None
    """First score of the winner minus its confirmed mean; None: it was not compared."""
    noise: float
    """Standard deviation of one training's value, see the module."""
    num_trainings: int
    """Fresh trainings that ended well."""

    @property
    def order_changed(self) -> bool:
        """Whether the search alone would have chosen another one."""
        return self.winner != self.standings[0].trial


class Finalists:
    """Plans and judges fresh trainings. The same first scores and values give the same plan."""

    def __init__(self, first_scores: Sequence[tuple[int, float | None]], *, sampling_error: float, max_repeats: int) -> None:
        """Begins without fresh values.

        Args:
            first_scores: (trial, objective at the full budget, None where not reached), the best first; at least one.
            sampling_error: Standard error of the objective on the validation images.
            max_repeats: Fresh seeds of one finalist at most.
        """
        self._first_scores = dict(first_scores)
        self._sampling_error = sampling_error
        self._max_repeats = max_repeats
        self._values: dict[int, dict[int, float]] = {trial: {} for trial in self._first_scores}
        self._failed: set[int] = set()

    def add(self, training: Training, value: float) -> None:
        """Takes in the objective of a fresh training."""
        self._values[training.trial][training.repeat] = value

    def fail(self, training: Training) -> None:
        """Takes in that a fresh training could not be done; its finalist is out unless it has other values."""
        self._failed.add(training.trial)

    def next(self, running: Iterable[Training] = ()) -> Training | None:
        """What is to be trained next beside `running`; None: nothing now.

        A round ends before the next begins, so that losers are known; a sole survivor is trained no further once others
        have been beaten.
        """
        under_way = set(running)
        for repeat in range(1, self._max_repeats + 1):
            alive = [one.trial for one in self.standings() if not one.dropped]
            missing = [Training(trial=trial, repeat=repeat) for trial in alive if repeat not in self._values[trial]]
            if not missing:
                continue
            is_decided = repeat > 1 and len(alive) == 1 < len(self._first_scores)
            if is_decided or any(other.repeat != repeat for other in under_way):
                return None
            return next((one for one in missing if one not in under_way), None)
        return None

    def standings(self) -> tuple[Standing, ...]:
        """How each finalist stands, the best first score first."""
        noise = self.noise()
        means = {trial: _mean(values.values()) for trial, values in self._values.items()}
        bounds = {
            trial: means[trial] - Z_LOWER * noise / math.sqrt(len(values)) if values else -math.inf
            for trial, values in self._values.items()
        }
        leader = max(bounds, key=lambda trial: bounds[trial])
        return tuple(
            Standing(
                trial=trial,
                first_score=first,
                values=tuple(value for _, value in sorted(self._values[trial].items())),
                mean=means[trial],
                lower=bounds[trial],
                dropped=trial in self._failed or self._is_beaten(trial, leader, means, noise),
            )
            for trial, first in self._first_scores.items()
        )

    def _is_beaten(self, trial: int, leader: int, means: dict[int, float], noise: float) -> bool:
        counts = [len(self._values[one]) for one in (trial, leader)]
        if not all(counts) or trial == leader:
            return False
        return means[leader] - means[trial] > Z_LOWER * noise * math.sqrt(sum(1 / count for count in counts))

    def noise(self) -> float:
        """Standard deviation of one training's value."""
        squares, degrees = self._sampling_error**2, 1
        for values in self._values.values():
            mean = _mean(values.values())
            squares += sum((value - mean) ** 2 for value in values.values())
            degrees += max(0, len(values) - 1)
        return math.sqrt(squares / degrees)

    def confirmation(self) -> Confirmation | None:
        """The result so far; None while no fresh training has ended well."""
        standings = self.standings()
        best = max(standings, key=lambda one: one.lower)
        if not best.values:
            return None
        return Confirmation(
            standings=standings,
            winner=best.trial,
            optimism=None if best.first_score is None else best.first_score - best.mean,
            noise=self.noise(),
            num_trainings=sum(len(one.values) for one in standings),
        )


def num_finalists(num_trainings: int, num_candidates: int, most: int) -> int:
    """Finalists for `num_trainings` fresh trainings: two seeds each where there are enough, and at least two finalists."""
    return max(1, min(num_candidates, most, max(min(2, num_trainings), num_trainings // 2)))


def _mean(values: Iterable[float]) -> float:
    given = list(values)
    return sum(given) / len(given) if given else math.nan
