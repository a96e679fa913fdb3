"""Where the images of each set lie in the one cache of a data set: found once by the driver, read by every worker.

Axis legend: `n` counts images of one set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.data.string_column import StringColumn

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CacheOrder:
    """The order of images in the cache: each path once, sorted, so that another split of the same images uses it too."""

    paths: StringColumn
    """Path of each row."""
    rows: tuple[NDArray[np.int64], ...]
    """Row of each image, of one set after the other."""

    @classmethod
    def of(cls, sets: Sequence[Sequence[str]]) -> CacheOrder:
        """The order of the images of `sets`, each the paths of one set."""
        paths = sorted({path for one in sets for path in one})
        row_of = {path: row for row, path in enumerate(paths)}
        return cls(
            paths=StringColumn.of(paths), rows=tuple(np.array([row_of[path] for path in one], dtype=np.int64) for one in sets)
        )
