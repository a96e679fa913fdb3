"""What a run of a search knows while it goes on, with the real engine and without Ray."""

import logging
from typing import Any

import pytest

from hpsearch.errors import StorageError
from hpsearch.execute.outcome import judge_exception
from hpsearch.execute.session import Ending, SearchEvent, SearchSession
from hpsearch.execute.stretch import RungReport
from hpsearch.search.engine import Engine
from hpsearch.search.journal import Journal
from hpsearch.search.space import Space
from hpsearch.search.types import EngineConfig, Outcome
from hpsearch.train.progress import Progress

SPACE = Space.from_dict({"x": {"low": 0.0, "high": 1.0}})


def engine_of(num_trials: int) -> Engine:
    config = EngineConfig(rungs=(10, 30), sampler="random", num_trials=num_trials)
    return Engine.open(SPACE, config, Journal.in_memory())


class Observed:
    """A session with two slots, and what it told."""

    def __init__(self, num_trials: int = 3, **options: Any) -> None:
        self.events: list[SearchEvent] = []
        self.engine = engine_of(num_trials)
        self.session = SearchSession(self.engine, num_slots=2, on_event=self.events.append, **options)

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


def report(images: int = 10, value: float = 0.5) -> RungReport:
    return RungReport(images=images, value=value)


def test_no_more_stretches_than_slots_are_live() -> None:
    session = Observed().session
    assert session.take("a") is not None
    assert session.take("b") is not None
    assert session.take("c") is None
    assert not session.is_over


def test_freed_slot_gets_the_next_stretch() -> None:
    observed = Observed()
    observed.session.take("a")
    observed.session.take("b")
    observed.session.rung("a", report())
    observed.session.free("a")
    stretch = observed.session.take("c")
    assert stretch is not None
    assert stretch.trial == 2
    assert observed.events[-1].slot == 0


def test_slots_that_join_are_used_and_slots_that_leave_are_not_filled_again() -> None:
    observed = Observed(num_trials=9)
    for key in "ab":
        observed.session.take(key)
    observed.session.num_slots = 3
    assert observed.session.take("c") is not None
    assert observed.events[-1].slot == 2
    observed.session.num_slots = 1
    observed.session.rung("a", report())
    observed.session.free("a")
    assert observed.session.take("d") is None


def test_search_is_over_once_nothing_is_live_and_the_engine_has_nothing() -> None:
    session = Observed(num_trials=1).session
    session.take("a")
    assert session.take("b") is None
    assert not session.is_over
    session.rung("a", report())
    session.free("a")
    assert session.take("b") is None
    assert session.is_over
    assert session.ending is Ending.FINISHED


def test_worker_that_never_answered_is_lost_and_its_stretch_handed_out_again() -> None:
    observed = Observed(num_trials=1)
    first = observed.session.take("a")
    observed.session.free("a", "the node died")
    assert observed.kinds() == ["started", "lost"]
    assert observed.session.take("b") == first


def test_losses_after_notice_do_not_count() -> None:
    observed = Observed(num_trials=1)
    for key in "abcde":
        assert observed.session.take(key) is not None
        observed.session.free(key, "taken back", after_notice=True)
    assert observed.kinds() == ["started", "lost"] * 5
    assert observed.session.take("f") is not None


def test_stretch_that_may_not_begin_is_moved_and_its_worker_not_lost() -> None:
    observed = Observed(num_trials=1)
    first = observed.session.take("a")
    observed.session.move("a", "given notice")
    observed.session.free("a", "ended")
    assert observed.kinds() == ["started", "moved"]
    assert observed.session.take("b") == first


def test_answers_that_a_moved_stretch_still_gives_change_nothing() -> None:
    observed = Observed(num_trials=1)
    first = observed.session.take("a")
    observed.session.move("a", "given notice")
    assert not observed.session.rung("a", report())
    observed.session.judged("a", judge_exception(ValueError("cut short")))
    observed.session.free("a")
    assert observed.kinds() == ["started", "moved"]
    assert observed.session.take("b") == first


def test_trial_that_may_not_stay_goes_on_elsewhere_from_its_rung() -> None:
    observed = Observed(num_trials=3)
    for key in "ab":
        observed.session.take(key)
        observed.session.rung(key, report(value=0.1))
        observed.session.free(key)
    observed.session.take("c")
    assert not observed.session.rung("c", report(value=0.9), may_stay=False)
    observed.session.free("c", "ended")
    assert observed.kinds()[-2:] == ["rung", "moved"]
    stretch = observed.session.take("d")
    assert stretch is not None
    assert (stretch.trial, stretch.from_images) == (2, 10)


def test_trial_that_loses_its_worker_too_often_fails_and_the_search_ends() -> None:
    observed = Observed(num_trials=1)
    for key in "abcd":
        assert observed.session.take(key) is not None
        observed.session.free(key, "died")
    assert observed.session.take("e") is None
    assert observed.session.is_over
    assert observed.engine.study.trials[0].outcome is Outcome.FAILED


def test_judged_trial_is_not_counted_as_lost() -> None:
    observed = Observed(num_trials=1)
    observed.session.take("a")
    observed.session.judged("a", judge_exception(ValueError("no such layer")))
    observed.session.free("a")
    assert observed.kinds() == ["started", "ended"]
    assert observed.engine.study.trials[0].outcome is Outcome.FAILED
    assert observed.engine.study.trials[0].message == "ValueError: no such layer"


def test_value_that_is_not_finite_ends_the_trial_as_diverged() -> None:
    observed = Observed()
    observed.session.take("a")
    assert not observed.session.rung("a", report(value=float("nan")))
    assert observed.events[-1].outcome is Outcome.DIVERGED


def test_used_budget_lets_stretches_reach_their_rung_and_hands_out_nothing_more() -> None:
    used = False
    observed = Observed(num_trials=9, should_stop=lambda: used)
    observed.session.take("a")
    observed.session.take("b")
    used = True
    assert not observed.session.rung("a", report())
    observed.session.free("a")
    assert observed.session.take("c") is None
    assert not observed.session.is_over
    assert not observed.session.must_stop_now
    observed.session.rung("b", report())
    observed.session.free("b")
    assert observed.session.is_over
    assert observed.session.ending is Ending.BUDGET
    assert observed.engine.study.num_running == 0


def test_trial_that_would_go_on_is_cut_short_at_its_rung_when_the_budget_is_used() -> None:
    used = False
    observed = Observed(num_trials=9, should_stop=lambda: used)
    for key, value in (("a", 0.1), ("b", 0.2)):
        observed.session.take(key)
        observed.session.rung(key, report(value=value))
        observed.session.free(key)
    observed.session.take("c")
    used = True
    assert not observed.session.rung("c", report(value=0.9))  # best of three: the engine says go on
    observed.session.free("c")
    trial = observed.engine.study.trials[2]
    assert trial.queued
    assert trial.num_lost == 0


def test_deadline_stops_what_is_live() -> None:
    observed = Observed(is_late=lambda: True)
    assert observed.session.take("a") is None
    assert observed.session.is_over
    assert observed.session.ending is Ending.BUDGET


def test_interrupted_stretch_is_cut_short_not_lost() -> None:
    observed = Observed()
    observed.session.take("a")
    observed.session.interrupt()
    assert observed.session.must_stop_now
    observed.session.free("a", "killed")
    trial = observed.engine.study.trials[0]
    assert (trial.queued, trial.num_lost) == (True, 0)
    assert observed.session.ending is Ending.INTERRUPTED


def test_full_disk_in_a_stretch_stops_the_search_and_blames_no_trial() -> None:
    observed = Observed()
    observed.session.take("a")
    observed.session.judged("a", judge_exception(StorageError("/runs: no space left")))
    assert observed.session.must_stop_now
    assert isinstance(observed.session.error, StorageError)
    assert observed.engine.study.trials[0].outcome is None


def test_what_the_journal_raises_is_kept_for_the_caller() -> None:
    observed = Observed()
    observed.session.take("a")

    def full(*args: Any, **kwargs: Any) -> bool:
        raise StorageError("journal: no space left")

    observed.engine.report = full  # type: ignore[method-assign]
    assert not observed.session.rung("a", report())
    assert str(observed.session.error) == "journal: no space left"
    assert observed.session.must_stop_now


def test_engine_that_had_nothing_is_not_asked_again_before_something_happened() -> None:
    observed = Observed(num_trials=1)
    observed.session.take("a")
    asked = []
    answer = observed.engine.next
    observed.engine.next = lambda slot: asked.append(slot) or answer(slot)  # type: ignore[method-assign]
    for _ in range(5):
        observed.session.take("b")
    assert len(asked) == 1


def test_progress_is_told_once_per_news_and_never_backwards() -> None:
    observed = Observed()
    observed.session.take("a")
    observed.session.progress("a", Progress(images=5, images_per_second=100.0))
    observed.session.progress("a", Progress(images=3, images_per_second=100.0))
    observed.session.progress("gone", Progress(images=9, images_per_second=100.0))
    assert [event.images for event in observed.events if event.kind == "progress"] == [5]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING")


def test_what_a_worker_logged_is_logged_with_its_trial(caplog: pytest.LogCaptureFixture) -> None:
    session = Observed().session
    session.take("a")
    with caplog.at_level(logging.INFO):
        session.said("a", [(logging.INFO, "resnet18, 11 parameters"), (logging.WARNING, "its checkpoint is gone")])
        session.said("gone", [(logging.WARNING, "too late")])
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert said == [
        ("INFO", "trial 0: resnet18, 11 parameters"),
        ("WARNING", "trial 0: its checkpoint is gone"),
        ("WARNING", "too late"),
    ]
