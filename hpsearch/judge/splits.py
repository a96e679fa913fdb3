"""Who trains, who validates, and who is kept apart: whole groups, or whole clusters of images that look alike.

What a data set says of itself is kept: a named validation set stays one, and groups of a group file stay whole. Where it
says nothing, near-duplicates and clusters of images that look alike are held together, since a picture that was also trained on
validates nothing. From that, two more sets may be taken:

- the **holdout** (`judge.holdout`): scored once, at the very end;
- the **shift part** of the validation images (`search.objective=shift_auc`): clusters that are taken out of training as a
  whole, so that comparing trials rewards what carries over to forgeries that nobody trained on.

Axis legend: `n` images.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.data.assemble import UNNAMED
from hpsearch.data.dataset import Dataset, fingerprint
from hpsearch.data.split import chosen_groups
from hpsearch.errors import InputError
from hpsearch.judge.clusters import clusters_of
from hpsearch.judge.duplicates import components, near_duplicates
from hpsearch.judge.objectives import MIN_IMAGES_OF_A_PART, SEEN, SHIFT, counted_in_parts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.config import Objective
    from hpsearch.judge.scan import ImageScan

IMAGES_PER_CLUSTER = 40
"""Of the clusters that splits hold together."""
MAX_CLUSTERS = 200
NUM_KINDS = 12
"""Clusters of a shift split, and at most of `worst_group_auc` without groups: few and large, as sources and forgeries are."""
IMAGES_PER_KIND = 4 * MIN_IMAGES_OF_A_PART
"""Validation images for each kind of `worst_group_auc`: about twice as many of each class as its AUC takes."""
MIN_COUNTED_FRACTION = 0.8
"""Share of the validation images in groups that are large enough to count, from which the worst group is of groups: with less,
trials would be compared on a few images and whatever the others say be lost."""
MIN_CLUSTERED = 200
"""Below this many images k-means finds chance; near-duplicates alone are then held together."""

_HOLDOUT, _SHIFT = 1, 2  # random streams of one seed, beside that of the validation split

Scan = Callable[[Sequence[str]], "ImageScan"]
"""Paths → their scan."""
Features = Callable[[Sequence[str]], "NDArray[np.float32]"]
"""Paths → what clusters compare, shape (n, f)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitRules:
    """What decides the split."""

    val_fraction: float
    """Share that validates where the data names no validation images."""
    holdout: float
    """Share kept for the one score at the end; 0: none."""
    shift: float
    """Share of the training images that a shift split takes out."""
    objective: Objective
    """What trials are compared by."""
    seed: int
    """Another seed gives another split."""


def judged(dataset: Dataset, rules: SplitRules, scan: Scan, features: Features | None = None) -> Dataset:
    """`dataset` split by `rules`; unchanged where the data and its groups say it all.

    Args:
        dataset: As it was found.
        rules: What decides.
        scan: Looks at images; asked only where something depends on it.
        features: Gives what clusters compare, likewise; None: the statistics of `scan`.

    Raises:
        InputError: there are too few groups or clusters for both classes in each part.
    """
    splitter = _Splitter(dataset, rules, scan, features)
    if rules.holdout:
        splitter.hold_out()
    if dataset.split_by == "image":
        splitter.split_validation()
    if rules.objective == "shift_auc":
        splitter.shift()
    elif rules.objective == "worst_group_auc":
        splitter.part_by_group()
    return splitter.result()


class _Splitter:
    """The pool of all labelled images, and where each goes."""

    def __init__(self, dataset: Dataset, rules: SplitRules, scan: Scan, features: Features | None) -> None:
        self._dataset, self._rules, self._scan, self._features = dataset, rules, scan, features
        self._pool = dataset.train.joined(dataset.val)
        self._in_val_n = np.arange(len(self._pool)) >= len(dataset.train)
        self._held_n = np.zeros(len(self._pool), dtype=bool)
        self._parts: NDArray[np.str_] | None = None
        self._scanned: ImageScan | None = None
        self._found_notes = list(dataset.notes)
        self._notes: list[str] = []

    @property
    def _scan_of_pool(self) -> ImageScan:
        if self._scanned is None:
            self._scanned = self._scan(self._pool.paths)
        return self._scanned

    def _clusters(self, count: int, *, layout: bool = True) -> NDArray[np.int64]:
        features_nf = self._features(self._pool.paths) if self._features else None
        return clusters_of(self._scan_of_pool, count, seed=self._rules.seed, features_nf=features_nf, layout=layout)

    def _kinds(self, count: int = NUM_KINDS) -> NDArray[np.int64]:
        """Clusters by how pixels were made: few and large."""
        return self._clusters(count, layout=False)

    @property
    def _what_clusters_compare(self) -> str:
        return "image statistics" if self._features is None else "a network's features"

    def _units(self) -> tuple[Sequence[str], str]:
        """What stays whole, and what that is called."""
        if self._pool.groups is not None:
            return self._pool.groups, "group"
        if len(self._pool) < MIN_CLUSTERED:
            component_n = components(near_duplicates(self._scan_of_pool), len(self._pool))
            return [f"d{number}" for number in component_n], "set of near-duplicates"
        num_clusters = min(MAX_CLUSTERS, len(self._pool) // IMAGES_PER_CLUSTER)
        return [f"c{number}" for number in self._clusters(num_clusters)], f"cluster of {self._what_clusters_compare}"

    def hold_out(self) -> None:
        """Takes whole units out of training and validation alike."""
        units, what = self._units()
        chosen_n = self._chosen(units, np.ones(len(self._pool), dtype=bool), self._rules.holdout, _HOLDOUT)
        parts = {"the holdout": chosen_n, "training": ~chosen_n & ~self._in_val_n, "validation": ~chosen_n & self._in_val_n}
        if self._dataset.split_by == "image":  # training and validation are yet to be parted
            parts = {"the holdout": chosen_n, "the rest": ~chosen_n}
        self._require_both(parts, f"a holdout of {self._rules.holdout:g} of the images, by {what}", "judge.holdout")
        self._held_n = chosen_n
        self._notes.append(f"holdout: {chosen_n.sum():,} images, by {what}; scored once, at the end")

    def split_validation(self) -> None:
        """Splits validation images off what trains, whole units together."""
        units, what = self._units()
        if what == "group":
            return
        self._in_val_n = self._chosen(units, ~self._held_n, self._rules.val_fraction, 0)
        parts = {"validation": self._in_val_n, "training": ~self._in_val_n & ~self._held_n}
        self._require_both(parts, f"validation images, by {what}", "data.val_fraction")
        self._found_notes = [note for note in self._found_notes if not note.startswith(UNNAMED)]
        num_val = int(self._in_val_n.sum())
        self._notes.append(f"{UNNAMED}: {num_val:,} were split off the training images, by {what}, seed {self._rules.seed}")

    def shift(self) -> None:
        """Takes whole kinds of images out of training; they validate. A group is of the kind that most of its images are."""
        kind_n = self._kinds()
        if self._pool.groups is not None:
            kind_n = _of_most(kind_n, self._pool.groups)
        kinds = [f"k{number}" for number in kind_n]
        trains_n = ~self._held_n & ~self._in_val_n
        chosen_n = self._chosen(kinds, trains_n, self._rules.shift, _SHIFT)
        what = f"a shift split of {self._rules.shift:g} of the training images"
        parts = {"validation": chosen_n, "training": trains_n & ~chosen_n}
        self._require_both(parts, what, "judge.shift")
        apart = sorted({kinds[row] for row in np.flatnonzero(chosen_n).tolist()})
        self._in_val_n = (self._in_val_n & ~self._held_n) | chosen_n
        self._parts = np.where(np.isin(kinds, apart), SHIFT, SEEN)
        num_apart = int(np.sum(self._in_val_n & (self._parts == SHIFT)))
        self._notes.append(
            f"shift split: {len(apart)} of {len(set(kinds))} kinds of images are not trained on; trials are compared by the "
            f"AUC of their {num_apart:,} images"
        )

    def part_by_group(self) -> None:
        """Parts for the worst group: groups where most images are in large ones, else kinds of images.

        Raises:
            InputError: kinds are too small as well.
        """
        if self._pool.groups is not None and self._compares_by(np.array(self._pool.groups), "groups"):
            return
        num_val = int(np.sum(self._in_val_n & ~self._held_n))
        kind_n = self._kinds(min(NUM_KINDS, max(2, num_val // IMAGES_PER_KIND)))
        what = f"kinds of images (clusters of {self._what_clusters_compare})"
        if not self._compares_by(np.array([f"k{number}" for number in kind_n]), what):
            raise InputError(
                f"search.objective worst_group_auc: of {num_val:,} validation images too few are in groups or {what} with "
                f"{MIN_IMAGES_OF_A_PART} images of a class. Add validation images (or raise data.val_fraction), give larger "
                "groups, or choose auc (--set search.objective=auc)."
            )

    def _compares_by(self, parts_n: NDArray[np.str_], what: str) -> bool:
        """Makes them the parts where two or more are large enough to count, and hold most validation images."""
        validates_n = self._in_val_n & ~self._held_n
        names_n = parts_n[validates_n]
        counted = counted_in_parts(self._pool.labels_n[validates_n], names_n.tolist())
        num_counted = int(np.isin(names_n, list(counted)).sum())
        if len(counted) < 2 or num_counted < MIN_COUNTED_FRACTION * len(names_n):
            return False
        self._parts = parts_n
        self._notes.append(
            f"worst group: of {len(counted):,} {what} with {MIN_IMAGES_OF_A_PART} validation images of a class; they hold "
            f"{num_counted:,} of the {len(names_n):,}"
        )
        return True

    def _chosen(self, units: Sequence[str], among_n: NDArray[np.bool_], fraction: float, stream: int) -> NDArray[np.bool_]:
        rows = np.flatnonzero(among_n).tolist()
        names = tuple(units[row] for row in rows)
        seed = self._rules.seed + 1_000_003 * stream
        chosen_n = np.zeros(len(self._pool), dtype=bool)
        chosen_n[rows] = chosen_groups(names, self._pool.labels_n[rows], fraction, seed)
        return chosen_n

    def _require_both(self, parts: Mapping[str, NDArray[np.bool_]], what: str, key: str) -> None:
        for name, part_n in parts.items():
            if len(np.unique(self._pool.labels_n[part_n])) < 2:
                raise InputError(
                    f"{self._dataset.source}: {what} leaves {name} with one class or no images ({len(self._pool):,} images in "
                    f"all). Add images or groups of both classes, or change {key} (--set {key}=SHARE)."
                )

    def result(self) -> Dataset:
        """The data set as it was split."""
        if not self._notes:
            return self._dataset
        validates_n = self._in_val_n & ~self._held_n
        train = self._pool.take(np.flatnonzero(~self._in_val_n & ~self._held_n))
        rows = np.flatnonzero(validates_n)
        parts = None if self._parts is None else tuple(map(str, self._parts[rows]))
        val = dataclasses.replace(self._pool.take(rows), parts=parts)
        holdout = self._pool.take(np.flatnonzero(self._held_n)) if self._held_n.any() else self._dataset.holdout
        return dataclasses.replace(
            self._dataset,
            train=train,
            val=val,
            holdout=holdout,
            notes=(*self._found_notes, *self._notes),
            fingerprint=fingerprint(train, val, self._dataset.template, holdout),
        )


def _of_most(kind_n: NDArray[np.int64], groups: Sequence[str]) -> NDArray[np.int64]:
    """The commonest kind of each image's group."""
    _, group_n = np.unique(np.array(groups), return_inverse=True)
    counts_gk = np.zeros((group_n.max() + 1, kind_n.max() + 1), dtype=np.int64)
    np.add.at(counts_gk, (group_n, kind_n), 1)
    return np.asarray(counts_gk.argmax(axis=1)[group_n], dtype=np.int64)
