"""Fresh seeds decide: rounds, clear losers, the lower bound, optimism and noise."""

import math

import numpy as np
import pytest

from hpsearch.final.finalists import Finalists, Training, num_finalists

SCORES = [(7, 0.92), (3, 0.91), (5, 0.90)]


def started(**changes: object) -> Finalists:
    return Finalists(SCORES, **{"sampling_error": 0.01, "max_repeats": 3, **changes})  # type: ignore[arg-type]


def play(finalists: Finalists, values: dict[int, list[float]], num_trainings: int = 99) -> list[Training]:
    done: list[Training] = []
    while len(done) < num_trainings and (training := finalists.next()) is not None:
        finalists.add(training, values[training.trial][training.repeat - 1])
        done.append(training)
    return done


def test_every_finalist_gets_one_seed_in_the_order_of_first_scores_before_any_gets_two() -> None:
    order = play(started(), {7: [0.9] * 3, 3: [0.9] * 3, 5: [0.9] * 3})
    assert [(one.trial, one.repeat) for one in order[:4]] == [(7, 1), (3, 1), (5, 1), (7, 2)]
    assert len(order) == 9


def test_a_clear_loser_is_not_trained_again() -> None:
    order = play(started(), {7: [0.90, 0.90, 0.90], 3: [0.905, 0.90, 0.91], 5: [0.70]})
    assert [one.trial for one in order].count(5) == 1
    assert [one.trial for one in order].count(7) == 3


def test_a_sole_survivor_is_not_trained_further() -> None:
    order = play(started(), {7: [0.95, 0.95, 0.95], 3: [0.8], 5: [0.8]})
    assert len(order) == 3


def test_a_single_finalist_uses_its_seeds_for_the_noise() -> None:
    finalists = Finalists(SCORES[:1], sampling_error=0.01, max_repeats=2)
    assert [one.repeat for one in play(finalists, {7: [0.9, 0.91]})] == [1, 2]


def test_the_second_round_waits_for_the_first_to_end() -> None:
    finalists = started()
    running = [Training(trial=trial, repeat=1) for trial in (7, 3, 5)]
    assert finalists.next(running[:2]) == running[2]
    assert finalists.next(running) is None
    finalists.add(running[0], 0.9)
    assert finalists.next(running[1:]) is None
    finalists.add(running[1], 0.9)
    finalists.add(running[2], 0.9)
    assert finalists.next() == Training(trial=7, repeat=2)
    assert finalists.next([Training(trial=7, repeat=2)]) == Training(trial=3, repeat=2)


def test_the_winner_has_the_best_lower_bound_not_the_best_single_value() -> None:
    finalists = started()
    finalists.add(Training(trial=7, repeat=1), 0.903)
    for repeat in (1, 2, 3):
        finalists.add(Training(trial=3, repeat=repeat), 0.900)
    found = finalists.confirmation()
    assert found is not None
    assert found.winner == 3
    assert found.order_changed
    assert found.optimism == pytest.approx(0.91 - 0.90)


def test_noise_is_pooled_over_finalists() -> None:
    finalists = started(sampling_error=0.02)
    assert finalists.noise() == pytest.approx(0.02)
    for trial, values in ((7, (0.90, 0.92)), (3, (0.80, 0.84))):
        for repeat, value in enumerate(values, start=1):
            finalists.add(Training(trial=trial, repeat=repeat), value)
    assert finalists.noise() == pytest.approx(math.sqrt((0.02**2 + 0.0002 + 0.0008) / 3))


def test_a_failed_training_takes_its_finalist_out() -> None:
    finalists = started()
    finalists.fail(Training(trial=7, repeat=1))
    assert finalists.next() == Training(trial=3, repeat=1)
    assert finalists.confirmation() is None
    finalists.add(Training(trial=3, repeat=1), 0.9)
    found = finalists.confirmation()
    assert found is not None
    assert found.winner == 3


def test_confirmation_is_less_optimistic_than_the_search() -> None:
    """Twenty equal configurations: the first score of the best is too good, its confirmed mean is not."""
    random = np.random.default_rng(0)
    first, confirmed = [], []
    for _ in range(200):
        scores = sorted(enumerate(0.9 + random.normal(0, 0.01, 20)), key=lambda pair: -pair[1])[:3]
        finalists = Finalists(scores, sampling_error=0.01, max_repeats=3)
        play(finalists, {trial: list(0.9 + random.normal(0, 0.01, 3)) for trial, _ in scores})
        found = finalists.confirmation()
        assert found is not None
        standing = next(one for one in found.standings if one.trial == found.winner)
        first.append(standing.first_score - 0.9)
        confirmed.append(standing.mean - 0.9)
    assert np.mean(first) > 0.01
    assert abs(np.mean(confirmed)) < 0.007


@pytest.mark.parametrize(("trainings", "finalists"), [(0, 1), (1, 1), (2, 2), (3, 2), (4, 2), (6, 3), (50, 5)])
def test_the_number_of_finalists_follows_from_what_the_budget_allows(trainings: int, finalists: int) -> None:
    assert num_finalists(trainings, 30, 5) == finalists
    assert num_finalists(trainings, 1, 5) == 1
