"""The Optuna view of a study: what a dashboard reads while the search runs, after it, and after a restart."""

import json
import logging
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from hpsearch.search.engine import Engine
from hpsearch.search.journal import Journal
from hpsearch.search.space import Space
from hpsearch.search.study_log import StudyLog
from hpsearch.search.types import EngineConfig, Outcome

SPACE = Space.from_dict(
    {"x": {"low": 0.0, "high": 1.0}, "c": {"choices": ["a", "b"]}, "n": {"low": 1, "high": 3, "when": {"c": ["a"]}}}
)


def opened(journal: Journal | None = None, **changes: Any) -> Engine:
    config = EngineConfig(**{"rungs": (10, 30), "eta": 2.0, "sampler": "random", "num_trials": 6} | changes)
    return Engine.open(SPACE, config, journal or Journal.in_memory())


def shown(path: Path) -> list[FrozenTrial]:
    """As a dashboard reads it: by another reader of the file."""
    storage = JournalStorage(JournalFileBackend(str(path)))
    return optuna.load_study(study_name="faces", storage=storage).get_trials(deepcopy=False)


def report(engine: Engine, value: float) -> int:
    stretch = engine.next(0)
    assert stretch is not None
    engine.report(stretch.trial, stretch.to_images, value)
    return stretch.trial


def test_a_dashboard_sees_parameters_and_values_while_the_search_runs(tmp_path: Path) -> None:
    engine, view = opened(), StudyLog(tmp_path / "study.log", SPACE, "faces")
    engine.next(0)
    view.update(engine.study)
    assert [(trial.state, trial.intermediate_values) for trial in shown(tmp_path / "study.log")] == [(OptunaState.RUNNING, {})]
    engine.report(0, 10, 0.5)
    report(engine, 0.9)
    view.update(engine.study)
    trials = shown(tmp_path / "study.log")
    assert [trial.params for trial in trials] == [engine.study.trials[number].params for number in (0, 1)]
    assert [trial.intermediate_values for trial in trials] == [{10: 0.5}, {10: 0.9}]
    assert [trial.state for trial in trials] == [OptunaState.RUNNING] * 2


def test_each_outcome_is_told_in_optunas_words(tmp_path: Path) -> None:
    engine, view = opened(), StudyLog(tmp_path / "study.log", SPACE, "faces")
    report(engine, 0.5)
    report(engine, 0.9)
    engine.report(1, 30, 0.95)
    for outcome in (Outcome.INFEASIBLE, Outcome.FAILED):
        stretch = engine.next(0)
        assert stretch is not None
        engine.end(stretch.trial, outcome, "because")
    view.update(engine.study)
    view.finish(engine.study)
    trials = shown(tmp_path / "study.log")
    assert [t.state for t in trials] == [OptunaState.PRUNED, OptunaState.COMPLETE, OptunaState.PRUNED, OptunaState.FAIL]
    assert trials[1].value == 0.95
    assert trials[2].constraints == {"trainable": 1.0}
    assert trials[3].user_attrs == {"origin": "random", "outcome": "failed", "message": "because"}


def test_a_continued_study_continues_its_view(tmp_path: Path) -> None:
    engine = opened()
    report(engine, 0.5)
    StudyLog(tmp_path / "study.log", SPACE, "faces").update(engine.study)
    before = (tmp_path / "study.log").read_bytes()
    report(engine, 0.4)
    StudyLog(tmp_path / "study.log", SPACE, "faces").update(engine.study)
    assert (tmp_path / "study.log").read_bytes().startswith(before)
    assert [trial.intermediate_values for trial in shown(tmp_path / "study.log")] == [{10: 0.5}, {10: 0.4}]


def test_a_finished_view_is_written_anew_when_its_study_goes_on(tmp_path: Path) -> None:
    engine = opened(num_trials=2)
    report(engine, 0.5)
    StudyLog(tmp_path / "study.log", SPACE, "faces").finish(engine.study)
    assert shown(tmp_path / "study.log")[0].state == OptunaState.PRUNED
    report(engine, 0.4)
    report(engine, 0.6)
    StudyLog(tmp_path / "study.log", SPACE, "faces").update(engine.study)
    assert [t.state for t in shown(tmp_path / "study.log")] == [OptunaState.COMPLETE, OptunaState.RUNNING]


def test_a_view_torn_by_a_crash_is_written_anew(tmp_path: Path) -> None:
    engine = opened()
    report(engine, 0.5)
    StudyLog(tmp_path / "study.log", SPACE, "faces").update(engine.study)
    torn = (tmp_path / "study.log").read_bytes()[:-9]
    (tmp_path / "study.log").write_bytes(torn)
    report(engine, 0.4)
    StudyLog(tmp_path / "study.log", SPACE, "faces").update(engine.study)
    assert [trial.intermediate_values for trial in shown(tmp_path / "study.log")] == [{10: 0.5}, {10: 0.4}]


def test_a_view_that_cannot_be_written_is_given_up_with_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    engine = opened()
    report(engine, 0.5)
    view = StudyLog(tmp_path / "nowhere" / "study.log", SPACE, "faces")
    with caplog.at_level(logging.WARNING):
        view.update(engine.study)
        view.update(engine.study)
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}/nowhere/study.log: cannot be written any more (No such file or directory); the study itself goes on"
    ]


@pytest.mark.slow
def test_optuna_dashboard_answers_requests_while_the_search_runs(tmp_path: Path) -> None:
    engine, view = opened(), StudyLog(tmp_path / "study.log", SPACE, "faces")
    report(engine, 0.5)
    report(engine, 0.9)
    engine.next(0)
    view.update(engine.study)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [
        str(Path(sys.executable).with_name("optuna-dashboard")),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        str(tmp_path / "study.log"),
    ]
    dashboard = subprocess.Popen([*words, "--server", "wsgiref"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        studies = answered(f"http://127.0.0.1:{port}/api/studies")["study_summaries"]
        assert [one["study_name"] for one in studies] == ["faces"]
        engine.report(2, 10, 0.7)
        view.update(engine.study)
        trials = answered(f"http://127.0.0.1:{port}/api/studies/{studies[0]['study_id']}?after=0")["trials"]
        assert [trial["state"] for trial in trials] == ["Running"] * 3
        assert trials[1]["intermediate_values"] == [{"step": 10, "value": 0.9}]
        assert trials[2]["intermediate_values"] == [{"step": 10, "value": 0.7}]
    finally:
        dashboard.terminate()
        dashboard.wait()


def answered(url: str) -> Any:
    """What the dashboard's own interface says, once it is up."""
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.URLError:
            assert time.monotonic() < deadline, "optuna-dashboard did not answer within a minute"
            time.sleep(0.3)
