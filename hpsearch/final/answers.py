"""P(deepfake) of image files on a worker, from an export; no Ray here.

Legend: n files.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.data.remote import is_remote, local_copy
from hpsearch.final.scorer import UNKNOWN, Scorer
from hpsearch.run_files import RunFiles, SharedFiles

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerJob:
    """All that a worker needs to score files."""

    paths: tuple[str, ...]
    """The files."""
    source: str
    """Of the data set: where it is an address, this node fetches its copy."""
    cache_dir: str
    """Parent of the node's caches."""
    export: str
    """Directory of the export."""
    num_workers: int
    """Threads that decode."""
    plugins: tuple[str, ...] = ()
    """The user's modules."""
    files: RunFiles = field(default_factory=SharedFiles)
    """How the export reaches this node."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Answers:
    """What came of it."""

    probabilities_n: NDArray[np.float64]
    """P(deepfake) of each file, 0.5 where it cannot be read."""
    unreadable: list[tuple[str, str]]
    """Files that cannot be read, each with its reason."""


def answer(job: AnswerJob) -> Generator[dict[str, int], None, Answers]:
    """Scores the files with the views of the export.

    Yields:
        `done` files.
    """
    job.files.fetch_below(Path(job.export))
    if is_remote(job.source):
        local_copy(job.source, Path(job.cache_dir))
    scorer = Scorer.load(Path(job.export), plugins=job.plugins)
    answers = Answers(probabilities_n=np.full(len(job.paths), UNKNOWN), unreadable=[])
    done = 0
    for rows, probabilities_b, failed in scorer.answers(job.paths, num_workers=job.num_workers):
        answers.probabilities_n[rows] = probabilities_b
        answers.unreadable.extend(failed)
        done += len(rows) + len(failed)
        yield {"done": done}
    return answers
