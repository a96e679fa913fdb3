"""What goes with an export: pictures and card, `model.onnx` where its packages are there, and nothing twice."""

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from hpsearch.data.dataset import Dataset
from hpsearch.data.find import find_dataset
from hpsearch.job import handover
from hpsearch.job.handover import complete_export
from hpsearch.layout import RunLayout
from hpsearch.report.display import Display
from hpsearch.report.tables import Predictions, write_predictions
from hpsearch.report.tensorboard import TensorBoardWriter
from hpsearch.search.fold import Study
from tests.exported import make_export
from tests.small_set import make_competition


@pytest.fixture
def layout(tmp_path: Path) -> RunLayout:
    return RunLayout(tmp_path / "run")


@pytest.fixture
def dataset(tmp_path: Path, layout: RunLayout) -> Dataset:
    """The data of a run whose model is exported and has answered."""
    found = find_dataset(make_competition(tmp_path / "data"), val_fraction=0.2, seed=0)
    make_export(layout.best, stored_px=40)
    probabilities_n = np.linspace(0.1, 0.9, len(found.val))
    write_predictions(layout, Predictions(names=found.val.names, labels_n=found.val.labels_n, probabilities_n=probabilities_n))
    return found


def complete(layout: RunLayout, dataset: Dataset) -> str:
    """Completes the export and returns what was said."""
    study = Study()
    study.apply({"event": "study", "space": {}, "rungs": [100], "eta": 3.0})
    console = Console(record=True, width=200)
    complete_export(layout, dataset, Display("plain", console=console), TensorBoardWriter(layout, study))
    return console.export_text()


def test_without_the_packages_onnx_is_left_out_and_said_so(
    layout: RunLayout, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover, "missing_packages", lambda: ["onnx", "onnxscript"])
    said = complete(layout, dataset)
    assert "model.onnx is left out: onnx, onnxscript not installed (pip install 'hpsearch[onnx]')" in said
    assert not (layout.best / "model.onnx").exists()
    assert "onnxruntime" not in (layout.best / "README.md").read_text()
    assert len(list(layout.mistakes.glob("*.jpg"))) == 48


def test_a_complete_export_is_left_as_it_is(layout: RunLayout, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "missing_packages", lambda: ["onnx"])
    complete(layout, dataset)
    card = layout.best / "README.md"
    card.write_text("mine")
    assert complete(layout, dataset) == ""
    assert card.read_text() == "mine"


def test_a_run_without_answers_has_nothing_to_complete(layout: RunLayout, dataset: Dataset) -> None:
    layout.val_predictions.unlink()
    assert complete(layout, dataset) == ""
    assert not layout.mistakes.exists()
