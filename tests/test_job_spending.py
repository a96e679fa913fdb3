from pathlib import Path

import pytest

from hpsearch.config import BudgetConfig
from hpsearch.errors import ClusterError, InputError
from hpsearch.job.spending import FINISHING_SECONDS, RETRAIN_MARGIN, Spending, budget_use, check_gpu_hours, read_budget
from hpsearch.layout import RunLayout
from hpsearch.report.summary import gpu_hours
from hpsearch.search.engine import Engine
from hpsearch.search.journal import Journal
from hpsearch.search.space import Space
from hpsearch.search.types import EngineConfig


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def engine_with_one_rung(images_per_second: float = 100.0, gpus: float = 0.5) -> Engine:
    space = Space.from_dict({"x": {"low": 0.0, "high": 1.0}})
    engine = Engine.open(space, EngineConfig(rungs=(1000, 3000)), Journal.in_memory())
    engine.next(0)
    engine.report(0, 1000, 0.7, seconds=3600.0, metrics={"images_per_second": images_per_second, "gpus": gpus})
    return engine


def spending(
    clock: Clock,
    budget: BudgetConfig,
    *,
    reserve: float = 0.25,
    speedup: float = 1.0,
    max_trainings: int = 10**9,
    slots: int = 1,
) -> Spending:
    return Spending(
        budget=budget,
        reserve_fraction=reserve,
        images_to_retrain=3000,
        gpus=0.5,
        speedup=speedup,
        max_trainings=max_trainings,
        slots=slots,
        earlier_seconds=100.0,
        began=0.0,
        clock=clock,
    )


def test_time_of_earlier_runs_counts() -> None:
    clock = Clock()
    clock.now = 20.0
    assert spending(clock, BudgetConfig(minutes=5)).seconds == 120.0


def test_the_search_ends_where_the_reserve_begins() -> None:
    clock, engine = Clock(), engine_with_one_rung(images_per_second=1e9)
    spent = spending(clock, BudgetConfig(minutes=10))
    clock.now = 450.0 - 100.0 - 1.0
    assert not spent.is_spent(engine.study)
    clock.now += 1.0
    assert spent.is_spent(engine.study)


def test_a_slow_retraining_needs_a_larger_reserve_and_more_cores_a_smaller_one() -> None:
    clock, engine = Clock(), engine_with_one_rung(images_per_second=10.0)
    retrain_seconds = RETRAIN_MARGIN * 3000 / 10
    last = 600.0 - retrain_seconds - FINISHING_SECONDS - 100.0
    clock.now = last
    assert spending(clock, BudgetConfig(minutes=10)).is_spent(engine.study)
    assert not spending(clock, BudgetConfig(minutes=10), speedup=2.0).is_spent(engine.study)
    clock.now = last - 1.0
    assert not spending(clock, BudgetConfig(minutes=10)).is_spent(engine.study)


def test_gpu_hours_are_the_share_of_the_gpu_times_journaled_seconds() -> None:
    engine = engine_with_one_rung(gpus=0.5)
    engine.phase("retraining", 3600.0, gpu_seconds=1800.0)
    assert gpu_hours(engine.study) == pytest.approx(1.0)
    assert spending(Clock(), BudgetConfig(gpu_hours=1.3)).is_spent(engine.study)
    assert not spending(Clock(), BudgetConfig(gpu_hours=2.0)).is_spent(engine.study)


def test_without_a_limit_nothing_is_ever_spent() -> None:
    clock = Clock()
    clock.now = 1e9
    unlimited = spending(clock, BudgetConfig(trials=3))
    assert not unlimited.is_spent(engine_with_one_rung().study)
    assert not unlimited.is_late(engine_with_one_rung().study)


def test_stretches_in_flight_have_until_half_the_reserve() -> None:
    clock, engine = Clock(), engine_with_one_rung(images_per_second=1e9)
    clock.now = 600.0 - 75.0 - 100.0 - 1.0
    assert not spending(clock, BudgetConfig(minutes=10)).is_late(engine.study)
    clock.now += 1.0
    assert spending(clock, BudgetConfig(minutes=10)).is_late(engine.study)


def test_no_more_is_reserved_than_the_finals_can_use() -> None:
    clock, engine = Clock(), engine_with_one_rung(images_per_second=100.0)
    each = RETRAIN_MARGIN * 3000 / 100
    clock.now = 6000.0 - 100.0 - 3 * each - FINISHING_SECONDS - 1.0
    four_trainings = spending(clock, BudgetConfig(minutes=100), max_trainings=4, slots=2)
    assert not four_trainings.is_spent(engine.study)
    clock.now += 1.0
    assert four_trainings.is_spent(engine.study)
    assert not four_trainings.is_late(engine.study)


@pytest.mark.parametrize("slots", [1, 4, 15, 64])
def test_what_is_reserved_holds_all_trainings_of_the_finals_once_the_pieces_in_flight_have_ended(slots: int) -> None:
    clock, engine = Clock(), engine_with_one_rung(images_per_second=100.0)
    each = RETRAIN_MARGIN * 3000 / 100
    spent = spending(clock, BudgetConfig(minutes=100), max_trainings=15, slots=slots)
    while not spent.is_spent(engine.study):
        clock.now += 1.0
    clock.now += 2 / 3 * each
    assert spent.num_trainings(engine.study) >= 15
    assert spent.may_start(engine.study, 0)


def test_no_more_gpu_hours_are_reserved_than_the_finals_can_use() -> None:
    engine = engine_with_one_rung(images_per_second=100.0, gpus=0.5)
    each_hours = RETRAIN_MARGIN * 3000 / 100 * 0.5 / 3600
    budget = BudgetConfig(gpu_hours=0.5 + 4 * each_hours - 1e-6)  # half an hour is used
    assert spending(Clock(), budget, reserve=0.9, max_trainings=3).is_spent(engine.study)
    assert not spending(Clock(), budget, reserve=0.9, max_trainings=2).is_spent(engine.study)


def test_a_display_gets_limits_in_its_units(tmp_path: Path) -> None:
    use = budget_use(engine_with_one_rung().study, BudgetConfig(minutes=2, trials=7, gpu_hours=3), seconds=30.0)
    assert (use.seconds, use.max_seconds, use.max_trials, use.max_gpu_hours) == (30.0, 120.0, 7, 3)
    assert read_budget(RunLayout(tmp_path)) == BudgetConfig()


@pytest.mark.parametrize("content", ["config: {seed: 3}", "just text", "{", "config: {budget: {miles: 3}}"])
def test_a_broken_configuration_file_is_refused_by_name(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(InputError, match=r"config\.yaml: holds no budget"):
        read_budget(RunLayout(tmp_path))


def test_fresh_trainings_follow_from_the_reserve_in_time() -> None:
    clock, engine = Clock(), engine_with_one_rung(images_per_second=100.0)
    each = RETRAIN_MARGIN * 3000 / 100
    budget = BudgetConfig(minutes=10)
    allowed = int((0.25 * 600 - FINISHING_SECONDS) / each)
    assert spending(clock, budget).num_trainings(engine.study) == allowed
    assert spending(clock, budget, slots=4).num_trainings(engine.study) == 4 * allowed
    clock.now = 600.0 - 100.0 - FINISHING_SECONDS - each
    assert spending(clock, budget).num_trainings(engine.study) == 1
    assert spending(clock, budget).may_start(engine.study, 0)
    clock.now += 1.0
    assert not spending(clock, budget).may_start(engine.study, 0)


def test_fresh_trainings_follow_from_the_reserve_in_gpu_hours() -> None:
    engine = engine_with_one_rung(images_per_second=100.0, gpus=0.5)
    each_hours = RETRAIN_MARGIN * 3000 / 100 * 0.5 / 3600
    budget = BudgetConfig(gpu_hours=2.0)
    assert spending(Clock(), budget).num_trainings(engine.study) == int(0.25 * 2.0 / each_hours)


def test_a_training_starts_only_where_those_under_way_leave_gpu_hours_for_it() -> None:
    engine = engine_with_one_rung(images_per_second=100.0, gpus=0.5)
    used, each = 0.5, RETRAIN_MARGIN * 3000 / 100 * 0.5 / 3600
    spent = spending(Clock(), BudgetConfig(gpu_hours=used + 2.5 * each))
    assert [spent.may_start(engine.study, num_running) for num_running in (0, 1, 2)] == [True, True, False]


def test_gpu_hours_alone_are_refused_where_no_gpu_is_used() -> None:
    said: list[str] = []
    check_gpu_hours(BudgetConfig(gpu_hours=2), 0.25, said.append)
    check_gpu_hours(BudgetConfig(minutes=2), 0, said.append)
    assert said == []
    check_gpu_hours(BudgetConfig(gpu_hours=2, minutes=5), 0, said.append)
    assert said == ["--gpu-hours 2 limits nothing: trials get no GPU here"]
    with pytest.raises(ClusterError, match=r"--gpu-hours 2 is the only limit.*Give --minutes or --trials"):
        check_gpu_hours(BudgetConfig(gpu_hours=2), 0, said.append)


def test_without_a_limit_in_time_they_are_a_share_of_the_images() -> None:
    engine = engine_with_one_rung()
    assert spending(Clock(), BudgetConfig(trials=3), reserve=0.75).num_trainings(engine.study) == 3 * 1000 // 3000
    assert spending(Clock(), BudgetConfig(trials=3), reserve=0.9).num_trainings(engine.study) == 3


def test_judging_many_images_needs_a_larger_reserve() -> None:
    clock, engine = Clock(), engine_with_one_rung(images_per_second=100.0)
    few = spending(clock, BudgetConfig(minutes=10))
    many = spending(clock, BudgetConfig(minutes=10))
    many.images_to_judge = 30_000
    clock.now = 600.0 - 100.0 - 80.0
    assert few.may_start(engine.study, 0)
    assert not many.may_start(engine.study, 0)
