"""Which deepfakes resemble which real image most, so that training can show them side by side.

Images are compared as grey pictures of `THUMB_PX`, by correlation. Every image of the larger class is given to one of the
smaller, none of which gets more than its share, so that the correlations are largest in sum (a linear assignment). Since that
takes the cube of the number of images, both classes are halved first, at their medians along the direction in which all
pictures differ most, until `MAX_BLOCK` images are left.

Legend: `n` images of the set, `m` real ones, `d` deepfakes, `z` pixels of a picture.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from hpsearch.data.cache_lock import only_one_builder
from hpsearch.data.dataset import DEEPFAKE, REAL
from hpsearch.data.kept import keeping

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.data.training_data import LabelledImages

THUMB_PX = 16
"""Side of the pictures that are compared."""
MAX_BLOCK = 4096
"""Images among which partners are looked for at a time."""
RULE = "matching 1"
"""Names what is computed; another name for another rule leaves what was kept unread."""
_IMAGES_AT_ONCE = 256
_known: WeakKeyDictionary[LabelledImages, Matching] = WeakKeyDictionary()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Matching:
    """Real images, each with the deepfakes beside it."""

    real_m: NDArray[np.int64]
    """Positions of the real images in the set."""
    deepfakes_d: NDArray[np.int64]
    """Positions of deepfakes, those of one real image together; each deepfake of the set at least once."""
    starts_m: NDArray[np.int64]
    """Where those of a real image begin."""
    counts_m: NDArray[np.int64]
    """How many it has; at least 1."""


def matching_of(images: LabelledImages) -> Matching:
    """The matching of a set, kept beside its decoded pixels and in this process."""
    found = _known.get(images)
    if found is None:
        found = _known[images] = _grouped(images.labels_n, _kept(images))
    return found


def _kept(images: LabelledImages) -> NDArray[np.int64]:
    """Pairs, read from the node's cache where an earlier process has left them."""
    pixels = getattr(images.images_nhwc, "filename", None)
    if pixels is None:
        return matched_pairs(thumbs_of(images), images.labels_n)
    content = hashlib.blake2b(RULE.encode() + images.indices_n.tobytes() + images.labels_n.tobytes(), digest_size=8)
    file = Path(pixels).parent / f"matching-{content.hexdigest()}.npy"
    with only_one_builder(file, 0, None):
        if not file.is_file():
            pairs_p2 = matched_pairs(thumbs_of(images), images.labels_n)
            with keeping(file) as stream:
                np.save(stream, pairs_p2)
    return np.asarray(np.load(file), dtype=np.int64)


def thumbs_of(images: LabelledImages) -> NDArray[np.float32]:
    """Grey pictures of all images, shape (n, z), of mean 0 and length 1 (0 where blank)."""
    import torch

    thumbs_nz = np.empty((len(images), THUMB_PX**2), dtype=np.float32)
    for start in range(0, len(images), _IMAGES_AT_ONCE):
        rows = images.indices_n[start : start + _IMAGES_AT_ONCE]
        grey_bhw = torch.from_numpy(np.take(np.asarray(images.images_nhwc), rows, axis=0)).float().mean(dim=3)
        small_bhw = torch.nn.functional.adaptive_avg_pool2d(grey_bhw, THUMB_PX)
        thumbs_nz[start : start + len(rows)] = small_bhw.reshape(len(rows), -1).numpy()
    thumbs_nz -= thumbs_nz.mean(axis=1, keepdims=True)
    return np.asarray(thumbs_nz / np.maximum(np.linalg.norm(thumbs_nz, axis=1, keepdims=True), 1e-6))


def matched_pairs(thumbs_nz: NDArray[np.float32], labels_n: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pairs (real image, deepfake) by position, shape (pairs, 2): each image of both classes in at least one."""
    real, deepfakes = np.flatnonzero(labels_n == REAL), np.flatnonzero(labels_n == DEEPFAKE)
    pairs = [_assigned(thumbs_nz, *block) for block in _blocks(thumbs_nz, real, deepfakes)]
    return np.concatenate(pairs)


def _blocks(
    thumbs_nz: NDArray[np.float32], real: NDArray[np.int64], deepfakes: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    if len(real) + len(deepfakes) <= MAX_BLOCK or min(len(real), len(deepfakes)) < 2:
        yield real, deepfakes
        return
    direction_z = _widest(thumbs_nz[np.concatenate([real, deepfakes])])
    for half in (0, 1):
        yield from _blocks(thumbs_nz, *(_half(rows, thumbs_nz[rows] @ direction_z, half) for rows in (real, deepfakes)))


def _widest(thumbs_nz: NDArray[np.float32]) -> NDArray[np.float32]:
    """Direction of the largest variance, shape (z,)."""
    centred_nz = thumbs_nz - thumbs_nz.mean(axis=0)
    return np.asarray(np.linalg.eigh(centred_nz.T @ centred_nz)[1][:, -1], dtype=np.float32)


def _half(rows: NDArray[np.int64], along: NDArray[np.float32], half: int) -> NDArray[np.int64]:
    order = rows[np.argsort(along, kind="stable")]
    middle = len(order) // 2
    return order[middle:] if half else order[:middle]


def _assigned(thumbs_nz: NDArray[np.float32], real: NDArray[np.int64], deepfakes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pairs of a block: of the class with fewer images each gets its share of the other."""
    from scipy.optimize import linear_sum_assignment

    if len(real) > len(deepfakes):
        return _assigned(thumbs_nz, deepfakes, real)[:, ::-1]
    share = -(-len(deepfakes) // len(real))
    likeness_dm = thumbs_nz[deepfakes] @ thumbs_nz[real].T
    chosen_d, columns = linear_sum_assignment(np.repeat(likeness_dm, share, axis=1), maximize=True)
    chosen_m = columns // share
    alone_m = np.setdiff1d(np.arange(len(real)), chosen_m)
    nearest_d = likeness_dm[:, alone_m].argmax(axis=0)
    return np.column_stack([real[np.r_[chosen_m, alone_m]], deepfakes[np.r_[chosen_d, nearest_d]]])


def _grouped(labels_n: NDArray[np.int64], pairs_p2: NDArray[np.int64]) -> Matching:
    real_m = np.flatnonzero(labels_n == REAL)
    ordered_p2 = pairs_p2[np.lexsort((pairs_p2[:, 1], pairs_p2[:, 0]))]
    starts_m = np.searchsorted(ordered_p2[:, 0], real_m)
    counts_m = np.searchsorted(ordered_p2[:, 0], real_m, side="right") - starts_m
    return Matching(real_m=real_m, deepfakes_d=ordered_p2[:, 1], starts_m=starts_m, counts_m=counts_m)
