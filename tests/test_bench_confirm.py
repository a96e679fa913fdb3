import pytest

from hpsearch.bench.__main__ import main
from hpsearch.bench.confirmed_study import run_study


def test_fresh_seeds_take_away_optimism_on_average() -> None:
    studies = [
        run_study(table, seed, budget=6, sampler="random", num_finalists=3, max_repeats=3)
        for table in (8, 10, 11)
        for seed in range(4)
    ]
    first = sum(study.first_optimism for study in studies) / len(studies)
    confirmed = sum(study.confirmed_optimism for study in studies) / len(studies)
    assert first > 0
    assert confirmed < first
    assert all(study.num_trainings <= 9 for study in studies)


def test_a_study_repeats() -> None:
    once, again = (run_study(8, 3, budget=4, sampler="random", num_finalists=3, max_repeats=2) for _ in range(2))
    assert once == again


def test_the_command_prints_a_line_a_table_and_one_for_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["confirm", "--tables", "1", "--budget", "4", "--sampler", "random"]) == 0
    shown = capsys.readouterr().out
    assert "nasbench201-cifar10" in shown
    assert shown.strip().splitlines()[-1].startswith("all")


def test_more_tables_than_there_are_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["confirm", "--tables", "99"]) == 2
    assert "there are 1 to 15" in capsys.readouterr().err
