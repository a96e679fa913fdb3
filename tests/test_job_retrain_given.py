"""What a run without a search does otherwise than one with it."""

from hpsearch.job.phases import Run
from hpsearch.job.retrain_given import GivenRun


def test_every_step_that_it_replaces_is_a_step_of_a_run() -> None:
    replaced = {name for name, step in vars(GivenRun).items() if callable(step)}
    assert {"_search", "_able"} <= replaced
    assert replaced <= set(vars(Run))
