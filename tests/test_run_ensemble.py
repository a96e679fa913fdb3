"""A run whose exported model averages several fresh trainings: everything that follows from the export knows of it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import hpsearch
from hpsearch.final.export import read_description
from hpsearch.job import members
from hpsearch.model import backbones
from tests.small_set import SPACE, make_competition
from tests.test_run import hpsearch as command

pytestmark = pytest.mark.slow
ALWAYS = """
from torch import nn

import hpsearch.job.members
from hpsearch.model.backbones import register_backbone


def build(spec):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * spec.image_px**2, 2))


register_backbone("flat_of_plugin", build, family="cnn")
hpsearch.job.members.num_members = lambda labels_n, answers, *rest: len(answers)
"""
"""A plugin with a backbone, which averages all candidates, whether that helps on a handful of images or not."""


@pytest.fixture
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_competition(tmp_path / "data")
    (tmp_path / "space.yaml").write_text(SPACE.replace("test_efficientnet", "flat_of_plugin"))
    (tmp_path / "always_average.py").write_text(ALWAYS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(members, "num_members", members.num_members)  # the plugin is imported here too
    monkeypatch.setattr(backbones, "_plugins", {})
    return tmp_path / "study"


def words(run_dir: Path, *more: object) -> list[object]:
    here = run_dir.parent
    given = ["--data", here / "data", "--space", here / "space.yaml", "--out", here, "--name", run_dir.name, "--trials", 4]
    settings = ["plugins=[always_average]", "search.num_rungs=1", "final.reserve_fraction=0.5", "final.views=none", *more]
    return [*given, "--set", *settings]


def test_an_ensemble_is_exported_handed_in_and_kept(run_dir: Path) -> None:
    said = command("run", *words(run_dir)).stdout
    result = json.loads((run_dir / "result.json").read_text())
    found = result["best"]["members"]
    assert len(found) > 1
    assert (found[0]["trial"], found[0]["repeat"]) == (result["confirmation"]["winner"], 1)
    assert f"the model averages {len(found)} networks: " in said
    description = read_description(run_dir / "best")
    assert [one["backbone"] for one in found] == [params["backbone"] for params in description.members]
    retrained = [run_dir / "retrain" / f"trial-{one['trial']}-seed-{one['repeat']}" / "export" for one in found]
    assert description.num_parameters == sum(read_description(one).num_parameters for one in retrained)
    assert [one["tag"] for one in description.start_weights] == ["none"] * len(found)
    assert not (run_dir / "retrain" / "ensemble").exists()
    assert "networks in one file" in (run_dir / "best" / "README.md").read_text()
    assert (run_dir / "best" / "model.onnx").is_file()

    plugins = ["always_average"]
    images = run_dir.parent / "data" / "phase2" / "testset1_seen"
    submission = pd.read_csv(run_dir / "submission.csv")
    for name, given in zip(submission["img_name"][:2], submission["y_pred"][:2], strict=True):
        alone = [hpsearch.load(one, "cpu", plugins=plugins).score(images / name) for one in retrained]
        together = hpsearch.load(run_dir, "cpu", plugins=plugins).score(images / name)
        assert together == pytest.approx(given, abs=1e-5)
        assert together == pytest.approx(float(np.mean(alone)), abs=1e-5)

    (run_dir / "result.json").unlink()
    command("run", *words(run_dir))
    assert json.loads((run_dir / "result.json").read_text())["best"]["members"] == found


def test_what_is_trained_on_all_images_is_one_network(run_dir: Path) -> None:
    command("run", *words(run_dir, "final.train_on=all"))
    assert "members" not in json.loads((run_dir / "result.json").read_text())["best"]
    assert read_description(run_dir / "best").members == ()
