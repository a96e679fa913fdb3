"""Which image comes when: a pure function of the seed and the number of images seen, open at any number.

Axis legend: `n` images of the set, `b` images asked for, `m` real images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpsearch.data.dataset import DEEPFAKE, REAL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.data.matching import Matching

_BLOCK = 1024
"""With balancing, images are shuffled between classes within blocks of this many."""

_PASSES, _CLASSES = 0, 1  # independent random streams of one seed
_WHOLE_SET, _REAL_TURNS = 2, 3  # beside the labels 0 and 1, whose permutations are streams of their own


class ImageOrder:
    """The endless sequence of positions in a set that training with one seed sees.

    Without balancing it is one permutation of the set after the other. With exponent `balance`, classes take turns in the
    proportion share^(1 − balance) (1: as many of each), in random order within blocks, and each class goes through
    permutations of its own; so no image comes a second time before all others of its class have come.
    """

    def __init__(self, labels_n: NDArray[np.int64], *, seed: int, balance: float) -> None:
        """Prepares the sequence.

        Args:
            labels_n: 0 or 1 for each image of the set.
            seed: Another seed gives another sequence.
            balance: Class balancing exponent in [0, 1].
        """
        self._seed = seed
        self._balance = balance
        self._all = np.arange(len(labels_n))
        self._members = {label: np.flatnonzero(labels_n == label) for label in (REAL, DEEPFAKE)}
        self._permutations: dict[int, tuple[int, NDArray[np.int64]]] = {}
        self._deepfake_share = _deepfake_share(labels_n, balance)

    def positions(self, first: int, count: int) -> NDArray[np.int64]:
        """Positions in the set of images number `first` … `first + count − 1` of the sequence."""
        numbers_b = np.arange(first, first + count)
        if self._balance == 0:
            return self._from_permutations(self._all, _WHOLE_SET, numbers_b)
        is_deepfake_b, rank_b = self._classes(numbers_b)
        positions_b = np.empty(count, dtype=np.int64)
        for label, of_class_b in ((REAL, ~is_deepfake_b), (DEEPFAKE, is_deepfake_b)):
            positions_b[of_class_b] = self._from_permutations(self._members[label], label, rank_b[of_class_b])
        return positions_b

    def _classes(self, numbers_b: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Whether each number is a deepfake, and how many images of its class came before it."""
        is_deepfake_b = np.empty(len(numbers_b), dtype=bool)
        rank_b = np.empty(len(numbers_b), dtype=np.int64)
        for block in np.unique(numbers_b // _BLOCK):
            here_b = numbers_b // _BLOCK == block
            before, until = (int(edge * _BLOCK * self._deepfake_share + 0.5) for edge in (block, block + 1))
            deepfakes_k = np.arange(_BLOCK) < until - before
            np.random.default_rng((self._seed, _CLASSES, int(block))).shuffle(deepfakes_k)
            ranks_k = (
                np.where(deepfakes_k, before + np.cumsum(deepfakes_k), block * _BLOCK - before + np.cumsum(~deepfakes_k)) - 1
            )
            inside_b = numbers_b[here_b] % _BLOCK
            is_deepfake_b[here_b], rank_b[here_b] = deepfakes_k[inside_b], ranks_k[inside_b]
        return is_deepfake_b, rank_b

    def _from_permutations(self, members: NDArray[np.int64], stream: int, rank_b: NDArray[np.int64]) -> NDArray[np.int64]:
        positions_b = np.empty(len(rank_b), dtype=np.int64)
        for number in np.unique(rank_b // len(members)):
            here_b = rank_b // len(members) == number
            positions_b[here_b] = members[self._permutation(stream, int(number), len(members))[rank_b[here_b] % len(members)]]
        return positions_b

    def _permutation(self, stream: int, number: int, size: int) -> NDArray[np.int64]:
        known, permutation = self._permutations.get(stream, (-1, self._all))
        if known != number:
            permutation = np.random.default_rng((self._seed, _PASSES, stream, number)).permutation(size)
            self._permutations[stream] = number, permutation
        return permutation


class MatchedOrder:
    """A sequence in which each real image is followed by deepfakes that resemble it.

    So a batch shows what was forged beside what it was forged from, as far as the set holds that (Shiohara and Yamasaki 2022
    train on such pairs of their own making). Real images come in one permutation after the other; of the deepfakes beside
    one, others come with each pass. Classes are in the proportion that `ImageOrder` gives them.
    """

    def __init__(self, labels_n: NDArray[np.int64], matching: Matching, *, seed: int, balance: float) -> None:
        """Prepares the sequence; arguments as those of `ImageOrder`, `matching` that of the set."""
        share = _deepfake_share(labels_n, balance)
        self._matching = matching
        self._seed = seed
        self._per_real = share / (1 - share)
        self._permutations: dict[int, NDArray[np.int64]] = {}

    def positions(self, first: int, count: int) -> NDArray[np.int64]:
        """Positions in the set of images number `first` … `first + count − 1` of the sequence."""
        numbers_b = np.arange(first, first + count)
        turn_b = self._turn(numbers_b)
        beside_b = numbers_b - self._begin(turn_b)
        number_b, place_b = np.divmod(turn_b, len(self._matching.real_m))
        real_b = np.empty(count, dtype=np.int64)
        for number in np.unique(number_b):
            here_b = number_b == number
            real_b[here_b] = self._permutation(int(number))[place_b[here_b]]
        once = max(1, round(self._per_real))
        which_b = (number_b * once + beside_b - 1) % self._matching.counts_m[real_b]
        deepfake_b = self._matching.deepfakes_d[self._matching.starts_m[real_b] + which_b]
        return np.where(beside_b == 0, self._matching.real_m[real_b], deepfake_b)

    def _begin(self, turn_b: NDArray[np.int64]) -> NDArray[np.int64]:
        """Number of the image that each real image's turn begins with: the real images and deepfakes of the turns before."""
        before_b: NDArray[np.int64] = np.floor(turn_b * self._per_real + 0.5).astype(np.int64)
        return turn_b + before_b

    def _turn(self, numbers_b: NDArray[np.int64]) -> NDArray[np.int64]:
        """The turn that each image belongs to."""
        near_b = (numbers_b / (1 + self._per_real)).astype(np.int64)
        turn_b = np.maximum(near_b - 1, 0)
        for later in (0, 1):
            turn_b = np.where(self._begin(near_b + later) <= numbers_b, near_b + later, turn_b)
        return turn_b

    def _permutation(self, number: int) -> NDArray[np.int64]:
        if number not in self._permutations:
            generator = np.random.default_rng((self._seed, _PASSES, _REAL_TURNS, number))
            self._permutations = {number: generator.permutation(len(self._matching.real_m))}
        return self._permutations[number]


def _deepfake_share(labels_n: NDArray[np.int64], balance: float) -> float:
    """Share of deepfakes in the sequence."""
    weights: list[float] = [float(np.mean(labels_n == label)) ** (1 - balance) for label in (REAL, DEEPFAKE)]
    return weights[DEEPFAKE] / sum(weights)
