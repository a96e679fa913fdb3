"""Checkpoints of the study as a whole: those that may still be resumed, and no more."""

from __future__ import annotations

from hpsearch.layout import RunLayout
from hpsearch.run_files import RunFiles, SharedFiles
from hpsearch.search.fold import Study
from hpsearch.search.types import FINAL

MAX_WAITING_PER_RUNG = 16
"""Paused trials at one rung, best first, whose checkpoint is kept.

In simulated studies of 200 trials (η = 3, 4 and 64 workers) no promoted trial had lost its checkpoint by this cap. One that has
starts again from 0 images, which costs its earlier rungs once more.
"""


def resumable_trials(study: Study, max_waiting_per_rung: int = MAX_WAITING_PER_RUNG) -> set[int]:
    """Trials whose checkpoint may still be of use.

    Those that run or were cut short; the best one; and at each rung the best waiting ones that `num_trials` still allow to be
    promoted: at most ⌊N/η⌋ of the N trials that can reach a rung are promoted from it, so lower ranks never are.
    """
    keep = {number for number, trial in study.trials.items() if trial.running or trial.queued}
    best = study.best()
    if best is not None:
        keep.add(best.number)
    eta = study.header["eta"]
    most_trials = study.num_trials
    for images in sorted(study.rungs)[:-1]:
        table = study.rungs[images]
        ranking = table.ranking
        if most_trials is not None:
            most_trials = int(max(most_trials, len(ranking)) / eta + 1e-9)
            ranking = ranking[:most_trials]
        waiting = [number for number in ranking if number not in table.promoted and study.trials[number].outcome not in FINAL]
        keep.update(waiting[:max_waiting_per_rung])
    return keep


class CheckpointKeeper:
    """Deletes the checkpoints of a run that can no longer be resumed."""

    def __init__(self, layout: RunLayout, study: Study, files: RunFiles | None = None) -> None:
        """Takes care of all trials of `study`, those of earlier runs included; `files`: None where all nodes share them."""
        self._layout = layout
        self._files = files or SharedFiles()
        self._study = study
        self._may_have_one = set(study.trials)

    def sweep(self, *trials: int) -> None:
        """Deletes what is of no use any more, now that `trials` may have a checkpoint as well."""
        self._may_have_one.update(trials)
        keep = resumable_trials(self._study)
        for number in self._may_have_one - keep:
            self._files.remove(self._layout.checkpoint(number))
        self._may_have_one &= keep
