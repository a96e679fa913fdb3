"""Which trials the finals may take, and what is said where there are none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.errors import NoUsableTrialError

if TYPE_CHECKING:
    from hpsearch.search.fold import Study
    from hpsearch.search.types import TrialState


def able_trials(study: Study, log_file: Path) -> list[TrialState]:
    """Trials that may be trained again, the best first.

    Raises:
        NoUsableTrialError: there are none; the message says why, and that `log_file` says more.
    """
    able = study.ranking()
    if able:
        return able
    trials = study.trials.values()
    messages = [f"trial {trial.number} {trial.outcome}: {trial.message}" for trial in trials if trial.message][:3]
    reasons = "\n".join(messages) or "No trial reached its first rung; give more time with --minutes."
    raise NoUsableTrialError(f"no trial of {len(trials)} can be retrained.\n{reasons}\nThe whole story is in {log_file}.")
