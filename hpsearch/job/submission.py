"""The answers for the template: on the cluster's nodes where there is one, else in this process."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.execute.worker_pool import Call, call_in_pool
from hpsearch.final.answers import AnswerJob, Answers, answer
from hpsearch.final.scorer import Scorer
from hpsearch.final.submission import write_submission

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.data.dataset import Template
    from hpsearch.execute.nodes import Nodes
    from hpsearch.execute.resources import TrialResources
    from hpsearch.execute.worker_call import Progress
    from hpsearch.job.inputs import Inputs
    from hpsearch.job.record import Record
    from hpsearch.layout import RunLayout
    from hpsearch.report.display import Display
    from hpsearch.train.worker_setup import WorkerSetup

NUM_NAMED = 3
"""Unreadable images of the template that are named."""
MIN_IMAGES_OF_WORKER = 500
"""So few take no longer than a worker's start."""


@dataclass(kw_only=True, slots=True)
class Submission:
    """`submission.csv` of one run; the export that it is made with removes that of an earlier one."""

    inputs: Inputs
    """What the run works on; a template is among it, or nothing is made."""
    layout: RunLayout
    """Where export and submission lie."""
    record: Record
    """Keeps what the answers say of the template's share of deepfakes."""
    display: Display
    """What people see."""
    setup: WorkerSetup
    """What its workers need for any work."""
    nodes: Nodes
    """Which nodes take something new."""

    @property
    def is_missing(self) -> bool:
        """Whether there is a template that the exported model has not answered."""
        return self.inputs.dataset.template is not None and not self.layout.submission.is_file()

    @property
    def _template(self) -> Template:
        template = self.inputs.dataset.template
        assert template is not None, "asked for where `is_missing`"
        return template

    def make_here(self) -> None:
        """Scores the template in this process.

        Raises:
            InputError: there is no export.
            StorageError: the file cannot be written.
        """
        answers = Scorer.load(self.layout.best).probabilities(self._template.paths, on_progress=self._show)
        self._write(*answers)

    def num_parts(self, resources: TrialResources) -> int:
        """Workers that score at the same time."""
        return max(1, min(resources.slots, len(self._template) // MIN_IMAGES_OF_WORKER))

    def make_on_workers(self, resources: TrialResources) -> None:
        """Scores the template on the cluster, since the driver's own node may be a small one without a GPU.

        Args:
            resources: What each worker gets, and how many there are at most.

        Raises:
            KeyboardInterrupt: Ctrl-C or SIGTERM.
            ClusterError: a worker was lost too often.
            StorageError: the file cannot be written.
        """
        num_parts = self.num_parts(resources)
        self.setup.files.send_below(self.layout.best)
        done = dict.fromkeys(range(num_parts), 0)
        parts: dict[int, Answers] = {}
        waiting = list(range(num_parts))

        def next_call() -> Call[int] | None:
            if not waiting:
                return None
            part = waiting.pop(0)
            job = AnswerJob(
                setup=dataclasses.replace(self.setup, gpus=resources.gpus),
                paths=tuple(self._template.paths[part::num_parts]),
                source=self.inputs.dataset.source,
                export=str(self.layout.best.resolve()),
            )
            return Call(key=part, kwargs={"job": job})

        def on_progress(part: int, progress: Progress) -> None:
            done[part] = progress["done"]
            self._show(sum(done.values()), len(self._template))

        call_in_pool(
            answer,
            next_call,
            resources=resources,
            on_result=parts.__setitem__,
            on_failure=_raise,
            on_progress=on_progress,
            nodes=self.nodes,
        )
        probabilities_n = np.empty(len(self._template))
        for part, answers in parts.items():
            probabilities_n[part::num_parts] = answers.probabilities_n
        self._write(probabilities_n, [one for part in sorted(parts) for one in parts[part].unreadable])

    def _show(self, done: int, total: int) -> None:
        self.display.progress(done, total, "scoring the template")

    def _write(self, probabilities_n: NDArray[np.float64], unreadable: list[tuple[str, str]]) -> None:
        template = self._template
        if unreadable:
            named = "; ".join(f"{path}: {reason}" for path, reason in unreadable[:NUM_NAMED])
            what = f"{len(unreadable):,} of {len(template):,} images of the template"
            self.display.event(f"{what} cannot be read and are scored 0.5: {named}")
        self.record.predicted(probabilities_n)
        write_submission(self.layout.submission, template.names, probabilities_n)


def _raise(part: int, error: Exception) -> None:
    raise error
