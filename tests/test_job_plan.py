import json
import time
from pathlib import Path

import pytest

from hpsearch import cli, run
from hpsearch.job.plan import BackboneCost, _cost_lines, num_trials_in, study_images, trials_by_rung
from hpsearch.search.engine import Engine
from hpsearch.search.journal import Journal
from hpsearch.search.simulator import simulate
from hpsearch.search.space import Space
from hpsearch.search.types import EngineConfig
from tests.small_set import SPACE, make_competition

RUNGS = (1, 3, 9)


@pytest.mark.parametrize("num_trials", [4, 10, 24, 60])
def test_planned_images_are_those_that_the_engine_trains_with_one_worker(num_trials: int) -> None:
    space = Space.from_dict({"x": {"low": 0.0, "high": 1.0}})
    config = EngineConfig(rungs=RUNGS, num_trials=num_trials, sampler="random")
    engine = Engine.open(space, config, Journal.in_memory())
    simulate(engine, lambda params, images: float(params["x"]), num_workers=1)
    reached = [len(table.ranking) for table in engine.study.rungs.values()]
    planned = trials_by_rung(num_trials, len(RUNGS), 3.0)
    assert all(most - 1 <= count <= most + 1 for count, most in zip(reached, planned, strict=True))
    assert engine.study.images_trained == pytest.approx(study_images(num_trials, RUNGS, 3.0), rel=0.25)


def test_a_budget_of_images_holds_as_many_trials_as_fit() -> None:
    for images in (1, 10, 100, 1000):
        most = num_trials_in(images, RUNGS, 3.0)
        assert study_images(most, RUNGS, 3.0) <= images < study_images(most + 1, RUNGS, 3.0)


COSTS = [
    BackboneCost(backbone="large", num_parameters=9_000_000, images_per_second=50.0, peak_bytes=3 * 2**30),
    BackboneCost(backbone="small", num_parameters=1_000_000, images_per_second=400.0, peak_bytes=2**30),
    BackboneCost(backbone="left out", num_parameters=1_000_000, images_per_second=0.0, peak_bytes=0),
]


def test_each_backbone_has_its_gpu_memory() -> None:
    lines = _cost_lines(COSTS, gpus=1.0)
    assert [line.split()[-2:] for line in lines[:3]] == [["GPU", "memory"], ["3.0", "GiB"], ["1.0", "GiB"]]
    assert lines[3].split()[-2:] == ["–", "–"]


def test_without_a_gpu_memory_is_that_of_the_process_whose_peak_tells_backbones_not_apart() -> None:
    lines = _cost_lines(COSTS, gpus=0.0)
    assert [line.split()[-1] for line in lines[:4]] == ["images/s", "50", "400", "–"]
    assert lines[4].startswith("memory  3.0 GiB at most in this process")


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(cli, "_json_lines", False)
    (tmp_path / "space.yaml").write_text(SPACE)
    data = str(make_competition(tmp_path / "data"))
    return ["--data", data, "--space", str(tmp_path / "space.yaml"), "--out", str(tmp_path), "--trials", "9", "--plan"]


def test_with_json_the_plan_is_one_line_of_facts(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    began = time.time()
    assert run.command([*words, "--json"]) == 0
    shown = capsys.readouterr()
    plan = json.loads(shown.out)
    assert plan["kind"] == "plan"
    assert began <= plan["time"] <= time.time()
    assert (plan["data"]["num_train"], plan["data"]["num_val"], plan["data"]["num_template"]) == (48, 24, 6)
    assert [cost["backbone"] for cost in plan["backbones"]] == ["test_resnet", "test_efficientnet"]
    assert (plan["study"]["num_trials"], plan["study"]["rungs"]) == (9, [8, 24, 72])
    assert "search  about 9 trials" in plan["text"]
    assert [json.loads(line)["text"] for line in shown.err.splitlines()] == [
        "measuring test_resnet",
        "measuring test_efficientnet",
    ]


def test_with_quiet_the_plan_is_all_that_is_shown(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run.command([*words, "--quiet"]) == 0
    shown = capsys.readouterr()
    assert "search  about 9 trials" in shown.out
    assert shown.err == ""
