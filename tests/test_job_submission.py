"""The answers for the template: in this process, and on workers of a real Ray."""

import dataclasses
import time
from pathlib import Path

import pandas as pd
import pytest

import hpsearch
from hpsearch.config import BudgetConfig, DataConfig, RunConfig
from hpsearch.errors import EXIT_DONE
from hpsearch.execute.connect import connect
from hpsearch.execute.resources import TrialResources
from hpsearch.final.export import read_description
from hpsearch.job import submission
from hpsearch.job.inputs import Inputs, read_inputs
from hpsearch.job.phases import Run
from tests.exported import make_export
from tests.small_set import SPACE, make_competition

NUM_SLOTS = 2


class Here(Run):
    """A run that only answers."""

    def _phases(self) -> int:
        make_export(self.layout.best)
        self.was_missing = self.submission.is_missing
        self.submission.make_here()
        return EXIT_DONE


class OnWorkers(Run):
    """The same on workers."""

    def _phases(self) -> int:
        make_export(self.layout.best)
        with connect("", tune_dir=self.layout.tune):
            self.submission.make_on_workers(TrialResources(cpus=1, gpus=0, slots=NUM_SLOTS))
        return EXIT_DONE


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    (tmp_path / "space.yaml").write_text(SPACE)
    data = DataConfig(source=str(make_competition(tmp_path / "data")), cache_dir=str(tmp_path / "cache"))
    config = RunConfig(data=data, space=str(tmp_path / "space.yaml"), out=str(tmp_path), budget=BudgetConfig(trials=1))
    return read_inputs(config, {})


def start(kind: type[Run], inputs: Inputs, name: str) -> Run:
    run = kind(
        dataclasses.replace(inputs, config=dataclasses.replace(inputs.config, name=name)),
        display_mode="plain",
        began=time.monotonic(),
    )
    run.whole_job()
    return run


def test_workers_give_the_answers_of_this_process_each_of_a_part(
    inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(submission, "MIN_IMAGES_OF_WORKER", 2)
    (tmp_path / "data" / "phase2" / "testset1_seen" / f"{3:032x}.jpg").write_bytes(b"")
    here = start(Here, inputs, "here")
    assert isinstance(here, Here)
    assert here.was_missing
    assert not here.submission.is_missing
    there = start(OnWorkers, inputs, "there")
    assert there.submission.num_parts(TrialResources(cpus=1, gpus=0, slots=NUM_SLOTS)) == NUM_SLOTS
    answers = [pd.read_csv(run.layout.submission) for run in (here, there)]
    pd.testing.assert_frame_equal(*answers, rtol=0, atol=1e-6)
    assert answers[0]["y_pred"][3] == 0.5
    assert capfd.readouterr().err.count("1 of 6 images of the template cannot be read and are scored 0.5: ") == 2
    model = hpsearch.load(there.layout.best, "cpu")
    template = inputs.dataset.template
    assert template is not None
    assert model.score(template.paths[5]) == pytest.approx(answers[1]["y_pred"][5], abs=1e-6)
    assert read_description(there.layout.best).views == model.description.views


def test_a_small_template_is_scored_by_one_worker(inputs: Inputs) -> None:
    run = start(Here, inputs, "here")
    assert run.submission.num_parts(TrialResources(cpus=1, gpus=0, slots=8)) == 1
