"""The frame around the phases of a run: what it says of itself while they last and when they end."""

import dataclasses
import json
import shutil
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hpsearch import status
from hpsearch.config import BudgetConfig, DataConfig, RunConfig
from hpsearch.errors import EXIT_DONE, InputError, NoUsableTrialError, StorageError
from hpsearch.execute.session import Ending
from hpsearch.job.check_template import check_template
from hpsearch.job.inputs import Inputs, read_inputs
from hpsearch.job.phases import Run
from hpsearch.job.record import ASKED_OF_FINALS, Record
from hpsearch.layout import ConfirmationResult, FinalistResult, RunLayout
from tests.small_set import SPACE, make_competition

CONFIRMATION = ConfirmationResult(
    finalists=[FinalistResult(trial=0, first_score=0.8, values=[0.7], mean=0.7, lower=0.6, dropped=False)],
    winner=0,
    order_changed=False,
    optimism=0.1,
    noise=0.01,
    num_trainings=1,
    images=100,
)


class WithoutWork(Run):
    """A run that has nothing to do."""

    def _phases(self) -> int:
        return EXIT_DONE


class Killed(Run):
    """A run whose process ends in the midst of its work."""

    def _phases(self) -> int:
        raise SystemExit


class WithoutTrials(Run):
    """A run whose trials all fail."""

    def _phases(self) -> int:
        self.record.write("running")
        raise NoUsableTrialError("no trial of 7 can be retrained")


class WithUnreadable(Run):
    """A run that finds images that cannot be read."""

    def _phases(self) -> int:
        self.record.unreadable([("a\rb.jpg", "cut\nshort")])
        return EXIT_DONE


class AfterItsFinals(Run):
    """A run that was interrupted when only describing was left."""

    was_on_ray = False

    def _on_ray(self) -> Ending:
        self.was_on_ray = True
        return Ending.FINISHED


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    (tmp_path / "space.yaml").write_text(SPACE)
    data = DataConfig(source=str(make_competition(tmp_path / "data")))
    budget = BudgetConfig(trials=1)
    return read_inputs(
        RunConfig(data=data, space=str(tmp_path / "space.yaml"), out=str(tmp_path), name="study", budget=budget), {}
    )


def start(kind: type[Run], inputs: Inputs) -> Run:
    run = kind(inputs, display_mode="quiet", began=time.monotonic())
    run.whole_job()
    return run


def test_a_finished_run_that_was_extended_and_killed_is_interrupted(
    inputs: Inputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start(WithoutWork, inputs)
    assert status.command([str(tmp_path / "study")]) == 0
    assert "study  done" in capsys.readouterr().out
    extended = dataclasses.replace(inputs.config, budget=BudgetConfig(trials=2))
    with pytest.raises(SystemExit):
        start(Killed, dataclasses.replace(inputs, config=extended))
    assert status.command([str(tmp_path / "study")]) == 0
    shown = capsys.readouterr().out
    assert "study  interrupted" in shown
    assert shown.endswith("The same command with --name study continues this study from here.\n")


def test_a_run_that_an_error_ended_says_so_the_next_morning(
    inputs: Inputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NoUsableTrialError):
        start(WithoutTrials, inputs)
    layout = RunLayout(tmp_path / "study")
    result = json.loads(layout.result.read_text())
    assert (result["status"], result["error"]) == ("interrupted", "no trial of 7 can be retrained")
    page = layout.page.read_text()
    assert "This run was interrupted" in page
    assert "What ended it: no trial of 7 can be retrained" in page
    assert "This run has not ended" not in page
    assert "the run ended: no trial of 7" in layout.log.read_text()
    assert status.command([str(layout.root)]) == 0
    assert "what ended it: no trial of 7 can be retrained\n\nThe same command" in capsys.readouterr().out
    start(WithoutWork, inputs)
    assert "error" not in json.loads(layout.result.read_text())


def test_nothing_is_written_in_the_place_of_a_run_directory_that_is_gone(inputs: Inputs, tmp_path: Path) -> None:
    class WithoutDisk(Run):
        def _phases(self) -> int:
            shutil.rmtree(self.layout.root)
            raise StorageError("the disk is gone")

    with pytest.raises(StorageError, match="the disk is gone"):
        start(WithoutDisk, inputs)
    assert not (tmp_path / "study").exists()


def test_unreadable_images_are_listed_by_whatever_name(inputs: Inputs, tmp_path: Path) -> None:
    start(WithUnreadable, inputs)
    assert pd.read_csv(tmp_path / "study" / "unreadable.csv").to_numpy().tolist() == [["a\rb.jpg", "cut\nshort"]]


def test_a_template_without_one_readable_image_is_refused_before_anything_is_written(inputs: Inputs, tmp_path: Path) -> None:
    for image in (tmp_path / "data" / "phase2" / "testset1_seen").iterdir():
        image.write_bytes(image.read_bytes()[:300])
    with pytest.raises(
        InputError, match=r"testset1_seen_nolabel\.txt: none of the 6 images that were tried can be read, for .*00\.jpg: "
    ):
        start(WithoutWork, inputs)
    assert not (tmp_path / "study").exists()


def test_an_unreadable_image_of_the_template_is_said_at_the_start(inputs: Inputs, tmp_path: Path) -> None:
    assert start(WithoutWork, inputs).notes == [*inputs.notes]
    (tmp_path / "data" / "phase2" / "testset1_seen" / f"{3:032x}.jpg").write_bytes(b"")
    said = start(WithoutWork, inputs).notes[-1]
    assert said.startswith(
        "testset1_seen_nolabel.txt: 1 of the 6 images that were tried cannot be read and would be scored 0.5"
    )
    assert said.endswith("3.jpg: the file is empty")


def test_few_images_of_a_large_template_are_tried_from_its_first_to_its_last(inputs: Inputs) -> None:
    template = inputs.dataset.template
    assert template is not None
    paths = [*template.paths[:1], *["nowhere.jpg"] * 98, *template.paths[:1]]
    large = dataclasses.replace(template, names=paths, paths=paths)
    assert "14 of the 16 images" in check_template(large)[0]


@pytest.mark.parametrize(
    ("changed", "are_there"),
    [({}, True), ({"reserve_fraction": 0.5}, True), ({"views": "flip"}, False), ({"train_on": "all"}, False)],
)
def test_finals_are_redone_where_something_else_is_asked_of_them(
    inputs: Inputs, changed: dict[str, Any], are_there: bool
) -> None:
    run = start(WithoutWork, inputs)
    run.layout.best.mkdir()
    (run.layout.best / "model.json").touch()
    run.layout.val_predictions.touch()
    final = dataclasses.asdict(inputs.config.final)
    asked = {name: final[name] for name in ASKED_OF_FINALS}
    kept = {**json.loads(run.layout.result.read_text()), "confirmation": CONFIRMATION}
    for told in ({**kept, "final": asked}, kept):  # one of before this was kept counts as what is asked
        run.layout.result.write_text(json.dumps(told))
        config = dataclasses.replace(inputs.config, final=dataclasses.replace(inputs.config.final, **changed))
        record = Record(run.layout, dataclasses.replace(inputs, config=config), run.engine)
        assert record.has_finals() == (are_there or "final" not in told)


@pytest.mark.parametrize(
    ("budget", "needs_ray"),
    [
        (BudgetConfig(minutes=60), True),
        (BudgetConfig(minutes=1e-6), False),
        (BudgetConfig(gpu_hours=1), True),
    ],
)
def test_ray_is_not_started_where_the_finals_are_done_and_the_time_is_used_up(
    inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: BudgetConfig, needs_ray: bool
) -> None:
    monkeypatch.setattr("hpsearch.job.record.Record.has_finals", lambda record: True)
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "submission.csv").touch()
    run = start(AfterItsFinals, dataclasses.replace(inputs, config=dataclasses.replace(inputs.config, budget=budget)))
    assert isinstance(run, AfterItsFinals)
    assert run.was_on_ray == needs_ray
