"""What the best trial so far sees, and its ROC and confusion from its checkpoint."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hpsearch.config import DataConfig, RunConfig
from hpsearch.data.training_data import LabelledImages
from hpsearch.job.best_pictures import BestPictures
from hpsearch.job.inputs import Inputs, read_inputs
from hpsearch.layout import RunLayout
from hpsearch.metrics import score
from hpsearch.report.tensorboard import TensorBoardWriter
from hpsearch.search.fold import Study
from hpsearch.search.types import TrialState
from hpsearch.train.checkpoint import write_checkpoint
from hpsearch.train.result import RungResult, packed
from tests.small_set import SPACE, make_competition

LABELS_N = np.array([0, 0, 0, 1, 1])


PARAMS = {"backbone": "test_resnet", "image_px": 32, "batch_size": 8, "lr": 1e-3}


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    (tmp_path / "space.yaml").write_text(SPACE)
    data = DataConfig(source=str(make_competition(tmp_path / "data")), cache_dir=str(tmp_path / "cache"))
    return read_inputs(RunConfig(data=data, space=str(tmp_path / "space.yaml"), out=str(tmp_path)), {})


@pytest.fixture
def layout(tmp_path: Path) -> RunLayout:
    """Of a run whose trial 3 has a checkpoint of 300 images."""
    layout = RunLayout(tmp_path)
    layout.trials.mkdir()
    probabilities_n = np.array([0.1, 0.2, 0.7, 0.8, 0.9])
    result = RungResult(
        images=300,
        scores=score(LABELS_N, probabilities_n),
        probabilities_n=probabilities_n,
        train_loss=0.5,
        lr=1e-3,
        seconds=1.0,
        images_per_second=300.0,
        micro_batch=8,
    )
    write_checkpoint(layout.checkpoint(3), "me", {"network": {"weight": torch.zeros(9)}, "last": packed(result)})
    return layout


def shown(inputs: Inputs, layout: RunLayout, num_images: int) -> EventAccumulator:
    study = Study()
    study.apply({"event": "study", "space": {}, "rungs": [100, 300], "eta": 3.0})
    pixels_nhwc = np.zeros((num_images, 2, 2, 3), dtype=np.uint8)
    val = LabelledImages(images_nhwc=pixels_nhwc, labels_n=LABELS_N[:num_images], indices_n=np.arange(num_images))
    trial = TrialState(number=3, params=PARAMS, origin="random", values={100: 0.8, 300: 0.9})
    for _ in range(2):
        BestPictures(inputs=inputs, layout=layout, val=val, tensorboard=TensorBoardWriter(layout, study))(trial)
    events = EventAccumulator(str(layout.trial(3)))
    events.Reload()
    return events


def test_they_stand_beside_the_trials_curves_at_the_images_of_its_checkpoint(inputs: Inputs, layout: RunLayout) -> None:
    events = shown(inputs, layout, 5)
    assert {picture.step for picture in events.Images("val/roc")} == {300}
    table = events.Tensors("val/confusion")[0]
    assert b"| real | 2 | 1 |\n| deepfake | 0 | 2 |" in table.tensor_proto.string_val[0]


def test_augmented_training_images_are_shown_once(inputs: Inputs, layout: RunLayout) -> None:
    (shown_once,) = shown(inputs, layout, 5).Images("images/augmented")
    assert shown_once.step == 300
    with Image.open(io.BytesIO(shown_once.encoded_image_string)) as grid:
        assert grid.size == (5 * 32, 6 * 32)  # as evaluation sees them, and four times augmented


def test_a_checkpoint_of_other_images_is_left_out(inputs: Inputs, layout: RunLayout) -> None:
    assert shown(inputs, layout, 4).Tags()["images"] == ["images/augmented"]


@pytest.mark.parametrize("content", [None, b"", b"not a checkpoint"])
def test_without_a_checkpoint_that_can_be_read_no_answers_are_shown(
    inputs: Inputs, layout: RunLayout, content: bytes | None
) -> None:
    layout.checkpoint(3).unlink()
    if content is not None:
        layout.checkpoint(3).write_bytes(content)
    assert shown(inputs, layout, 5).Tags()["images"] == ["images/augmented"]
