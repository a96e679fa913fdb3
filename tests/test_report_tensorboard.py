"""Event files, read back with TensorBoard's own reader and its HParams plugin."""

import time
from pathlib import Path

import pytest
from PIL import Image
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, backend_context, get_experiment, list_session_groups

from hpsearch.errors import StorageError
from hpsearch.layout import RunLayout
from hpsearch.report.pictures import png
from hpsearch.report.tensorboard import BEST_TAG, TensorBoardWriter
from hpsearch.search.fold import Study, fold
from hpsearch.search.types import Outcome, TrialState
from tests.report_studies import simulate

DIMENSIONS = {
    "lr[cnn]": {"name": "lr", "kind": "float", "low": 1e-4, "high": 1e-1, "log": True, "step": 1},
    "lr[convnext]": {"name": "lr", "kind": "float", "low": 1e-5, "high": 1e-2, "log": True, "step": 1},
    "backbone": {"name": "backbone", "kind": "categorical", "choices": ["resnet18", "convnext_tiny"]},
    "se_reduction": {"name": "se_reduction", "kind": "categorical", "choices": ["none", 16]},
}


@pytest.fixture
def study() -> Study:
    """A study before its first trial."""
    header = {"event": "study", "version": 1, "space": {"dimensions": DIMENSIONS}, "rungs": [100, 300, 900], "eta": 3.0}
    return fold([header])


def make_trial(number: int, *values: float, outcome: Outcome | None = None, **params: str | int | float) -> TrialState:
    trial = TrialState(number=number, params={"lr": 1e-3 * (number + 1), **params}, origin="tpe", outcome=outcome)
    for rung, value in enumerate(values):
        add_rung(trial, 100 * 3**rung, value)
    return trial


def add_rung(trial: TrialState, images: int, value: float) -> None:
    trial.values[images] = value
    trial.seconds[images] = 2.0
    trial.metrics[images] = {"train_loss": 1 - value, "lr": 1e-4, "tpr_at_fpr": {"0.01": 0.25}}


def report(study: Study, number: int, images: int, value: float) -> TrialState:
    """A trial of `study` that has got so far, which its writer may be told."""
    if number not in study.trials:
        study.apply({"event": "suggested", "trial": number, "params": {"lr": 1e-3 * (number + 1)}, "origin": "tpe"})
    study.apply({"event": "rung", "trial": number, "images": images, "value": value, "seconds": 2.0, "metrics": {}})
    return study.trials[number]


def read(directory: Path) -> EventMultiplexer:
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(directory))
    multiplexer.Reload()
    return multiplexer


def scalars(multiplexer: EventMultiplexer, run: str, tag: str) -> list[tuple[int, float]]:
    return [(e.step, round(float(e.tensor_proto.float_val[0]), 4)) for e in multiplexer.Tensors(run, tag)]


def hparams_table(directory: Path) -> tuple[api_pb2.Experiment, dict[str, api_pb2.SessionGroup]]:
    """What the HParams tab asks its backend for."""
    provider = MultiplexerDataProvider(read(directory), str(directory))
    context = backend_context.Context(TBContext(data_provider=provider))
    experiment = get_experiment.Handler(RequestContext(), context, "", api_pb2.GetExperimentRequest()).run()
    every = [api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE, api_pb2.STATUS_RUNNING]
    metric = api_pb2.ColParams(metric=api_pb2.MetricName(tag="val/auc"))
    request = api_pb2.ListSessionGroupsRequest(
        start_index=0, slice_size=1000, allowed_statuses=every, col_params=[metric], aggregation_type=api_pb2.AGGREGATION_AVG
    )
    answer = list_session_groups.Handler(RequestContext(), context, "", request).run()
    return experiment, {group.sessions[0].name: group for group in answer.session_groups}


def auc_of(group: api_pb2.SessionGroup) -> tuple[float, int]:
    (metric,) = (value for value in group.metric_values if value.name.tag == "val/auc")
    return metric.value, metric.training_step


def statuses(directory: Path) -> list["api_pb2.Status.ValueType"]:
    """Of each trial, by number."""
    return [group.sessions[0].status for _, group in sorted(hparams_table(directory)[1].items())]


def test_readings_are_written_by_images_seen(tmp_path: Path, study: Study) -> None:
    layout = RunLayout(tmp_path)
    TensorBoardWriter(layout, study).rung(make_trial(0, 0.6, 0.7))
    events = read(layout.trials)
    assert scalars(events, "0", "val/auc") == [(100, 0.6), (300, 0.7)]
    assert scalars(events, "0", "train/loss") == [(100, 0.4), (300, 0.3)]
    assert scalars(events, "0", "val/tpr_at_fpr_0.01") == [(100, 0.25), (300, 0.25)]
    assert scalars(events, "0", "speed/images_per_second") == [(100, 50.0), (300, 100.0)]


def test_hparams_hold_conditional_parameters_and_leave_absent_ones_absent(tmp_path: Path, study: Study) -> None:
    writer = TensorBoardWriter(RunLayout(tmp_path), study)
    writer.rung(make_trial(0, 0.6, backbone="resnet18", se_reduction=16))
    writer.rung(make_trial(1, 0.7, backbone="resnet18", se_reduction="none"))
    writer.rung(make_trial(2, 0.5, backbone="convnext_tiny"))
    experiment, groups = hparams_table(tmp_path)
    assert {info.name for info in experiment.hparam_infos} == {"lr", "backbone", "se_reduction"}
    assert set(groups["trials/2"].hparams) == {"lr", "backbone"}
    assert groups["trials/0"].hparams["se_reduction"].string_value == "16"
    assert groups["trials/0"].hparams["lr"].number_value == pytest.approx(1e-3)
    assert groups["trials/1"].hparams["se_reduction"].string_value == "none"


def test_hparams_columns_are_the_searched_parameters_and_the_objective_comes_first(tmp_path: Path, study: Study) -> None:
    TensorBoardWriter(RunLayout(tmp_path), study).rung(make_trial(0, 0.6, backbone="resnet18", batch_size=64))
    experiment, groups = hparams_table(tmp_path)
    assert "batch_size" not in groups["trials/0"].hparams
    assert experiment.metric_infos[0].name.tag == "val/auc"
    (lr,) = (info for info in experiment.hparam_infos if info.name == "lr")
    assert (lr.domain_interval.min_value, lr.domain_interval.max_value) == (pytest.approx(1e-5), pytest.approx(1e-1))


def test_hparams_metric_follows_every_rung(tmp_path: Path, study: Study) -> None:
    writer, trial = TensorBoardWriter(RunLayout(tmp_path), study), make_trial(0, 0.6)
    writer.rung(trial)
    assert auc_of(hparams_table(tmp_path)[1]["trials/0"]) == (pytest.approx(0.6), 100)
    add_rung(trial, 300, 0.8)
    writer.rung(trial)
    assert auc_of(hparams_table(tmp_path)[1]["trials/0"]) == (pytest.approx(0.8), 300)


def test_hparams_status_tells_a_diverged_trial_from_a_paused_one(tmp_path: Path, study: Study) -> None:
    writer = TensorBoardWriter(RunLayout(tmp_path), study)
    for number, outcome in enumerate([Outcome.PAUSED, Outcome.DIVERGED, None]):
        trial = make_trial(number, 0.6, outcome=outcome)
        writer.rung(trial)
        if outcome:
            writer.ended(trial)
        study.trials[number] = trial
    assert statuses(tmp_path) == [api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_FAILURE, api_pb2.STATUS_UNKNOWN]
    writer.finished(study)
    assert statuses(tmp_path) == [api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE, api_pb2.STATUS_UNKNOWN]


@pytest.mark.parametrize("in_another_run", [False, True])
def test_hparams_status_follows_a_waiting_trial_that_goes_on_and_diverges(
    tmp_path: Path, study: Study, in_another_run: bool
) -> None:
    layout, trial = RunLayout(tmp_path), make_trial(0, 0.6, outcome=Outcome.PAUSED)
    study.trials[0] = trial
    writer = TensorBoardWriter(layout, study)
    writer.rung(trial)
    writer.ended(trial)
    if in_another_run:
        writer.finished(study)
        writer = TensorBoardWriter(layout, study)
    trial.outcome, trial.message = Outcome.DIVERGED, "the loss was nan"
    writer.ended(trial)
    assert statuses(tmp_path) == [api_pb2.STATUS_FAILURE]
    (message,) = read(layout.trials).Tensors("0", "trial/message")
    assert message.tensor_proto.string_val == [b"the loss was nan"]


def test_resumed_study_adds_what_is_missing_and_repeats_no_step(tmp_path: Path, study: Study) -> None:
    layout = RunLayout(tmp_path)
    TensorBoardWriter(layout, study).rung(report(study, 0, 100, 0.6))
    resumed = TensorBoardWriter(layout, study)
    resumed.rung(report(study, 0, 300, 0.7))
    resumed.rung(study.trials[0])
    assert scalars(read(layout.trials), "0", "val/auc") == [(100, 0.6), (300, 0.7)]
    assert scalars(read(layout.trials), "study", BEST_TAG) == [(100, 0.6), (300, 0.7)]


def test_replayed_journal_fills_in_what_is_missing_at_the_time_it_happened(tmp_path: Path) -> None:
    layout, journal = RunLayout(tmp_path), simulate(6)
    events = [{**event, "at": 1000.0 + index} for index, event in enumerate(journal.events)]
    whole = fold(events)
    TensorBoardWriter(layout, whole).replay(events[: len(events) // 2])
    TensorBoardWriter(layout, whole).replay(events)
    found = read(layout.trials)
    for trial in whole.trials.values():
        if trial.values:
            expected = [(images, round(value, 4)) for images, value in sorted(trial.values.items())]
            assert scalars(found, str(trial.number), "val/auc") == expected
    times = [event.wall_time for event in found.Tensors("study", BEST_TAG)]
    assert times == [event["at"] for event in events if event["event"] == "rung"]


def test_rungs_after_a_torn_record_can_still_be_read(tmp_path: Path, study: Study) -> None:
    layout, trial = RunLayout(tmp_path), make_trial(0, 0.6)
    TensorBoardWriter(layout, study).rung(trial)
    (file,) = layout.trial(0).glob("*.tfevents.*")
    with file.open("ab") as stream:
        stream.write(b"\x18\x00\x00\x00\x00")
    add_rung(trial, 300, 0.7)
    TensorBoardWriter(layout, study).rung(trial)
    assert scalars(read(layout.trials), "0", "val/auc") == [(100, 0.6), (300, 0.7)]


def test_study_run_shows_best_so_far_by_images_of_all_trials(tmp_path: Path, study: Study) -> None:
    writer = TensorBoardWriter(RunLayout(tmp_path), study)
    for number, images, value in [(0, 100, 0.6), (1, 100, 0.5), (2, 100, 0.8), (0, 300, 0.7), (1, 300, 0.6), (2, 300, 0.65)]:
        writer.rung(report(study, number, images, value))
    course = [(100, 0.6), (200, 0.6), (300, 0.8), (500, 0.8), (700, 0.8), (900, 0.7)]
    assert scalars(read(tmp_path), "trials/study", BEST_TAG) == course, "at last three trials are compared at 300 images"


def test_retraining_is_a_run_beside_the_trials(tmp_path: Path, study: Study) -> None:
    layout = RunLayout(tmp_path)
    TensorBoardWriter(layout, study).retrained(make_trial(4, 0.6, 0.75))
    assert scalars(read(layout.root), "retrain/trial-4", "val/auc") == [(100, 0.6), (300, 0.75)]


def test_five_hundred_trials_need_no_open_file_and_read_back_whole(tmp_path: Path, study: Study) -> None:
    layout = RunLayout(tmp_path)
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    writer = TensorBoardWriter(layout, study)
    for number in range(500):
        writer.rung(make_trial(number, 0.5 + number / 2000))
    assert len(list(Path("/proc/self/fd").iterdir())) <= open_before + 1
    assert len(hparams_table(layout.root)[1]) == 500


def test_a_study_of_many_trials_opens_and_continues_in_time_that_grows_as_it_does(tmp_path: Path) -> None:
    def seconds_of(num_trials: int) -> tuple[float, float]:
        events = simulate(num_trials).events
        layout = RunLayout(tmp_path / str(num_trials))
        TensorBoardWriter(layout, fold(events)).replay(events)
        sizes = {file: file.stat().st_size for file in layout.root.rglob("*.tfevents.*")}
        began = time.perf_counter()
        TensorBoardWriter(layout, fold(events)).replay(events)
        continued = time.perf_counter()
        assert {file: file.stat().st_size for file in layout.root.rglob("*.tfevents.*")} == sizes
        hparams_table(layout.root)
        return continued - began, time.perf_counter() - continued

    few, many = seconds_of(25), seconds_of(250)
    assert many[0] < 30 * few[0]  # a quadratic one would take a hundred times as long
    assert many[1] < 30 * few[1]


def test_unwritable_directory_is_named(tmp_path: Path, study: Study) -> None:
    (tmp_path / "trials").write_text("a file where a directory should be")
    with pytest.raises(StorageError, match=r"trials/0.* cannot be written"):
        TensorBoardWriter(RunLayout(tmp_path), study).rung(make_trial(0, 0.6))


def test_curves_go_on_for_a_tensorboard_that_has_seen_the_answers_of_the_trial(tmp_path: Path, study: Study) -> None:
    layout, trial = RunLayout(tmp_path), make_trial(0, 0.6)
    writer = TensorBoardWriter(layout, study)
    writer.rung(trial)
    writer.answered(0, 100, png(Image.new("RGB", (30, 20))), {"real": {"called real": 3, "called fake": 1}})
    watching = read(layout.trials)
    add_rung(trial, 300, 0.7)
    writer.rung(trial)
    watching.Reload()
    assert scalars(watching, "0", "val/auc") == [(100, 0.6), (300, 0.7)]
    assert "val/roc" in watching.Runs()["0"]["tensors"]
    assert len(list(layout.trial(0).glob("*.tfevents.*"))) == 1
