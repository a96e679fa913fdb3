"""What a run says at its end, and `status` of a run that has ended."""

import pytest

from hpsearch import status
from hpsearch.job.last_words import last_words
from hpsearch.layout import MemberResult, RunLayout
from hpsearch.report.result import read_result
from tests.report_studies import make_run


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    made = make_run(tmp_path_factory.mktemp("runs") / "demo")
    budget = "budget: {trials: 24, minutes: null, gpu_hours: null}"
    made.config.write_text(made.config.read_text().replace("config: {", f"config: {{{budget}, "))
    return made


def test_a_done_study_calls_waiting_trials_stopped_and_an_interrupted_one_paused(layout: RunLayout) -> None:
    result = read_result(layout)
    assert result is not None
    paused, completed = result["trials"]["paused"], result["trials"]["completed"]
    assert last_words(layout, result).startswith(f"done: {completed} trained to the end, {paused} stopped early")
    result["status"] = "interrupted"
    said = last_words(layout, result)
    assert said.startswith(f"interrupted: {completed} completed, {paused} paused")
    assert said.endswith("The same command with --name demo continues this study from here.")


def test_of_a_given_configuration_nothing_is_called_stopped(layout: RunLayout) -> None:
    result = read_result(layout)
    assert result is not None
    result["images_trained"] = result["confirmation"]["images"]
    assert last_words(layout, result).startswith("done: the given configuration, ")


def test_the_networks_of_an_ensemble_are_counted_by_trial(layout: RunLayout) -> None:
    result = read_result(layout)
    assert result is not None
    assert result["best"] is not None
    result["best"]["num_parameters"] = 6_000_000
    trials = (5, 5, 7)
    result["best"]["members"] = [MemberResult(trial=t, repeat=1, backbone="resnet18", value=0.7) for t in trials]
    assert "the model averages 3 networks: 2 fresh trainings of trial 5, 1 of trial 7, 6.0 M parameters" in last_words(
        layout, result
    )


def test_the_next_step_is_a_command(layout: RunLayout) -> None:
    result = read_result(layout)
    assert result is not None
    result["files"]["model"] = "best"
    assert f"python -m hpsearch.predict --model {layout.root} --images DIR" in last_words(layout, result)


def test_the_status_of_a_done_study_has_its_score_and_what_to_open(
    layout: RunLayout, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status.command([str(layout.root)]) == 0
    shown = capsys.readouterr().out
    assert "retrained on the training images\n  val AUC" in shown
    assert "open next" in shown
