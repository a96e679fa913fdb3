"""The engine's contract: over many orders of arrival, after restarts, and as a pure function of its journal."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpsearch.errors import InputError
from hpsearch.search.engine import Engine
from hpsearch.search.fold import Study, fold
from hpsearch.search.journal import Journal, read_events
from hpsearch.search.space import Space
from hpsearch.search.types import EngineConfig, Outcome, Stretch

SPACE = Space.from_dict({"x": {"low": 0.0, "high": 1.0}, "start": [{"x": 0.25}]})
RUNGS = (10, 30, 90)


def config(**changes: Any) -> EngineConfig:
    values: dict[str, Any] = {"rungs": RUNGS, "sampler": "random", "num_trials": 9} | changes
    return EngineConfig(**values)


def opened(journal: Journal | None = None, **changes: Any) -> Engine:
    return Engine.open(SPACE, config(**changes), journal or Journal.in_memory())


def next_stretch(engine: Engine, slot: int = 0) -> Stretch:
    stretch = engine.next(slot)
    assert stretch is not None
    return stretch


def run_to_the_end(engine: Engine, value: Callable[[int, int], float]) -> list[Stretch]:
    """One slot, until the engine has finished."""
    stretches = []
    while (stretch := engine.next(0)) is not None:
        stretches.append(stretch)
        images = stretch.to_images
        while engine.report(stretch.trial, images, value(stretch.trial, images)):
            images = engine.study.trials[stretch.trial].target_images
    assert engine.finished
    return stretches


class Contract:
    """What must hold after every step, whatever the order of events."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.slots: dict[int, Stretch] = {}

    def check(self) -> None:
        study = self.engine.study
        for images, table in study.rungs.items():
            reached = {number for number, trial in study.trials.items() if images in trial.values}
            assert table.promoted <= reached
            assert len(table.promoted) <= math.floor(len(reached) / 3)
        working = [stretch.trial for stretch in self.slots.values()]
        assert len(working) == len(set(working)) == study.num_running
        assert {number for number, trial in study.trials.items() if trial.running} == set(working)
        for trial in study.trials.values():
            is_over = trial.outcome not in (None, Outcome.PAUSED)
            can_go_on = trial.queued or (bool(trial.values) and trial.number in waiting(study, trial.images))
            assert trial.running + is_over + can_go_on == 1, f"trial {trial.number} is lost or in two places: {trial}"
        best = study.best()
        assert best is None or (best.number, best.images) == (study.best_so_far[-1].trial, study.best_so_far[-1].images)


def waiting(study: Study, images: int) -> set[int]:
    table = study.rungs[images]
    ended = {n for n, t in study.trials.items() if t.outcome not in (None, Outcome.PAUSED)}
    return set(table.ranking) - table.promoted - ended


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(
            ["next", "report", "report", "report", "nan", "between", "skip", "lost", "preempted", "end", "interrupt", "restart"]
        ),
        st.integers(0, 5),
        st.integers(0, 4),
    ),
    max_size=120,
)


@given(ACTIONS)
@settings(max_examples=150, deadline=None)
def test_contract_over_random_orders(actions: list[tuple[str, int, int]]) -> None:
    contract = Contract(opened(num_trials=25))
    for action, slot, quality in actions:
        act(contract, action, slot, quality)
        contract.check()
    events = list(contract.engine._journal.events)
    assert plain(fold(events)) == plain(contract.engine.study)


def act(contract: Contract, action: str, slot: int, quality: int) -> None:
    engine, slots = contract.engine, contract.slots
    if action == "restart":
        contract.engine = opened(Journal.in_memory(engine._journal.events), num_trials=25)
        slots.clear()
    elif slot not in slots:
        stretch = engine.next(slot)
        if stretch is not None:
            slots[slot] = stretch
    elif action == "lost":
        engine.lost(slots.pop(slot).trial, "gone")
    elif action == "preempted":
        engine.lost(slots.pop(slot).trial, "taken back", after_notice=True)
    elif action == "end":
        engine.end(slots.pop(slot).trial, Outcome.INFEASIBLE, "too large")
    elif action == "interrupt":
        engine.end(slots.pop(slot).trial, Outcome.PAUSED)
    elif action != "next":
        report(contract, action, slot, quality)


def report(contract: Contract, action: str, slot: int, quality: int) -> None:
    engine, trial = contract.engine, contract.slots[slot].trial
    target = engine.study.trials[trial].target_images
    images = {"between": target - 1, "skip": min(target * 3, RUNGS[-1])}.get(action, target)
    if not engine.report(trial, images, math.nan if action == "nan" else float(quality)):
        del contract.slots[slot]
    if action == "nan":
        assert engine.study.trials[trial].outcome is Outcome.DIVERGED


def plain(study: Study) -> Any:
    tables = {images: (table.ranking, table.promoted, table.promotable()) for images, table in study.rungs.items()}
    return study.trials, tables, study.queue, study.images_trained, study.num_running, study.counts()


@given(ACTIONS, st.data())
@settings(max_examples=60, deadline=None)
def test_the_same_prefix_and_the_same_next_event_give_the_same_decision(actions: Any, data: st.DataObject) -> None:
    contract = Contract(opened(num_trials=25))
    for action, slot, quality in actions:
        act(contract, action, slot, quality)
    slot, quality = data.draw(st.integers(0, 5)), data.draw(st.integers(0, 4))
    twin = Contract(Engine(SPACE, config(num_trials=25), Journal.in_memory(contract.engine._journal.events)))
    twin.slots = dict(contract.slots)
    for one in (contract, twin):
        act(one, "report", slot, quality)
    assert twin.slots == contract.slots
    assert twin.engine._journal.events == contract.engine._journal.events
    assert twin.engine.next(9) == contract.engine.next(9)


def test_the_best_third_of_each_rung_reaches_the_next() -> None:
    engine = opened()
    run_to_the_end(engine, lambda trial, images: trial)
    sizes = {images: len(table) for images, table in engine.study.rungs.items()}
    assert sizes == {10: 9, 30: 3, 90: 1}
    assert engine.study.counts()[Outcome.COMPLETED] == 1
    assert engine.study.images_trained == 9 * 10 + 3 * 20 + 60


def test_start_points_come_first_and_what_they_leave_out_is_drawn() -> None:
    space = Space.from_dict({"x": {"low": 0.0, "high": 1.0}, "y": {"low": 0.0, "high": 1.0}, "start": [{"x": 0.25}]})
    engine = Engine.open(space, config(), Journal.in_memory())
    first = next_stretch(engine)
    assert first.params["x"] == 0.25
    assert 0.0 <= float(first.params["y"]) <= 1.0
    assert engine.study.trials[0].origin == "start"
    assert engine.study.trials[next_stretch(engine).trial].origin == "random"


def test_a_trial_that_is_chosen_when_it_reports_goes_on_in_place() -> None:
    engine = opened(eta=2.0)
    assert not engine.report(next_stretch(engine).trial, 10, 0.1)
    assert engine.report(next_stretch(engine).trial, 10, 0.9)
    assert engine.study.trials[1].target_images == 30


def test_ties_go_to_the_earlier_trial() -> None:
    engine = opened()
    for _ in range(3):
        trial = next_stretch(engine).trial
        engine.report(trial, 10, 0.5)
    assert next_stretch(engine).trial == 0


def test_nothing_follows_a_nan() -> None:
    engine = opened()
    trial = next_stretch(engine).trial
    assert not engine.report(trial, 4, math.inf)
    assert not engine.report(trial, 10, 0.9)
    engine.end(trial, Outcome.FAILED, "later")
    engine.lost(trial, "later")
    state = engine.study.trials[trial]
    assert (state.outcome, state.values) == (Outcome.DIVERGED, {})
    assert engine.study.images_trained == 4


def test_a_report_between_rungs_is_not_filed_and_one_that_skips_a_rung_only_at_the_highest() -> None:
    engine = opened()
    trial = next_stretch(engine).trial
    assert engine.report(trial, 9, 0.9)
    assert engine.study.trials[trial].values == {}
    assert not engine.report(trial, 31, 0.8)
    assert engine.study.trials[trial].values == {30: 0.8}
    assert len(engine.study.rungs[10]) == 0


def test_a_lost_stretch_is_handed_out_again_three_times_and_first() -> None:
    engine = opened()
    lost = next_stretch(engine)
    for _ in range(3):
        engine.lost(lost.trial, "node gone")
        assert next_stretch(engine) == lost
    engine.lost(lost.trial, "node gone")
    state = engine.study.trials[lost.trial]
    assert (state.outcome, state.message) == (Outcome.FAILED, "lost its worker 4 times: node gone")
    assert next_stretch(engine).trial != lost.trial


def test_losses_after_notice_do_not_count() -> None:
    engine = opened()
    lost = next_stretch(engine)
    for _ in range(5):
        engine.lost(lost.trial, "taken back", after_notice=True)
        assert next_stretch(engine) == lost
    for _ in range(3):
        engine.lost(lost.trial, "node gone")
        assert next_stretch(engine) == lost
    state = engine.study.trials[lost.trial]
    assert (state.num_lost, state.num_retries, state.outcome) == (3, 3, None)


def test_losses_are_counted_for_each_stretch_anew() -> None:
    engine = opened(eta=2.0)
    engine.report(next_stretch(engine).trial, 10, 0.1)
    trial = next_stretch(engine).trial
    for _ in range(3):
        engine.lost(trial, "gone")
        assert next_stretch(engine).trial == trial
    assert engine.report(trial, 10, 0.9)
    engine.lost(trial, "gone")
    again = next_stretch(engine)
    assert (again.trial, again.from_images, again.to_images) == (trial, 10, 30)
    assert engine.study.trials[trial].num_lost == 4


def test_a_restart_hands_running_trials_out_again_and_no_rung_twice(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    engine = opened(journal)
    first, second = next_stretch(engine, 0), next_stretch(engine, 1)
    engine.report(first.trial, 10, 0.5)
    journal.close()
    journal = Journal(tmp_path / "journal.jsonl")
    again = opened(journal)
    assert next_stretch(again) == second
    again.report(second.trial, 10, 0.4)
    run_to_the_end(again, lambda trial, images: trial)
    journal.close()
    filed = [(e["trial"], e["images"]) for e in read_events(tmp_path / "journal.jsonl") if e["event"] == "rung"]
    assert len(filed) == len(set(filed))
    assert again.study.counts()[Outcome.COMPLETED] == 1


def test_a_crash_between_a_rung_and_its_decision_pauses_the_trial() -> None:
    engine = opened()
    trial = next_stretch(engine).trial
    engine.report(trial, 10, 0.5)
    events = engine._journal.events
    assert [event["event"] for event in events[-2:]] == ["rung", "stopped"]
    again = opened(Journal.in_memory(events[:-1]))
    assert again.study.trials[trial].outcome is Outcome.PAUSED
    assert not again.study.queue


def test_a_crash_between_suggestion_and_start_loses_no_trial() -> None:
    engine = opened()
    first = next_stretch(engine)
    assert next_stretch(opened(Journal.in_memory(engine._journal.events[:-1]))) == first


def test_more_trials_continue_the_study_and_another_study_is_refused() -> None:
    engine = opened(num_trials=3)
    run_to_the_end(engine, lambda trial, images: trial)
    events = engine._journal.events
    grown = opened(Journal.in_memory(events), num_trials=5)
    assert next_stretch(grown).trial == 3
    with pytest.raises(InputError, match=r"seed: 0 in the study, 7 now(.|\n)*--name"):
        opened(Journal.in_memory(events), seed=7)
    other = Space.from_dict({"x": {"low": 0.0, "high": 2.0}, "start": [{"x": 0.25}]})
    with pytest.raises(InputError, match=r"space\.dimensions\.x\.high: 1\.0 in the study, 2\.0 now"):
        Engine.open(other, config(), Journal.in_memory(events))
    with pytest.raises(InputError, match=r"identity\.data: absent in the study, abc now"):
        Engine.open(SPACE, config(), Journal.in_memory(events), identity={"data": "abc"})


def test_ending_twice_or_after_the_fact_changes_nothing() -> None:
    engine = opened()
    trial = next_stretch(engine).trial
    engine.report(trial, 10, 0.5)
    before = len(engine._journal.events)
    engine.end(trial, Outcome.PAUSED)
    engine.end(trial, Outcome.COMPLETED)
    assert len(engine._journal.events) == before


def test_a_trial_told_to_stop_short_of_its_rung_goes_on_later() -> None:
    engine = opened()
    stretch = next_stretch(engine)
    engine.end(stretch.trial, Outcome.PAUSED, "the time is used")
    assert not engine.finished
    assert next_stretch(engine) == stretch


def test_a_runner_that_ends_before_its_rung_has_failed() -> None:
    engine = opened()
    trial = next_stretch(engine).trial
    engine.end(trial, Outcome.COMPLETED)
    assert engine.study.trials[trial].outcome is Outcome.FAILED
    assert "before its rung at 10" in engine.study.trials[trial].message


def study_of(*values_of_trials: Mapping[int, float]) -> Study:
    """A study whose trials have these values by images."""
    events: list[dict[str, Any]] = [{"event": "study", "rungs": [10, 30], "eta": 3.0}]
    for number, values in enumerate(values_of_trials):
        events.append({"event": "suggested", "trial": number, "params": {}, "origin": "random"})
        events += [
            {"event": "rung", "trial": number, "images": images, "value": value, "seconds": 1.0, "metrics": {}}
            for images, value in values.items()
        ]
    return fold(events)


def test_one_trial_that_went_further_has_to_beat_the_others() -> None:
    assert study_of().best() is None
    ranking = study_of({10: 0.9, 30: 0.85}, {10: 0.88}, {10: 0.5}).ranking()
    assert [trial.number for trial in ranking] == [1, 0, 2]


def test_three_trials_that_went_further_are_compared_among_themselves() -> None:
    ranking = study_of({10: 0.99}, {10: 0.9, 30: 0.85}, {10: 0.5, 30: 0.7}, {10: 0.8, 30: 0.86}).ranking()
    assert [trial.number for trial in ranking] == [3, 1, 2]


def test_best_so_far_falls_where_a_higher_rung_begins_to_count() -> None:
    study = study_of({10: 0.9, 30: 0.6}, {10: 0.5, 30: 0.7}, {10: 0.95}, {10: 0.5, 30: 0.65})
    steps = [(step.trial, step.images, step.value, step.num_trials) for step in study.best_so_far]
    assert steps == [(0, 10, 0.9, 1), (0, 30, 0.6, 1), (1, 30, 0.7, 2), (2, 10, 0.95, 3), (1, 30, 0.7, 4)]


def test_only_a_full_training_has_a_full_value() -> None:
    trials = study_of({10: 0.9}, {10: 0.5, 30: 0.7}).trials
    assert [trial.full_value for trial in trials.values()] == [None, 0.7]


def test_best_leaves_out_what_cannot_be_retrained() -> None:
    engine = opened(num_trials=4)
    for value in (0.9, 0.8):
        engine.report(next_stretch(engine).trial, 10, value)
    engine.end(0, Outcome.INFEASIBLE, "does not fit")
    best = engine.best()
    assert best is not None
    assert best.number == 1


def test_pieces_that_come_to_nothing_count_by_the_gpu_share_of_their_time() -> None:
    seconds = iter([0.0, 0.0, 10.0, 25.0])
    events = opened()._journal.events
    study = fold(events)
    for event in (
        {"event": "resources", "gpus": 0.5},
        {"event": "suggested", "trial": 0, "params": {}, "origin": "start"},
        {"event": "started", "trial": 0, "slot": 0, "from_images": 0, "to_images": 10},
        {"event": "stopped", "trial": 0, "reason": "lost", "message": ""},
    ):
        study.apply({**event, "at": 0.0, "ran": next(seconds)})
    assert study.gpu_seconds == 0.5 * (25.0 - 10.0)


def test_the_gpu_share_is_journaled_where_it_changes() -> None:
    engine = opened()
    for gpus in (0.0, 0.5, 0.5, 1.0):
        engine.resources(gpus)
    told = [event["gpus"] for event in engine._journal.events if event["event"] == "resources"]
    assert told == [0.5, 1.0]
    assert fold(engine._journal.events).gpus_per_trial == 1.0


def test_phases_add_up_over_runs() -> None:
    engine = opened()
    engine.phase("search", 2.0, gpu_seconds=1.0)
    again = opened(Journal.in_memory(engine._journal.events))
    again.phase("search", 3.0, gpu_seconds=0.5)
    assert (again.study.phases, again.study.gpu_seconds) == ({"search": 5.0}, 1.5)
