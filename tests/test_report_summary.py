"""A study in a few numbers."""

import pytest

from hpsearch.report.summary import correlation_warning, rank_correlation, summarise
from hpsearch.search.fold import Study, fold
from hpsearch.search.types import Outcome, TrialState
from tests.report_studies import RUNGS, simulate


@pytest.fixture(scope="module")
def study() -> Study:
    return fold(simulate(24).events)


def trial(number: int, *values: float, outcome: Outcome = Outcome.PAUSED) -> TrialState:
    return TrialState(number=number, params={}, origin="tpe", values=dict(zip(RUNGS, values, strict=False)), outcome=outcome)


def study_of(*trials: TrialState) -> Study:
    study = fold([{"event": "study", "rungs": list(RUNGS), "eta": 3.0}])
    for one in trials:
        study.trials[one.number] = one
        for images, value in one.values.items():
            study.rungs[images].file(one.number, value)
    return study


def test_every_trial_is_counted_in_one_state(study: Study) -> None:
    summary = summarise(study)
    assert sum(summary.counts.values()) == summary.num_trials == 24
    assert summary.counts["diverged"] == summary.counts["failed"] == 1


def test_rungs_count_who_reached_them_and_who_went_on(study: Study) -> None:
    first, second, top = summarise(study).rungs
    assert first.num_reached == 22
    assert first.num_promoted == 7
    assert second.num_reached == 7
    assert top.num_promoted == 0


def test_running_and_waiting_trials_are_not_taken_for_paused_ones() -> None:
    running, waiting = trial(0, 0.6), trial(1, 0.5)
    running.running, waiting.queued = True, True
    assert summarise(study_of(running, waiting)).counts == {"running": 1, "waiting": 1}


def test_rank_correlation_needs_eight_trials() -> None:
    assert rank_correlation([1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 4, 5, 6, 7]) is None
    assert rank_correlation(list(range(8)), [v * v for v in range(8)]) == pytest.approx(1)
    assert rank_correlation([1.0] * 8, list(range(8))) is None


def test_first_rung_that_says_nothing_about_the_top_one_is_warned_of() -> None:
    firsts = [number / 20 for number in range(20)]
    lasts = [number * 13 % 20 / 20 for number in range(20)]
    weak = summarise(study_of(*(trial(n, first, 0.5, last) for n, (first, last) in enumerate(zip(firsts, lasts, strict=True)))))
    assert abs(weak.rungs[0].correlation or 1) < 0.1
    assert "says little about the order at the top one" in correlation_warning(weak)
    few = summarise(study_of(*(trial(n, firsts[n], 0.5, lasts[n]) for n in range(9))))
    assert correlation_warning(few) == "", "nine trials prove nothing"
    strong = summarise(study_of(*(trial(n, first, 0.5, first) for n, first in enumerate(firsts))))
    assert correlation_warning(strong) == ""
