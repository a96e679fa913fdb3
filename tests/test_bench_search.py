"""The search benchmark: its tasks, Ray's recipe in virtual time, and what it writes."""

import json
from pathlib import Path

import numpy as np
import pytest

from hpsearch.bench.__main__ import main
from hpsearch.bench.curve_tasks import CurveTask
from hpsearch.bench.ray_recipe import RayRecipe
from hpsearch.bench.search_quality import Case, Results, run_case
from hpsearch.bench.search_table import collect, make_rows
from hpsearch.bench.table_tasks import TableTask
from hpsearch.config import SearchConfig
from hpsearch.search.simulator import simulate
from hpsearch.search.space import Space

pytest.importorskip("ifbo", reason="the benchmark's tasks need: pip install 'hpsearch[bench]'")

CENTRE = {f"x{number}": 0.5 for number in range(5)}


def case(method: str, *, task: int = 0, suite: str = "ftpfn", seed: int = 0) -> Case:
    return Case(suite=suite, task=task, method=method, seed=seed, budgets=(1, 2))


def test_a_curve_task_is_the_same_whenever_it_is_made() -> None:
    first, second = CurveTask(7), CurveTask(7)
    assert np.array_equal(first.curve(CENTRE, 1), second.curve(CENTRE, 1))
    assert first.regret(CENTRE, 1) == second.regret(CENTRE, 1)
    assert not np.array_equal(first.curve(CENTRE, 1), CurveTask(8).curve(CENTRE, 1))


def test_making_a_curve_task_leaves_the_global_generator_alone() -> None:
    np.random.seed(5)
    expected = np.random.uniform()
    np.random.seed(5)
    CurveTask(3).curve(CENTRE, 0)
    assert np.random.uniform() == expected


def test_regret_is_one_at_the_median_and_noise_shrinks_to_the_true_curve() -> None:
    task = CurveTask(0)
    random = np.random.default_rng(0)
    regrets = [task.regret({name: float(random.random()) for name in CENTRE}, 0) for _ in range(300)]
    assert np.median(regrets) == pytest.approx(1.0, abs=0.15)
    assert min(regrets) > -0.2
    finals = [task.curve(CENTRE, seed)[-1] for seed in range(200)]
    mean_regret = (task.best - np.mean(finals)) / (task.best - task.median)
    assert mean_regret == pytest.approx(np.mean([task.regret(CENTRE, seed) for seed in range(40)]), abs=0.05)


def test_a_table_task_ends_at_a_value_of_the_table() -> None:
    task = TableTask(0)
    params = Space.from_dict(task.space).draw(np.random.default_rng(1))
    finals = {round(float(task.curve(params, seed)[-1]), 6) for seed in range(30)}
    assert len(finals) <= 3
    assert (task.best - np.mean(sorted(finals))) / (task.best - task.median) == pytest.approx(task.regret(params, 0), abs=0.05)


def test_rays_recipe_stops_trials_and_spends_the_whole_budget() -> None:
    space = Space.from_dict({"x": {"low": 0.0, "high": 1.0}, "kind": {"choices": ["a", "b"]}})
    recipe = RayRecipe(space, num_steps=27, eta=3.0, seed=1)
    result = simulate(recipe, lambda params, step: float(params["x"]) * step, num_workers=4, budget_images=270)
    reached = [max(trial.values, default=0) for trial in recipe.study.trials.values()]
    assert result.images_trained - 4 < sum(reached) <= result.images_trained == 270
    assert max(reached) == 27
    assert min(reached[:-4]) == 1
    best = recipe.best()
    assert best is not None
    assert best.values[best.images] == max(trial.values[trial.images] for trial in recipe.study.trials.values() if trial.values)


def test_a_case_gives_the_same_regrets_again() -> None:
    assert run_case(case("random")) == run_case(case("random")) != run_case(case("random", seed=1))


def test_a_task_whose_best_is_its_median_is_left_out(tmp_path: Path) -> None:
    left_out = next(index for index in range(20) if not CurveTask(index).is_usable)
    assert run_case(case("ray", task=left_out)) is None


def test_gains_are_paired_by_task(tmp_path: Path) -> None:
    results = Results(tmp_path / "r.jsonl")
    cases = [case(method, task=task) for method in ("ray", "random") for task in range(3)]
    for one in cases:
        results.add(one, [one.task + 1.0, one.task + 2.0] if one.method == "ray" else [one.task + 0.75, one.task + 1.75])
    rows = {(row.method, row.budget): row for row in make_rows(collect(cases, results), (1, 2))}
    assert rows["random", 1].regret == 1.75
    assert rows["random", 1].gain_over_ray == rows["random", "all"].gain_over_ray == 0.25
    assert rows["random", 2].gain_standard_error == 0.0
    assert rows["random", 2].standard_error == pytest.approx(1 / np.sqrt(3))


def test_the_command_prints_writes_and_goes_on_from_its_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["search", "--tasks", "0:2", "--seeds", "1", "--budgets", "1,2", "--suites", "ftpfn", "--methods", "ray", "random"]
    argv += ["--results", str(tmp_path / "r.jsonl"), "--json", str(tmp_path / "r.json"), "--plot", str(tmp_path / "r.html")]
    assert main(argv) == 0
    first = capsys.readouterr()
    content = json.loads((tmp_path / "r.json").read_text())
    assert {(row["method"], row["budget"]) for row in content["rows"]} == {(m, b) for m in ("ray", "random") for b in (1, 2)}
    assert content["default"] == SearchConfig().sampler
    assert "random" in first.out
    assert "regret" in (tmp_path / "r.html").read_text()
    with (tmp_path / "r.jsonl").open("a") as file:
        file.write('{"case": "torn')
    assert main(argv) == 0
    again = capsys.readouterr()
    assert again.out == first.out
    assert "simulations" not in again.err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["search", "--methods", "rya"], "did you mean 'ray'"),
        (["search", "--tasks", "5"], "expected FIRST:END"),
        (["search", "--budgets", "five"], "whole numbers"),
    ],
)
def test_wrong_options_are_refused(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    assert message in capsys.readouterr().err
