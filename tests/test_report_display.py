"""The live display, on a terminal and elsewhere, and what status prints."""

import contextlib
import dataclasses
import io
import json
import os
import time

import pytest
from rich.console import Console

from hpsearch.report import wording
from hpsearch.report.display import SECONDS_BETWEEN_LINES, Display, DisplayMode, _Console
from hpsearch.report.moment import BudgetUse, TrialProgress, moment_of
from hpsearch.report.panels import status_group
from hpsearch.search.fold import Study, fold
from hpsearch.search.types import Outcome
from hpsearch.train.gpu_use import GpuUse
from tests.report_studies import simulate

BUDGET = BudgetUse(seconds=192, max_seconds=480, max_trials=24)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def study() -> Study:
    return fold(simulate(24).events)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def console(*, terminal: bool, width: int = 100) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=width, highlight=False, color_system=None)


def written(display_console: Console) -> str:
    assert isinstance(display_console.file, io.StringIO)
    return display_console.file.getvalue()


def shown(display: Display, width: int = 100) -> str:
    target = console(terminal=False, width=width)
    target.print(display.render())
    return written(target)


def open_display(mode: DisplayMode, clock: Clock, *, terminal: bool = False) -> tuple[Display, Console]:
    target = console(terminal=terminal)
    return Display(mode, name="demo", console=target, clock=clock), target


@pytest.fixture
def running(study: Study) -> dict[int, TrialProgress]:
    number = max(study.trials)
    return {number: TrialProgress(images=900, to_images=2000, images_per_second=210.4)}


def test_auto_is_a_panel_on_a_terminal_and_lines_elsewhere(clock: Clock) -> None:
    assert open_display("auto", clock, terminal=True)[0].mode == "rich"
    assert open_display("auto", clock, terminal=False)[0].mode == "plain"


def test_panel_shows_states_rungs_best_running_trials_and_time_left(
    study: Study, clock: Clock, running: dict[int, TrialProgress]
) -> None:
    display, _ = open_display("rich", clock)
    display.phase("searching")
    display.update(study, running=running, budget=BUDGET)
    text = shown(display)
    best = study.best()
    assert best is not None
    for expected in (
        "demo · searching",
        "24 of 24 trials",
        "1 diverged",
        "1 failed",
        "18,000",
        f"best auc {best.value:.4f}",
        f"trial {best.number}, 18,000 images",
        f"backbone {best.params['backbone']}",
        "se_reduction",
        "900 / 2,000",
        "210 images/s",
        "4 min 48 s left of 8 min 00 s",
    ):
        assert expected in text
    promoted = [str(len(study.rungs[images].promoted)) for images in list(study.rungs)[:-1]]
    (heading,) = (line for line in text.splitlines() if "promoted" in line)
    assert heading.split()[1:] == ["rung", "images", "reached", "promoted", "best", "median", "│"]
    assert [line.split()[4] for line in text.splitlines() if line.split()[1:2] in (["1"], ["2"])] == promoted
    assert wording.sparkline([step.value for step in study.best_so_far], 32) in text


def test_without_a_limit_in_time_the_pace_says_when_the_last_trial_begins(
    clock: Clock, running: dict[int, TrialProgress]
) -> None:
    display, _ = open_display("rich", clock)
    study = fold(simulate(24, stop_after=9).events)
    summary = moment_of(study, budget=BUDGET).summary
    tried = summary.num_trials - summary.counts.get("running", 0)
    budget = BudgetUse(seconds=60.0 * tried, max_trials=summary.num_trials + 5)
    display.update(study, running=running, budget=budget)
    assert "about 5 min 00 s until all trials have begun" in shown(display)
    display.update(study, running={}, budget=budget)
    display.phase("retraining")
    assert "have begun" not in shown(display)


def test_panel_fits_a_narrow_terminal(study: Study, clock: Clock, running: dict[int, TrialProgress]) -> None:
    display, _ = open_display("rich", clock)
    display.update(study, running=running, budget=BUDGET)
    assert max(len(line) for line in shown(display, width=60).splitlines()) <= 60


def test_time_goes_on_between_updates(study: Study, clock: Clock) -> None:
    display, _ = open_display("rich", clock)
    display.update(study, running={}, budget=BUDGET)
    clock.now += 60
    assert "3 min 48 s left" in shown(display)


def test_a_new_phase_shows_the_study_as_it_was_left_without_running_trials(
    study: Study, clock: Clock, running: dict[int, TrialProgress]
) -> None:
    display, _ = open_display("rich", clock)
    display.update(fold(simulate(4).events), running=running, budget=BUDGET)
    display.update(study, running=running, budget=BUDGET)
    assert "24 of 24 trials" not in shown(display), "looks only a few times a second"
    display.phase("retraining")
    assert "24 of 24 trials" in shown(display)
    assert "900 / 2,000" not in shown(display)


def test_many_running_trials_are_counted_rather_than_listed(study: Study, clock: Clock) -> None:
    display, _ = open_display("rich", clock)
    running = {number: TrialProgress(images=1, to_images=2) for number in range(64)}
    display.update(study, running=running, budget=BUDGET)
    assert "and 56 more" in shown(display)


def gpu(uuid: str, busy_fraction: float = 0.5) -> GpuUse:
    return GpuUse(uuid=uuid, name="NVIDIA H100", busy_fraction=busy_fraction, used_bytes=41 * 2**30, total_bytes=80 * 2**30)


def test_the_speed_stands_beside_what_the_machine_could_do_without_waiting_for_images(study: Study, clock: Clock) -> None:
    display, _ = open_display("rich", clock)
    running = {n: TrialProgress(images=1, to_images=2, images_per_second=90.0, step_fraction=0.9) for n in range(2)}
    display.update(study, running=running, budget=BUDGET)
    assert "180 of 200 possible images/s" in shown(display)


def test_what_is_possible_is_not_said_while_one_trial_has_not_measured_it(study: Study, clock: Clock) -> None:
    display, _ = open_display("rich", clock)
    running = {0: TrialProgress(images=1, to_images=2, images_per_second=90.0, step_fraction=0.9)}
    running[1] = TrialProgress(images=1, to_images=2, images_per_second=90.0)
    display.update(study, running=running, budget=BUDGET)
    assert "180 images/s" in shown(display)


def test_each_gpu_is_shown_once_however_many_trials_share_it(study: Study, clock: Clock) -> None:
    display, _ = open_display("rich", clock)
    trials = [gpu("a", 0.75), gpu("a", 0.75), gpu("b", 0.25), None]
    running = {number: TrialProgress(images=1, to_images=2, gpu=use) for number, use in enumerate(trials)}
    display.update(study, running=running, budget=BUDGET)
    text = shown(display)
    assert text.count("NVIDIA H100") == 2
    assert "75% busy  41.0 GiB of 80.0 GiB" in text


def test_many_gpus_are_summed_up(study: Study, clock: Clock) -> None:
    display, target = open_display("plain", clock)
    running = {number: TrialProgress(images=1, to_images=2, gpu=gpu(str(number))) for number in range(64)}
    display.update(study, running=running, budget=BUDGET)
    assert "all 64" in shown(display)
    assert "GPUs 50% busy" in written(target)


def test_without_a_gpu_the_panel_says_nothing_of_one(study: Study, clock: Clock, running: dict[int, TrialProgress]) -> None:
    display, _ = open_display("rich", clock)
    display.update(study, running=running, budget=BUDGET)
    assert "busy" not in shown(display)


def test_live_panel_draws_on_a_terminal_and_prints_events_above_it(study: Study, clock: Clock) -> None:
    display, target = open_display("rich", clock, terminal=True)
    with display:
        display.update(study, running={}, budget=BUDGET)
        display.event("trial 3 is the best so far: auc 0.7")
    assert "trial 3 is the best so far" in written(target)


def test_plain_mode_writes_a_line_every_30_seconds(study: Study, clock: Clock) -> None:
    display, target = open_display("plain", clock)
    display.phase("searching")
    for _ in range(3 * int(SECONDS_BETWEEN_LINES)):
        clock.now += 1
        display.update(study, running={}, budget=BUDGET)
    lines = written(target).splitlines()
    assert len(lines) == 4
    assert "searching" in lines[0]
    assert "24 trials: " in lines[1]
    assert "best auc" in lines[1]
    assert "4 min 48 s left" in lines[1]


def test_plain_mode_writes_every_event_on_one_line(clock: Clock) -> None:
    display, target = open_display("plain", clock)
    display.event("trial 3 failed: first\nsecond \x1b[31m[bold]red")
    (line,) = written(target).splitlines()
    assert line.endswith("trial 3 failed: first second [31m[bold]red")


def test_long_steps_show_how_far_they_are(clock: Clock) -> None:
    display, target = open_display("plain", clock)
    display.progress(10, 2000, "decoding images")
    clock.now += 5
    display.progress(400, 2000, "decoding images")
    assert [line.split(" ", 1)[1] for line in written(target).splitlines()] == ["decoding images: 10 of 2,000"]
    assert "400 / 2,000" in shown(display)


def test_a_new_phase_takes_the_progress_of_the_last_one_away(clock: Clock) -> None:
    display, _ = open_display("rich", clock)
    display.progress(10, 2000, "decoding images")
    display.phase("searching")
    assert "decoding" not in shown(display)


def test_json_mode_writes_objects_that_a_program_can_read(study: Study, clock: Clock) -> None:
    display, target = open_display("json", clock)
    display.phase("searching")
    clock.now += SECONDS_BETWEEN_LINES
    display.update(study, running={}, budget=BUDGET)
    display.event("with [brackets] and a very long text " * 20)
    objects = [json.loads(line) for line in written(target).splitlines()]
    assert [one["kind"] for one in objects] == ["phase", "status", "event"]
    assert objects[1]["trials"]["diverged"] == 1
    assert objects[1]["seconds_left"] == 288


def test_json_mode_tells_each_event_of_the_search_with_its_facts(clock: Clock) -> None:
    display, target = open_display("json", clock)
    display.tell("rung", trial=3, images=100, value=0.75, message="", outcome=None, going_on=False)
    display.tell("ended", trial=4, images=0, value=None, outcome=Outcome.FAILED, message="two\nlines")
    objects = [json.loads(line) for line in written(target).splitlines()]
    assert [{key: one[key] for key in one if key != "time"} for one in objects] == [
        {"kind": "rung", "trial": 3, "images": 100, "value": 0.75, "going_on": False},
        {"kind": "ended", "trial": 4, "images": 0, "outcome": "failed", "message": "two\nlines"},
    ]


@pytest.mark.parametrize("mode", ["plain", "rich", "quiet"])
def test_other_modes_leave_events_for_programs_out(clock: Clock, mode: DisplayMode) -> None:
    display, target = open_display(mode, clock)
    display.tell("rung", trial=3, images=100, value=0.75)
    assert written(target) == ""


def test_quiet_mode_writes_nothing(study: Study, clock: Clock) -> None:
    display, target = open_display("quiet", clock)
    with display:
        display.phase("searching")
        display.update(study, running={}, budget=BUDGET)
        display.event("something")
        display.progress(1, 2, "decoding")
    assert written(target) == ""


def test_study_without_trials_can_be_shown(clock: Clock) -> None:
    display, _ = open_display("rich", clock)
    empty = fold([{"event": "study", "rungs": [100, 300], "eta": 3.0}])
    display.update(empty, running={}, budget=BudgetUse(seconds=1))
    assert "no trial has reached a rung yet" in shown(display)


def test_status_tells_how_long_nothing_has_happened(study: Study) -> None:
    target = console(terminal=False)
    moment = dataclasses.replace(moment_of(study, budget=BUDGET), last_at=time.time() - 3700)
    target.print(status_group("demo", "running", moment))
    assert "demo  running  last event 1 h 01 min ago" in written(target)


def test_status_tells_the_rank_correlation_between_rungs(study: Study) -> None:
    target = console(terminal=False)
    target.print(status_group("demo", "searching", moment_of(study, budget=BUDGET)))
    assert "ρ with top" in written(target)
    assert "rank correlation of the values there" in written(target)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (288, "4 min 48 s"), (7500, "2 h 05 min"), (273600, "3 d 04 h")]
)
def test_durations_have_two_units_at_most(seconds: float, text: str) -> None:
    assert wording.duration(seconds) == text


@pytest.mark.parametrize(("number", "text"), [(950, "950"), (26_043_122, "26.0 M"), (1.2e9, "1.20 G"), (9996, "10.0 k")])
def test_large_counts_have_three_digits_and_a_unit(number: float, text: str) -> None:
    assert wording.large(number) == text


def test_sparkline_keeps_its_width_and_its_last_value() -> None:
    line = wording.sparkline(list(range(100)), 20)
    assert len(line) <= 20
    assert line[-1] == "█"
    assert wording.sparkline([], 20) == ""


@pytest.mark.parametrize("mode", ["plain", "json"])
def test_a_reader_that_goes_away_ends_nothing(mode: DisplayMode, clock: Clock) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    target = _Console(file=os.fdopen(write_end, "w", buffering=1), force_terminal=False)
    with Display(mode, name="demo", console=target, clock=clock) as display:
        display.event("first")
        display.event("second")
    assert target.quiet
    with contextlib.suppress(BrokenPipeError):  # of what was not written
        target.file.close()
