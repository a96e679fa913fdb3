"""The frame around the phases of a run: what it says of itself while they last and when they end."""

import dataclasses
import time
from pathlib import Path

import pandas as pd
import pytest

from hpsearch import status
from hpsearch.config import BudgetConfig, DataConfig, RunConfig
from hpsearch.errors import EXIT_DONE
from hpsearch.job.inputs import Inputs, read_inputs
from hpsearch.job.phases import Run
from tests.small_set import SPACE, make_competition


class WithoutWork(Run):
    """A run that has nothing to do."""

    def _phases(self) -> int:
        return EXIT_DONE


class Killed(Run):
    """A run whose process ends in the midst of its work."""

    def _phases(self) -> int:
        raise SystemExit


class WithUnreadable(Run):
    """A run that finds images that cannot be read."""

    def _phases(self) -> int:
        self.record.unreadable([("a\rb.jpg", "cut\nshort")])
        return EXIT_DONE


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    (tmp_path / "space.yaml").write_text(SPACE)
    data = DataConfig(source=str(make_competition(tmp_path / "data")))
    budget = BudgetConfig(trials=1)
    return read_inputs(
        RunConfig(data=data, space=str(tmp_path / "space.yaml"), out=str(tmp_path), name="study", budget=budget), {}
    )


def start(kind: type[Run], inputs: Inputs) -> None:
    kind(inputs, display_mode="quiet", began=time.monotonic()).whole_job()


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


def test_unreadable_images_are_listed_by_whatever_name(inputs: Inputs, tmp_path: Path) -> None:
    start(WithUnreadable, inputs)
    assert pd.read_csv(tmp_path / "study" / "unreadable.csv").to_numpy().tolist() == [["a\rb.jpg", "cut\nshort"]]
