"""trials.csv, val_predictions.csv and result.json: written whole, read back as they were."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpsearch.errors import InputError, StorageError
from hpsearch.judge.scores import split_result
from hpsearch.layout import ConfirmationResult, Result, RunLayout
from hpsearch.report.result import read_result, retrained, write_result
from hpsearch.report.tables import Predictions, parameter_names, read_predictions, write_predictions, write_trials
from hpsearch.search.fold import Study, fold
from hpsearch.search.types import Outcome, TrialState

SCORES = split_result(np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.4, 0.9]))
CONFIRMED_BY_NONE = ConfirmationResult(
    finalists=[], winner=9, order_changed=False, optimism=None, noise=0.0, num_trainings=0, images=0
)


@pytest.fixture
def layout(tmp_path: Path) -> RunLayout:
    return RunLayout(tmp_path)


def study_of(*trials: TrialState) -> Study:
    study = fold([{"event": "study", "rungs": [100, 300], "eta": 3.0}])
    study.trials.update({trial.number: trial for trial in trials})
    return study


def make_result(**changes: object) -> Result:
    best = {"trial": 3, "params": {"lr": 0.1}, "backbone": "resnet18", "num_parameters": 11}
    base = {"status": "done", "trials": {"completed": 1}, "best": best, "val": None, "images_trained": 1}
    return {**base, "seconds": {"search": 1.0}, "gpu_hours": 0.0, "files": {}, **changes}  # type: ignore[return-value]


def test_trials_csv_has_a_row_a_trial_with_parameters_and_rung_values_as_columns(layout: RunLayout) -> None:
    paused = TrialState(number=1, params={"lr": 0.1, "se_reduction": "none"}, origin="tpe", outcome=Outcome.PAUSED)
    paused.values, paused.seconds = {100: 0.6}, {100: 2.5}
    full = TrialState(number=0, params={"lr": 0.2}, origin="start", outcome=Outcome.COMPLETED)
    full.values, full.seconds = {100: 0.7, 300: 0.8}, {100: 2.5, 300: 5.0}
    write_trials(layout, study_of(full, paused))
    table = pd.read_csv(layout.trials_csv, keep_default_na=False, dtype=str)
    assert table["trial"].tolist() == ["0", "1"]
    assert table["auc_at_300_images"].tolist() == ["0.8", ""]
    assert table["se_reduction"].tolist() == ["", "none"]
    assert table["outcome"].tolist() == ["completed", "paused"]
    assert table["seconds"].tolist() == ["7.5", "2.5"]


@pytest.mark.parametrize("message", ['no, "really"\nnot', "1 %\r2 %"])
def test_trials_csv_quotes_messages_with_commas_and_newlines(layout: RunLayout, message: str) -> None:
    trial = TrialState(number=0, params={"lr": 0.1}, origin="tpe", outcome=Outcome.FAILED, message=message)
    write_trials(layout, study_of(trial))
    assert pd.read_csv(layout.trials_csv)["message"].tolist() == [trial.message]


def test_parameters_of_all_trials_come_before_conditional_ones() -> None:
    trials = [
        TrialState(number=0, params={"se_reduction": 4, "lr": 0.1}, origin="tpe"),
        TrialState(number=1, params={"lr": 0.1}, origin="tpe"),
    ]
    assert parameter_names(trials) == ["lr", "se_reduction"]


def test_predictions_come_back_as_written(layout: RunLayout) -> None:
    given = Predictions(names=("a\rb.jpg", "ü,\n.jpg"), labels_n=np.array([1, 0]), probabilities_n=np.array([0.25, 1.0]))
    write_predictions(layout, given)
    found = read_predictions(layout)
    assert found is not None
    assert (found.names, found.labels_n.tolist(), found.probabilities_n.tolist()) == (given.names, [1, 0], [0.25, 1.0])
    assert pd.read_csv(layout.val_predictions)["img_name"].tolist() == list(given.names)


def test_predictions_that_were_never_written_are_none(layout: RunLayout) -> None:
    assert read_predictions(layout) is None


@pytest.mark.parametrize("content", ["", "a,b\n", "img_name,target,y_pred\nx,fake,0.5\n"])
def test_other_files_in_place_of_predictions_are_named(layout: RunLayout, content: str) -> None:
    layout.val_predictions.write_text(content)
    with pytest.raises(InputError, match=r"val_predictions\.csv: .*expected one row img_name,target,y_pred"):
        read_predictions(layout)


def test_result_comes_back_as_written_with_numpy_numbers_as_plain_ones(layout: RunLayout) -> None:
    write_result(layout, make_result(gpu_hours=np.float64(0.5), images_trained=np.int64(7)))
    assert read_result(layout) == make_result(gpu_hours=0.5, images_trained=7)


def test_result_with_a_number_that_is_not_finite_is_refused_and_the_old_one_stays(layout: RunLayout) -> None:
    write_result(layout, make_result())
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_result(layout, make_result(gpu_hours=float("nan")))
    assert read_result(layout) == make_result()


def test_result_that_lacks_keys_says_which(layout: RunLayout) -> None:
    layout.result.write_text(json.dumps({"status": "done"}))
    with pytest.raises(InputError, match=r"result\.json is no summary of a run \(Object missing required field .*Delete it"):
        read_result(layout)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"gpu_hours": "many"}, r"Expected `float`, got `str` - at `\$\.gpu_hours`"),
        ({"best": None, "val": SCORES}, "scores of no configuration"),
        ({"val": SCORES | {"auc_ci95": [0.5]}}, r"Expected `array` of length 2, got 1 - at `\$\.val\.auc_ci95`"),
        ({"confirmation": CONFIRMED_BY_NONE}, "its winner, trial 9, is none of its finalists"),
    ],
)
def test_result_that_somebody_changed_says_where(layout: RunLayout, changed: dict[str, Any], told: str) -> None:
    layout.result.write_text(json.dumps(make_result() | changed))
    with pytest.raises(InputError, match=told):
        read_result(layout)


def test_retraining_is_a_trial_with_its_evaluations(layout: RunLayout) -> None:
    rung = {"images": 100, "value": 0.7, "seconds": 2.0, "metrics": {"train_loss": 0.5}}
    trial = retrained(make_result(retrain=[rung]))
    assert trial is not None
    assert (trial.number, trial.values, trial.metrics) == (3, {100: 0.7}, {100: {"train_loss": 0.5}})


def test_unwritable_run_directory_is_a_storage_error_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"result\.json cannot be written: .*hpsearch\.report"):
        write_result(RunLayout(tmp_path / "file" / "run"), make_result())
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
