import dataclasses

import pytest

from hpsearch.bench.__main__ import main
from hpsearch.bench.confirmed_study import ConfirmedStudy, as_text, is_swapped, run_study
from hpsearch.final.finalists import Standing


def standing(first_score: float | None, mean: float) -> Standing:
    return Standing(trial=0, first_score=first_score, values=(mean,), mean=mean, lower=mean, dropped=False)


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


@pytest.mark.parametrize(
    ("better", "worse", "swapped"),
    [
        (standing(0.9, 0.8), standing(0.8, 0.85), True),
        (standing(0.9, 0.8), standing(0.8, 0.75), False),
        (standing(0.9, 0.8), standing(0.8, 0.8), False),
        (standing(0.9, 0.8), standing(0.9, 0.85), False),
        (standing(None, 0.8), standing(None, 0.85), True),
    ],
)
def test_a_pair_is_swapped_where_the_one_behind_is_confirmed_to_be_better(
    better: Standing, worse: Standing, swapped: bool
) -> None:
    assert is_swapped(better, worse) == swapped


def test_an_order_can_change_behind_a_winner_that_stays() -> None:
    study = ConfirmedStudy(
        table="one", first_optimism=0, confirmed_optimism=0, said_optimism=0, changed=False, num_pairs=3, num_swapped=1, gain=0,
        num_trainings=9,
    )  # fmt: skip
    last = as_text([study, study, dataclasses.replace(study, num_swapped=0)]).splitlines()[-1]
    assert " ".join(last.split()[-10:]) == "0 of 3 2 of 3 2 of 9 9.0"


def test_the_pairs_of_a_study_are_those_of_its_finalists() -> None:
    study = run_study(8, 3, budget=6, sampler="random", num_finalists=4, max_repeats=2)
    assert study.num_pairs == 6
    assert 0 <= study.num_swapped <= 6


def test_the_command_prints_a_line_a_table_and_one_for_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["confirm", "--tables", "1", "--budget", "4", "--sampler", "random"]) == 0
    shown = capsys.readouterr().out
    assert "nasbench201-cifar10" in shown
    assert shown.strip().splitlines()[-1].startswith("all")


def test_more_tables_than_there_are_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["confirm", "--tables", "99"]) == 2
    assert "there are 1 to 15" in capsys.readouterr().err
