"""P(deepfake) of image files on a worker, from an export; no Ray here.

Legend: n files.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.data.remote import is_remote, local_copy
from hpsearch.final.scorer import UNKNOWN, Scorer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.train.worker_setup import WorkerSetup


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerJob:
    """All that a worker needs to score files."""

    setup: WorkerSetup
    """What the worker needs for any work."""
    paths: tuple[str, ...]
    """The files."""
    source: str
    """Of the data set: where it is an address, this node fetches its copy."""
    export: str
    """Directory of the export."""


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
    device = job.setup.begin()
    job.setup.files.fetch_below(Path(job.export))
    if is_remote(job.source):
        local_copy(job.source, Path(job.setup.cache_dir))
    scorer = Scorer.load(Path(job.export), plugins=job.setup.plugins, device=device)
    answers = Answers(probabilities_n=np.full(len(job.paths), UNKNOWN), unreadable=[])
    done = 0
    for rows, probabilities_b, failed in scorer.answers(job.paths, num_workers=job.setup.num_workers):
        answers.probabilities_n[rows] = probabilities_b
        answers.unreadable.extend(failed)
        done += len(rows) + len(failed)
        yield {"done": done}
    return answers
