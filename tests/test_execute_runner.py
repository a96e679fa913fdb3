"""The real runner, in this process: tiny images, a tiny network, real checkpoints."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
from PIL import Image
from safetensors.torch import save_file

from hpsearch.data.dataset import Dataset, ImageSet
from hpsearch.errors import ClusterError, StorageError
from hpsearch.execute.runner import MakeTrainingRunner, SearchJob, TrainingRunner
from hpsearch.execute.stretch import RungReport
from hpsearch.layout import RunLayout
from hpsearch.model.weight_sources import WeightsSource
from hpsearch.object_store import ObjectStore
from hpsearch.run_files import MirroredFiles
from hpsearch.search.types import Stretch
from hpsearch.train import trial as trial_module
from hpsearch.train import worker_setup
from hpsearch.train.progress import Progress
from hpsearch.train.worker_setup import WorkerSetup
from tests.s3_server import BUCKET, address, s3_server

RUNGS = (16, 32, 64)
PARAMS = {"backbone": "test_resnet", "image_px": 32, "batch_size": 8, "lr": 1e-3}


class Ticking:
    """A clock that goes on by a second whenever it is read."""

    now = 0.0

    def perf_counter(self) -> float:
        self.now += 1.0
        return self.now


def image_set(directory: Path, num_images: int) -> ImageSet:
    """Forgeries are brighter."""
    random = np.random.default_rng(num_images)
    labels_n = np.arange(num_images) % 2
    paths = [directory / f"{number}.png" for number in range(num_images)]
    directory.mkdir()
    for path, label in zip(paths, labels_n, strict=True):
        pixels_hwc = random.integers(0, 160, (36, 36, 3)) + 60 * label
        Image.fromarray(pixels_hwc.astype(np.uint8)).save(path)
    names = tuple(path.name for path in paths)
    return ImageSet(names=names, paths=tuple(map(str, paths)), labels_n=labels_n, groups=None)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("images")
    train, val = image_set(root / "train", 24), image_set(root / "val", 16)
    return Dataset(source=str(root), train=train, val=val, template=None, notes=(), fingerprint="of this test")


@pytest.fixture
def job(dataset: Dataset, tmp_path: Path) -> SearchJob:
    RunLayout(tmp_path / "run").trials.mkdir(parents=True)
    return SearchJob(
        dataset=dataset,
        setup=WorkerSetup(cache_dir=str(tmp_path / "cache"), num_workers=0, max_unreadable_fraction=0.0, precision="fp32"),
        run_dir=str(tmp_path / "run"),
        stored_px={32: 32},
        rungs=RUNGS,
        images_per_trial=RUNGS[-1],
        seed=0,
        objective="auc",
    )


def with_setup(job: SearchJob, **changed: Any) -> SearchJob:
    return dataclasses.replace(job, setup=dataclasses.replace(job.setup, **changed))


def stretch(trial: int = 0, from_images: int = 0, **params: Any) -> Stretch:
    to_images = min(rung for rung in RUNGS if rung > from_images)
    return Stretch(trial=trial, params={**PARAMS, **params}, from_images=from_images, to_images=to_images)


def reports(runner: TrainingRunner, work: Stretch) -> Iterator[RungReport]:
    return runner.run(work, lambda progress: None)


def test_each_rung_is_reported_with_its_scores_once_its_checkpoint_is_written(job: SearchJob) -> None:
    checkpoint = RunLayout(Path(job.run_dir)).checkpoint(3)
    seen = []
    for report in reports(MakeTrainingRunner(job)(), stretch(trial=3)):
        assert checkpoint.is_file()
        seen.append(report.images)
        assert report.value == report.metrics["auc"]
        assert {"accuracy", "tpr_at_fpr", "train_loss", "lr", "images_per_second", "micro_batch"} <= set(report.metrics)
        assert report.seconds > 0
    assert seen == list(RUNGS)


def test_objective_is_what_rungs_compare(job: SearchJob, tmp_path: Path) -> None:
    runner = TrainingRunner(dataclasses.replace(job, objective="accuracy"))
    first = next(reports(runner, stretch()))
    assert first.value == first.metrics["accuracy"]


def test_where_the_run_directory_is_gone_no_trial_begins_anew(job: SearchJob, tmp_path: Path) -> None:
    runner = TrainingRunner(job)
    first = reports(runner, stretch())
    next(first)
    (tmp_path / "run").rename(tmp_path / "away")
    with pytest.raises(StorageError, match=r"run/trials is not there any more\. Mount its disk again"):
        next(first)
    with pytest.raises(StorageError, match="is not there any more"):
        list(reports(runner, stretch(from_images=RUNGS[0])))
    assert not (tmp_path / "run").exists()


def test_promoted_trial_goes_on_from_its_checkpoint_as_if_it_had_never_stopped(job: SearchJob, tmp_path: Path) -> None:
    straight = [report.metrics["train_loss"] for report in reports(TrainingRunner(job), stretch())]
    other = RunLayout(tmp_path / "other run")
    other.trials.mkdir(parents=True)
    runner = TrainingRunner(dataclasses.replace(job, run_dir=str(other.root)))
    first = reports(runner, stretch())
    losses = [next(first).metrics["train_loss"]]
    first.close()
    list(reports(runner, stretch(trial=1)))  # another trial in between, in the same process
    rest = list(reports(runner, stretch(from_images=RUNGS[0])))
    assert [report.images for report in rest] == list(RUNGS[1:])
    assert losses + [report.metrics["train_loss"] for report in rest] == straight


def test_seconds_of_a_piece_are_its_own(job: SearchJob, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Ticking()
    monkeypatch.setattr(trial_module, "time", clock)
    straight = [report.seconds for report in reports(TrainingRunner(job), stretch())]
    for trial in (1, 2):
        first = reports(TrainingRunner(job), stretch(trial=trial))
        pieces = [next(first).seconds]
        first.close()
        if trial == 2:  # its checkpoint was written, and its driver lost before it was journaled
            pieces = []
        from_images = RUNGS[0] if pieces else 0
        pieces += [report.seconds for report in reports(TrainingRunner(job), stretch(trial=trial, from_images=from_images))]
        assert pieces == straight


def test_trial_goes_on_on_another_machine_where_only_an_object_store_has_its_checkpoint(job: SearchJob, tmp_path: Path) -> None:
    straight = [report.metrics["train_loss"] for report in reports(TrainingRunner(job), stretch())]
    with s3_server() as server:
        objects = ObjectStore(address(server, f"{BUCKET}/run"))

        def on(machine: str) -> TrainingRunner:
            root = tmp_path / machine
            return TrainingRunner(with_setup(dataclasses.replace(job, run_dir=str(root)), files=MirroredFiles(objects, root)))

        first = reports(on("one"), stretch())
        losses = [next(first).metrics["train_loss"]]
        first.close()
        rest = [report.metrics["train_loss"] for report in reports(on("two"), stretch(from_images=RUNGS[0]))]
    assert losses + rest == straight


def test_trial_whose_checkpoint_is_gone_starts_again_and_reports_only_what_is_new(job: SearchJob) -> None:
    straight = list(reports(TrainingRunner(job), stretch()))
    RunLayout(Path(job.run_dir)).checkpoint(0).unlink()
    again = list(reports(TrainingRunner(job), stretch(from_images=RUNGS[0])))
    assert [report.images for report in again] == list(RUNGS[1:])
    assert [report.metrics["train_loss"] for report in again] == [report.metrics["train_loss"] for report in straight[1:]]
    assert again[0].seconds > 0


def test_images_are_opened_once_for_each_size(job: SearchJob, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    really_open = worker_setup.open_training_data
    monkeypatch.setattr(
        worker_setup, "open_training_data", lambda *args, **kwargs: opened.append(kwargs["px"]) or really_open(*args, **kwargs)
    )
    runner = TrainingRunner(job)
    for trial in range(3):
        next(reports(runner, stretch(trial=trial)))
    assert opened == [32]


def test_a_compiled_network_is_kept_for_the_next_trial(job: SearchJob, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = []
    monkeypatch.setattr("hpsearch.train.compiled.BACKEND", lambda graph, inputs: graphs.append(graph) or graph.forward)
    runner = TrainingRunner(with_setup(job, compile="always"))
    for trial in range(2):
        next(reports(runner, stretch(trial=trial)))
    assert len(graphs) == 1


def test_progress_says_images_and_speed(job: SearchJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpsearch.train.progress.SECONDS_BETWEEN_PROGRESS", 0.0)
    told: list[Progress] = []
    next(TrainingRunner(job).run(stretch(), told.append))
    of_training = [progress for progress in told if progress.images > 0]  # before it, signs of life while images are read
    assert [progress.images for progress in of_training] == [8, 16]
    assert all(progress.images_per_second > 0 for progress in of_training)


def test_gpu_that_torch_cannot_see_is_no_trial_s_fault(job: SearchJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ClusterError, match=r"Ray gave a worker 0.25 GPU, but torch .* sees none"):
        TrainingRunner(with_setup(job, gpus=0.25))


def test_start_weights_come_from_the_file_that_the_driver_found(
    job: SearchJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(backbone: str, weights: str) -> None:
        raise AssertionError(f"{backbone} {weights} looked for on the node")

    monkeypatch.setattr("hpsearch.model.weights.fetch_weights", refuse)
    file = tmp_path / "found.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), file)
    source = WeightsSource(tag="test_resnet.r160_in1k", file=file)
    runner = TrainingRunner(with_setup(job, start_weights={("test_resnet", "in1k"): source}))
    stretch = Stretch(trial=0, params={**PARAMS, "weights": "in1k"}, from_images=0, to_images=16)
    report = next(iter(runner.run(stretch, lambda progress: None)))
    assert report.images == 16
