from __future__ import annotations

import dataclasses
import gc
import logging
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hpsearch.data.decode import decode
from hpsearch.data.find import find_dataset
from hpsearch.data.training_data import LabelledImages, TrainingData, open_training_data
from hpsearch.errors import DivergedError, InfeasibleError
from hpsearch.metrics import score
from hpsearch.train import progress, trial
from hpsearch.train.result import RungResult
from hpsearch.train.settings import TrialSettings
from hpsearch.train.trial import TrialTrainer
from tests.small_set import make_competition

SETTINGS = TrialSettings(
    backbone="test_resnet",
    image_px=32,
    batch_size=8,
    images_per_trial=96,
    lr=3e-3,
    augment={"hflip": {"p": 0.5}, "jitter": {"p": 0.5}, "noise": {"p": 0.5}},
)


def images(num: int, seed: int) -> LabelledImages:
    """Deepfakes are a little brighter in the middle."""
    rng = np.random.default_rng(seed)
    labels_n = np.arange(num) % 2
    images_nhwc = rng.integers(0, 160, (num, 36, 36, 3))
    images_nhwc[:, 12:24, 12:24] += 40 * labels_n[:, None, None, None]
    return LabelledImages(images_nhwc=images_nhwc.astype(np.uint8), labels_n=labels_n, indices_n=np.arange(num))


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return TrainingData(train=images(40, 0), val=images(30, 1))


def trained(
    data: TrainingData, rungs: tuple[int, ...], settings: TrialSettings = SETTINGS, **options: object
) -> list[RungResult]:
    return list(TrialTrainer(settings, data, **{"seed": 3, **options}).run(rungs))


def assert_same(one: RungResult, other: RungResult) -> None:
    assert (one.images, one.scores, one.train_loss, one.lr) == (other.images, other.scores, other.train_loss, other.lr)
    assert np.array_equal(one.probabilities_n, other.probabilities_n)


def assert_equal_tensors(one: nn.Module, other: nn.Module) -> None:
    for (name, tensor), other_tensor in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(tensor, other_tensor), name


def test_scores_are_the_same_with_and_without_the_cache(tmp_path: Path) -> None:
    dataset = find_dataset(make_competition(tmp_path / "data"), val_fraction=0.2, seed=0)
    cached = open_training_data(dataset, px=32, cache_dir=tmp_path, num_workers=1, max_unreadable_fraction=0)
    assert isinstance(cached.train.images_nhwc, np.memmap)
    decoded = [
        LabelledImages(
            images_nhwc=np.stack([decode(path, 32) for path in part.paths]),
            labels_n=part.labels_n,
            indices_n=np.arange(len(part)),
        )
        for part in (dataset.train, dataset.val)
    ]
    (with_cache,) = trained(cached, (96,))
    (without,) = trained(TrainingData(train=decoded[0], val=decoded[1]), (96,))
    assert with_cache.scores.auc == pytest.approx(without.scores.auc, abs=1e-3)
    assert_same(with_cache, without)


def test_each_rung_gives_scores_of_the_validation_images(data: TrainingData) -> None:
    results = trained(data, (32, 96))
    assert [result.images for result in results] == [32, 96]
    for result in results:
        assert result.scores == score(data.val.labels_n, result.probabilities_n)
        assert result.probabilities_n.shape == (30,)
        assert result.micro_batch == 8
        assert result.images_per_second > 0
        assert result.seconds > 0
    assert results[0].lr > results[1].lr > 0


def test_a_network_learns(data: TrainingData) -> None:
    settings = dataclasses.replace(SETTINGS, images_per_trial=800, augment={"hflip": {"p": 0.5}})
    first, last = trained(data, (80, 800), settings)
    assert last.scores.auc > 0.9
    assert last.train_loss < first.train_loss


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ema_decay": 0.9, "gradient_clip": 1.0, "balance": 0.5, "label_smoothing": 0.1},
        {"optimizer": "sgd", "backbone": "test_vit", "drop_path": 0.3},
        {"layer_decay": 0.7, "focal_gamma": 1.0, "augment": {"selfblend": {"p": 0.5}, "mixup": {"alpha": 0.4}}},
    ],
)
def test_a_resumed_trial_is_bit_equal_to_one_that_never_stopped(data: TrainingData, tmp_path: Path, changes: dict) -> None:
    settings = dataclasses.replace(SETTINGS, **changes)
    whole = TrialTrainer(settings, data, seed=3)
    expected = list(whole.run((32, 64, 96)))
    for rung, result in zip((32, 64, 96), expected, strict=True):
        torch.manual_seed(rung)  # whatever else the process draws
        resumed = TrialTrainer(settings, data, seed=3, checkpoint=tmp_path / "checkpoint.pt")
        assert resumed.images_seen == rung - 32
        (got,) = resumed.run((rung,))
        assert_same(got, result)
    assert_equal_tensors(resumed.model, whole.model)


def test_rungs_change_nothing_about_the_training(data: TrainingData) -> None:
    one, other = TrialTrainer(SETTINGS, data, seed=3), TrialTrainer(SETTINGS, data, seed=3)
    list(one.run((96,)))
    list(other.run((8, 16, 40, 96)))
    assert_equal_tensors(one.model, other.model)


def test_another_seed_gives_another_network(data: TrainingData) -> None:
    (one,), (other,) = trained(data, (32,), seed=1), trained(data, (32,), seed=2)
    assert not np.array_equal(one.probabilities_n, other.probabilities_n)


def test_a_rung_inside_a_batch_is_evaluated_after_that_batch(data: TrainingData) -> None:
    trainer = TrialTrainer(SETTINGS, data, seed=3)
    seen = [(result.images, trainer.images_seen) for result in trainer.run((10, 13, 17, 96))]
    assert seen == [(10, 16), (13, 16), (17, 24), (96, 96)]


def test_a_rung_that_was_reached_but_not_reported_is_yielded_again_without_training(
    data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (before,) = trained(data, (32,), checkpoint=tmp_path / "c.pt")
    monkeypatch.setattr(trial, "training_batches", pytest.fail)
    (again,) = trained(data, (16, 32), checkpoint=tmp_path / "c.pt")
    assert_same(again, before)


def test_the_checkpoint_is_written_before_its_rung_is_yielded(data: TrainingData, tmp_path: Path) -> None:
    for result in TrialTrainer(SETTINGS, data, seed=3, checkpoint=tmp_path / "c.pt").run((32, 64, 96)):
        assert TrialTrainer(SETTINGS, data, seed=3, checkpoint=tmp_path / "c.pt").images_seen == result.images


def test_a_lost_checkpoint_starts_the_trial_again_and_leaves_out_rungs_that_are_not_wanted(
    data: TrainingData, tmp_path: Path
) -> None:
    expected = trained(data, (32, 64))[1]
    (got,) = trained(data, (64,), checkpoint=tmp_path / "gone.pt")
    assert (got.scores, got.lr) == (expected.scores, expected.lr)


@pytest.mark.parametrize("change", [{"lr": 1e-3}, {"augment": {"hflip": {"p": 0.4}}}])
def test_a_checkpoint_of_another_configuration_is_not_gone_on_from(
    data: TrainingData, tmp_path: Path, change: dict, caplog: pytest.LogCaptureFixture
) -> None:
    trained(data, (32,), checkpoint=tmp_path / "c.pt")
    with caplog.at_level(logging.WARNING):
        other = TrialTrainer(dataclasses.replace(SETTINGS, **change), data, seed=3, checkpoint=tmp_path / "c.pt")
    assert other.images_seen == 0
    assert "belongs to another configuration" in caplog.text


def test_epochs_decide_the_full_training_where_no_number_of_images_is_given(data: TrainingData) -> None:
    by_epochs = dataclasses.replace(SETTINGS, images_per_trial=None, epochs=2.4)
    (one,), (other,) = trained(data, (96,), by_epochs), trained(data, (96,))
    assert one.lr == other.lr


def test_the_moving_average_is_what_is_evaluated_and_kept(data: TrainingData) -> None:
    trainer = TrialTrainer(dataclasses.replace(SETTINGS, ema_decay=0.99), data, seed=3)
    (result,) = trainer.run((96,))
    assert trainer.model is not trainer._network
    assert np.array_equal(trainer.probabilities(data.val), result.probabilities_n)


@pytest.mark.parametrize("images_before", [0, 32])
def test_a_loss_that_is_not_finite_ends_the_trial_at_once(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch, images_before: int
) -> None:
    trainer = TrialTrainer(SETTINGS, data, seed=3)
    steps = 0

    def poisoned(whole: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def loss(*arguments: Tensor) -> Tensor:
            nonlocal steps
            steps += 1
            return whole(*arguments) * (float("nan") if steps * 8 > images_before else 1.0)

        return loss

    monkeypatch.setattr(trainer, "_take_step", poisoned(trainer._take_step))
    with pytest.raises(DivergedError, match=rf"loss is not finite at {images_before + 8} images seen"):
        list(trainer.run((96,)))


def test_the_loss_is_looked_at_every_few_steps_and_at_a_rung(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(trial.STEPS_BETWEEN_CHECKS, "cpu", 5)
    trainer = TrialTrainer(SETTINGS, data, seed=3)
    looks: list[int] = []
    monkeypatch.setattr(trainer, "_check_finite", lambda loss_sum: looks.append(trainer.images_seen))
    list(trainer.run((96,)))
    assert looks == [40, 80, 96]


def test_weights_that_blow_up_end_the_trial_as_diverged(data: TrainingData) -> None:
    with pytest.raises(DivergedError, match="is not finite at"):
        trained(
            data,
            (96,),
            dataclasses.replace(SETTINGS, optimizer="sgd", lr=10.0, backbone="test_vit", image_px=64),
            precision="fp32",
        )


def test_a_diverged_rung_leaves_the_checkpoint_of_the_rung_before(data: TrainingData, tmp_path: Path) -> None:
    trainer = TrialTrainer(SETTINGS, data, seed=3, checkpoint=tmp_path / "c.pt")
    results = trainer.run((32, 64))
    next(results)
    with torch.no_grad():
        next(trainer.model.parameters()).fill_(float("nan"))
    with pytest.raises(DivergedError):
        next(results)
    assert TrialTrainer(SETTINGS, data, seed=3, checkpoint=tmp_path / "c.pt").images_seen == 32


class SmallMemory(nn.Module):
    def __init__(self, inner: nn.Module, most: int) -> None:
        super().__init__()
        self.inner = inner
        self.most = most

    def forward(self, images_bchw: Tensor) -> Tensor:
        if self.training and len(images_bchw) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return self.inner(images_bchw)


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trial.build
    monkeypatch.setattr(trial, "build", lambda spec: _with_small_memory(whole(spec)))


def _with_small_memory(detector: nn.Module) -> nn.Module:
    detector.network = SmallMemory(detector.network, 4)
    return detector


@pytest.mark.usefixtures("small_memory")
def test_out_of_memory_goes_on_with_the_same_steps_and_says_so(data: TrainingData, tmp_path: Path) -> None:
    results = trained(data, (32, 64), checkpoint=tmp_path / "c.pt")
    assert [result.micro_batch for result in results] == [4, 4]
    assert results[1].lr == trained(data, (64,))[0].lr
    resumed = TrialTrainer(SETTINGS, data, seed=3, checkpoint=tmp_path / "c.pt")
    assert next(resumed.run((64, 96))).micro_batch == 4


def test_micro_batches_give_the_result_of_the_whole_batch_where_no_layer_keeps_batch_statistics(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = dataclasses.replace(SETTINGS, backbone="test_vit", lr=1e-4)
    (whole,) = trained(data, (48,), settings, precision="fp32")
    inner = trial.build
    monkeypatch.setattr(trial, "build", lambda spec: _with_small_memory(inner(spec)))
    (pieces,) = trained(data, (48,), settings, precision="fp32")
    assert (whole.micro_batch, pieces.micro_batch) == (8, 4)
    assert np.allclose(whole.probabilities_n, pieces.probabilities_n, atol=1e-4)


def test_a_network_that_cannot_be_built_is_infeasible(data: TrainingData) -> None:
    with pytest.raises(InfeasibleError, match="se_reduction 128"):
        trained(data, (32,), dataclasses.replace(SETTINGS, se_reduction=128))


def test_progress_is_told_every_few_seconds(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_PROGRESS", 0.0)
    told: list[progress.Progress] = []
    trained(data, (24,), on_progress=told.append)
    assert [now.images for now in told] == [8, 16, 24]
    assert all(now.images_per_second > 0 for now in told)
    assert all(now.step_fraction is not None and 0 < now.step_fraction <= 1 for now in told)


def test_a_trial_that_is_closed_between_rungs_leaves_no_thread(data: TrainingData) -> None:
    results = TrialTrainer(SETTINGS, data, seed=3).run((32, 96))
    next(results)
    results.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "hpsearch-batches"]


def test_a_trainer_frees_its_memory_without_a_garbage_collection(data: TrainingData) -> None:
    trainer = TrialTrainer(dataclasses.replace(SETTINGS, ema_decay=0.9), data, seed=3)
    network = weakref.ref(trainer.model)
    gc.disable()
    try:
        list(trainer.run((32,)))
        del trainer
        assert network() is None
    finally:
        gc.enable()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_trains_and_resumes(data: TrainingData, tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, images_per_trial=800, ema_decay=0.9)
    first = trained(data, (400,), settings, device="cuda", checkpoint=tmp_path / "c.pt")
    goes_on = TrialTrainer(settings, data, seed=3, device="cuda", checkpoint=tmp_path / "c.pt")
    assert goes_on.images_seen == 400
    last = list(goes_on.run((400, 800)))
    assert_same(last[0], first[0])
    assert last[-1].scores.auc > 0.9
