"""ROC and confusion of the best trial so far, from its checkpoint."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hpsearch.data.training_data import LabelledImages
from hpsearch.job.best_answers import show_answers
from hpsearch.layout import RunLayout
from hpsearch.metrics import score
from hpsearch.report.tensorboard import TensorBoardWriter
from hpsearch.search.fold import Study
from hpsearch.train.checkpoint import write_checkpoint
from hpsearch.train.result import RungResult, packed

LABELS_N = np.array([0, 0, 0, 1, 1])


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


def shown(layout: RunLayout, num_images: int) -> EventAccumulator:
    study = Study()
    study.apply({"event": "study", "space": {}, "rungs": [100, 300], "eta": 3.0})
    pixels_nhwc = np.zeros((num_images, 2, 2, 3), dtype=np.uint8)
    val = LabelledImages(images_nhwc=pixels_nhwc, labels_n=LABELS_N[:num_images], indices_n=np.arange(num_images))
    show_answers(layout, 3, val, TensorBoardWriter(layout, study))
    events = EventAccumulator(str(layout.trial(3)))
    events.Reload()
    return events


def test_they_stand_beside_the_trials_curves_at_the_images_of_its_checkpoint(layout: RunLayout) -> None:
    events = shown(layout, 5)
    assert [picture.step for picture in events.Images("val/roc")] == [300]
    (table,) = events.Tensors("val/confusion")
    assert b"| real | 2 | 1 |\n| deepfake | 0 | 2 |" in table.tensor_proto.string_val[0]


def test_a_checkpoint_of_other_images_is_left_out(layout: RunLayout) -> None:
    assert shown(layout, 4).Tags()["images"] == []


@pytest.mark.parametrize("content", [None, b"", b"not a checkpoint"])
def test_without_a_checkpoint_that_can_be_read_nothing_is_shown(layout: RunLayout, content: bytes | None) -> None:
    layout.checkpoint(3).unlink()
    if content is not None:
        layout.checkpoint(3).write_bytes(content)
    assert shown(layout, 5).Tags()["images"] == []
