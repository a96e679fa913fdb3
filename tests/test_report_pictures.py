"""Pictures for TensorBoard: what augmentation does, and the ROC curve, read back as TensorBoard reads them."""

import io
from pathlib import Path

import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import hpsearch
from hpsearch.layout import RunLayout
from hpsearch.report.pictures import augmented_grid, png, roc_picture
from hpsearch.report.tables import Predictions
from hpsearch.report.tensorboard import TensorBoardWriter
from hpsearch.search.fold import Study
from hpsearch.search.types import TrialState
from tests.exported import make_export


def predictions(separated: bool) -> Predictions:
    labels_n = np.arange(40) % 2
    probabilities_n = np.where(labels_n == 1, 0.9, 0.1) if separated else np.linspace(0, 1, 40)
    return Predictions(names=tuple(map(str, range(40))), labels_n=labels_n, probabilities_n=probabilities_n)


def blue_share(image: Image.Image) -> float:
    """Share of the plot's upper left corner that the curve covers."""
    corner_hwc = np.asarray(image).astype(int)[48:60, 48:200]
    return float((corner_hwc[:, :, 2] - corner_hwc[:, :, 0] > 60).mean())


def test_a_curve_that_separates_runs_along_the_upper_left_corner() -> None:
    assert blue_share(roc_picture(predictions(True))) > 0.1 > blue_share(roc_picture(predictions(False)))


def test_the_first_column_is_untouched_and_the_others_are_augmented(tmp_path: Path) -> None:
    make_export(tmp_path, stored_px=32, augment__vflip__p=0.999)
    pixels_bhwc = np.zeros((3, 32, 32, 3), dtype=np.uint8)
    pixels_bhwc[:, :16] = 200
    grid_hwc = np.asarray(augmented_grid(hpsearch.load(tmp_path, "cpu").augmentation, pixels_bhwc, seed=1))
    assert grid_hwc.shape == (96, 160, 3)
    assert (grid_hwc[:32, :32] == pixels_bhwc[0]).all()
    assert (grid_hwc[:32, 32:64] == pixels_bhwc[0, ::-1]).all()


def test_a_large_picture_is_reduced() -> None:
    with Image.open(io.BytesIO(png(Image.new("RGB", (4000, 100))))) as image:
        assert image.size == (1600, 40)


def test_tensorboard_shows_pictures_and_the_confusion_beside_the_retraining(tmp_path: Path) -> None:
    study = Study()
    study.apply({"event": "study", "space": {}, "rungs": [100], "eta": 3.0})
    trial = TrialState(number=4, params={}, origin="retraining", values={100: 0.9}, seconds={100: 1.0}, metrics={100: {}})
    writer = TensorBoardWriter(RunLayout(tmp_path), study)
    writer.retrained(trial)
    picture = png(Image.new("RGB", (30, 20)))
    counts = {"real": {"called real": 3, "called fake": 1}, "deepfake": {"called real": 0, "called fake": 4}}
    writer.described(trial, augmented_png=picture, roc_png=picture, confusion=counts)
    events = EventAccumulator(str(tmp_path / "retrain" / "trial-4"))
    events.Reload()
    assert set(events.Tags()["images"]) == {"images/augmented", "val/roc"}
    (shown,) = events.Images("val/roc")
    assert (shown.step, shown.width, shown.height) == (100, 30, 20)
    (table,) = events.Tensors("val/confusion")
    assert b"| real | 3 | 1 |" in table.tensor_proto.string_val[0]
