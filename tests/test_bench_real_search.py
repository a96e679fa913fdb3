"""The comparison with a script from Ray's documentation: what it counts, and that both sides really train."""

import json
from pathlib import Path

import optuna
import pytest

from hpsearch.bench.__main__ import main
from hpsearch.bench.ray_script import COUNTS, PARAMS, images_trained, suggest
from hpsearch.bench.real_search import RealRun, _timed, as_text
from hpsearch.errors import ClusterError
from hpsearch.search.space import Space
from hpsearch.train.vocabulary import TrainVocabulary
from tests.small_set import SPACE, make_competition

PLACE = {"hardware": {"cores": 2, "processor": "Some CPU"}, "versions": {"torch": "1", "ray": "2"}}


def run(way: str, images: int, seconds: float) -> RealRun:
    return RealRun(way=way, images=images, seconds=seconds, trials=3)


def test_the_ratio_is_that_of_the_median_speeds() -> None:
    runs = [run("hpsearch", 3000, 10), run("ray", 1000, 10), run("ray", 500, 10), run("hpsearch", 1500, 10)]
    text = as_text(runs, PLACE)
    assert "3.00 ×" in text
    assert "2 cores Some CPU" in text
    assert sum(line.startswith("hpsearch  ") for line in text.splitlines()) == 2


def test_the_script_asks_optuna_for_what_is_active_and_keeps_what_is_fixed(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    space = Space.load(tmp_path / "space.yaml", TrainVocabulary())
    study = optuna.create_study()
    backbones = set()
    for _ in range(12):
        trial = study.ask()
        params = suggest(space, trial)[PARAMS]
        backbones.add(params["backbone"])
        assert ("se_reduction" in params) == (params["backbone"] == "test_resnet")
        assert params["lr"] == trial.params["lr[cnn]"]
        assert params["image_px"] == 32
    assert len(backbones) == 2


def test_images_of_stopped_trials_count_up_to_their_last_batch(tmp_path: Path) -> None:
    (tmp_path / COUNTS).mkdir()
    (tmp_path / COUNTS / "a").write_text("64\n64\n")
    (tmp_path / COUNTS / "b").write_text("64\n")
    assert images_trained(tmp_path) == 192


def test_a_side_that_fails_ends_the_benchmark_with_its_words() -> None:
    with pytest.raises(ClusterError, match=r"hpsearch\.run --nonsense ended with code 2"):
        _timed(["hpsearch.run", "--nonsense"])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_both_sides_train_on_the_same_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_competition(tmp_path / "data")
    (tmp_path / "space.yaml").write_text(SPACE)
    argv = ["search", "--real", "--data", str(data), "--space", str(tmp_path / "space.yaml"), "--minutes", "1"]
    assert main([*argv, "--repeats", "1", "--json", str(tmp_path / "r.json")]) == 0
    rows = json.loads((tmp_path / "r.json").read_text())["rows"]
    assert [row["way"] for row in rows] == ["hpsearch", "ray"]
    assert all(row["images"] >= 72 and row["trials"] >= 1 for row in rows)
    assert "as many images per second" in capsys.readouterr().out
