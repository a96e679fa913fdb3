"""What a retraining leaves behind."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from hpsearch.data.find import find_dataset
from hpsearch.errors import InfeasibleError
from hpsearch.final.export import read_description
from hpsearch.final.retrain import EXPORT, FINISHED, Retrained, RetrainJob, evaluation_points, finished, retrain
from hpsearch.model.backbones import build
from hpsearch.train.settings import settings_from
from hpsearch.train.vocabulary import model_spec
from hpsearch.train.worker_setup import WorkerSetup
from tests.small_set import make_competition


@pytest.fixture
def job(tmp_path: Path) -> RetrainJob:
    params = {"backbone": "test_resnet", "image_px": 32, "batch_size": 8, "lr": 1e-3}
    weights = tmp_path / "start.safetensors"
    save_file(build(model_spec(settings_from(params))).network.state_dict(), weights)
    return RetrainJob(
        setup=WorkerSetup(
            cache_dir=str(tmp_path / "cache"), num_workers=1, max_unreadable_fraction=0.0, precision="fp32", compile="never"
        ),
        dataset=find_dataset(make_competition(tmp_path / "data"), val_fraction=0.2, seed=0),
        params={**params, "weights": str(weights)},
        images=16,
        stored_px=40,
        directory=str(tmp_path / "retrained"),
        seed=0,
        objective="auc",
    )


def run(job: RetrainJob) -> Retrained:
    steps = retrain(job)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def test_the_model_and_the_log_tell_what_became_of_the_start_weights(job: RetrainJob) -> None:
    retrained = run(job)
    tag = str(job.params["weights"])
    description = read_description(Path(job.directory) / EXPORT)
    (told,) = description.start_weights
    assert description.weights_tag == told["tag"] == tag
    assert told["fresh"] == 2  # the classifier's weight and bias
    assert told["kept"] > 20
    assert retrained.start_weights.startswith(f"{tag}: {told['kept']} of {told['kept'] + 2} tensors kept; fresh: fc.")
    again = finished(job)
    assert again is not None
    assert again.start_weights == retrained.start_weights


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"identity": 1}', "[" * 100_000])
def test_a_broken_record_of_a_training_makes_it_train_again(job: RetrainJob, text: str) -> None:
    first = run(job)
    record = Path(job.directory) / FINISHED
    for broken in (text, json.dumps({"identity": json.loads(record.read_text())["identity"], "labels_n": []})):
        record.write_text(broken)
        assert finished(job) is None
    assert np.array_equal(run(job).probabilities_n, first.probabilities_n)
    assert finished(job) is not None


@pytest.mark.parametrize("text", ["", "{}", '[{"images": 4}]', "[" * 100_000])
def test_a_broken_curve_begins_where_the_training_goes_on(job: RetrainJob, text: str, caplog: pytest.LogCaptureFixture) -> None:
    steps = retrain(job)
    while next(steps)["images"] < 8:
        pass
    steps.close()
    (Path(job.directory) / "curve.json").write_text(text)
    points = run(job).curve
    assert [point["images"] for point in points] == [image for image in evaluation_points(job.images) if image >= 8]
    assert "curve.json cannot be read" in caplog.text


def test_what_memory_does_not_hold_is_infeasible_outside_training_too(job: RetrainJob, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr("hpsearch.final.retrain.export_trained", refuse)
    with pytest.raises(InfeasibleError, match=r"does not fit the memory \(CUDA out of memory\.\)"):
        run(job)


def test_a_training_that_shares_a_gpu_keeps_to_its_share(job: RetrainJob, monkeypatch: pytest.MonkeyPatch) -> None:
    class StoppedError(Exception):
        pass

    def stop(*args: object, **kwargs: object) -> None:
        raise StoppedError

    shares: list[float] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("hpsearch.train.worker_setup.keep_to_share", shares.append)
    monkeypatch.setattr("hpsearch.train.worker_setup.open_training_data", stop)
    with pytest.raises(StoppedError):
        run(dataclasses.replace(job, setup=dataclasses.replace(job.setup, gpus=0.25)))
    assert shares == [0.25]
