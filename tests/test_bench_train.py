"""The training benchmark: what it times, that it is fair, and what it writes."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hpsearch.bench import stopwatch, training_speed
from hpsearch.bench.__main__ import main
from hpsearch.bench.augmentation import SEED_RECIPE
from hpsearch.bench.stopwatch import alternated, repeated
from hpsearch.bench.train_command import decoding_speed
from hpsearch.bench.training_speed import full_settings, measure
from hpsearch.bench.usual_way import UsualEvaluation, UsualTraining, _Numbers
from hpsearch.data.dataset import Dataset
from hpsearch.data.find import find_dataset
from tests.small_set import make_competition

CPU = torch.device("cpu")
SETTINGS = full_settings("test_resnet", 32, 8)


@pytest.fixture(autouse=True)
def _short_measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopwatch, "MEASURED_SECONDS", 0.02)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_competition(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def dataset(data: Path) -> Dataset:
    return find_dataset(data, val_fraction=0.2, seed=0)


def counted(speeds: dict[str, list[float]], order: list[str]) -> dict[str, Callable[[], float]]:
    def way(name: str) -> Callable[[], float]:
        def measurement() -> float:
            order.append(name)
            return speeds[name].pop(0)

        return measurement

    return {name: way(name) for name in speeds}


def test_ways_alternate_and_the_median_after_the_first_round_counts() -> None:
    order: list[str] = []
    speeds = {"a": [9.0, 1.0, 3.0, 2.0], "b": [0.0, 5.0, 5.0, 9.0]}
    assert alternated(counted(speeds, order), 3) == {"a": 2.0, "b": 5.0}
    assert order == ["b", "a", "a", "b", "b", "a", "a", "b"]


def test_images_per_second_are_those_of_the_steps_that_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    times = [0.0]
    monkeypatch.setattr(stopwatch, "synchronised", lambda device: times[-1])
    assert repeated(lambda: times.append(times[-1] + 0.008), 10, CPU) == pytest.approx(10 / 0.008)
    assert len(times) == 1 + 3


def test_the_usual_training_trains_on_all_labels_and_is_timed_again_and_again(dataset: Dataset) -> None:
    training = UsualTraining(SETTINGS, dataset.train, SEED_RECIPE, device="cpu", num_workers=1)
    seen: list[int] = []
    step = training._step

    def spied(images_bchw: torch.Tensor, labels_b: torch.Tensor) -> None:
        assert images_bchw.shape == (8, 3, 32, 32)
        assert images_bchw.dtype == torch.float32
        seen.extend(labels_b.tolist())
        step(images_bchw, labels_b)

    training._step = spied  # type: ignore[method-assign]
    before = [parameter.clone() for parameter in training._model.parameters()]
    assert training() > 0
    assert training() > 0
    assert len(seen) >= 2 * 3 * 8
    assert set(seen) == {0, 1}
    assert any(not torch.equal(old, new) for old, new in zip(before, training._model.parameters(), strict=True))


def test_the_usual_evaluation_has_no_randomness_and_the_models_statistics_stay(dataset: Dataset) -> None:
    evaluation = UsualEvaluation(SETTINGS, dataset.val, SEED_RECIPE, device="cpu", num_workers=1)
    files = evaluation._loader._batches.dataset
    assert torch.equal(files[3][0], files[3][0])
    before = {name: value.clone() for name, value in evaluation._model.state_dict().items()}
    assert evaluation() > 0
    assert all(torch.equal(before[name], value) for name, value in evaluation._model.state_dict().items())


def test_both_phases_of_a_network_are_timed_in_all_four_ways(dataset: Dataset, tmp_path: Path) -> None:
    rows = measure(SETTINGS, dataset, device="cpu", cache_dir=tmp_path, num_cores=1, repeats=1, compiles=False)
    assert [(row.device, row.backbone, row.px, row.phase) for row in rows] == [
        ("cpu", "test_resnet", 32, "train"),
        ("cpu", "test_resnet", 32, "eval"),
    ]
    assert all(speed > 0 for row in rows for speed in (row.step, row.limit, row.ours, row.usual))


def test_the_step_is_the_best_of_eager_and_compiled(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs: list[object] = []
    monkeypatch.setattr("hpsearch.train.compiled.BACKEND", lambda graph, inputs: graphs.append(graph) or graph.forward)
    found: list[dict[str, float]] = []
    really = training_speed.alternated

    def kept(ways: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, float]:
        found.append(really(ways, repeats))
        return dict(found[-1])

    monkeypatch.setattr(training_speed, "alternated", kept)
    train, _ = measure(SETTINGS, dataset, device="cpu", cache_dir=tmp_path, num_cores=1, repeats=1, compiles=True)
    assert train.step == max(found[0]["step"], found[0]["compiled step"])
    assert len(graphs) == 1, "limit and ours use what the step has compiled"


def test_decoding_is_timed_file_by_file(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(tmp_path / "a.png")
    assert decoding_speed([str(tmp_path / "a.png")] * 4, 16, 1) > 10


def test_the_command_prints_a_table_and_writes_the_rows(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["train", "--data", str(data), "--backbone", "test_resnet", "--px", "32", "--batch-size", "8", "--repeats", "1"]
    assert main([*argv, "--device", "cpu", "--json", str(tmp_path / "r.json")]) == 0
    shown = capsys.readouterr().out
    content = json.loads((tmp_path / "r.json").read_text())
    for row in content["rows"]:
        assert list(row) == ["device", "backbone", "px", "phase", "step", "limit", "ours", "usual"]
        assert any(line.split()[:4] == ["cpu", "test_resnet", "32", row["phase"]] for line in shown.splitlines())
    assert [row["phase"] for row in content["rows"]] == ["train", "eval"]
    assert f"torch {torch.__version__.partition('+')[0]}" in shown
    assert f"{content['provenance']['hardware']['cores']} core" in shown
    assert [(speed["name"], speed["source_px"]) for speed in content["augmentation"]] == [("seed", 40), ("full", 40)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--backbone", "test_resnett"], "did you mean 'test_resnet'"),
        (["--px", "0"], "--px, --batch-size and --repeats must be at least 1"),
        (["--data", "nowhere"], "nowhere"),
    ],
)
def test_wrong_options_are_refused(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *options]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a GPU that is not there")
def test_a_gpu_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--device", "cuda"]) == 2
    assert "no GPU here" in capsys.readouterr().err


def test_a_set_smaller_than_a_measurement_is_gone_through_again() -> None:
    numbers = _Numbers(3)
    numbers.num_wanted = 6
    assert sorted(numbers) == [0, 0, 1, 1, 2, 2]
