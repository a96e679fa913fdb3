"""Driver, worker and raylet killed at random moments, two drivers at once, a scheduler's notice, a clock that steps."""

import signal
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from hpsearch.errors import EXIT_INTERRUPTED
from hpsearch.search.fold import fold
from hpsearch.search.journal import read_events
from tests.faults.campaign import (
    FAULTS_PER_STUDY,
    ROOT,
    STUDIES,
    STUDIES_KILLED,
    STUDIES_WITHOUT_RAY,
    moments,
    moments_in_training,
    raylet_of,
    study_program,
    study_to_kill,
)
from tests.faults.ledger import ledger

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize("seed", STUDIES_KILLED)
def test_a_driver_killed_again_and_again_loses_at_most_one_piece_a_slot_each_time(tmp_path: Path, seed: int) -> None:
    with study_to_kill(tmp_path, "driver") as study:
        for moment, part in moments_in_training("driver", seed):
            driver = study.start()
            study.wait_into_piece(driver, moment, part)
            driver.kill()
            driver.communicate()
        study.finish()
        study.check("SIGKILL of the driver", FAULTS_PER_STUDY)


def test_many_kills_of_the_driver_fell_into_training() -> None:
    check_many_cost_a_piece("SIGKILL of the driver")


@pytest.mark.parametrize("seed", STUDIES_KILLED)
def test_workers_killed_in_training_are_replaced_while_the_study_goes_on(tmp_path: Path, seed: int) -> None:
    with study_to_kill(tmp_path, "worker") as study:
        driver = study.start()
        struck = []
        for moment, part in moments_in_training("worker", seed):
            struck.append(study.wait_into_piece(driver, moment, part))
            study.worker_of(struck[-1]).kill()
        study.wait(driver)
        num_again = study.check("SIGKILL of a worker", FAULTS_PER_STUDY)
        begun = Counter(study.pieces())
        assert [piece for piece in struck if begun[piece] < 2] == [], "never begun again"
        assert num_again == len(struck)
        assert sum(trial.num_lost for trial in fold(read_events(study.journal)).trials.values()) == len(struck)


@pytest.mark.parametrize("seed", STUDIES_WITHOUT_RAY)
def test_a_killed_raylet_ends_the_run_with_a_message_and_the_same_command_goes_on(tmp_path: Path, seed: int) -> None:
    with study_to_kill(tmp_path, "raylet") as study:
        driver = study.start()
        ((moment, part),) = moments_in_training("raylet", seed, count=1)
        study.wait_into_piece(driver, moment, part)
        raylet_of(driver).kill()
        said, _ = driver.communicate(timeout=60)
        assert driver.returncode == 4, said
        assert "Ray's own process on this machine, raylet, has ended" in said
        assert "Traceback" not in said
        num_before = study.num_rungs()
        study.finish()
        study.check("SIGKILL of Ray's own process", 1)
        assert study.num_rungs() > num_before, "the first command came to the end"


def test_many_kills_of_the_raylet_fell_into_training() -> None:
    check_many_cost_a_piece("SIGKILL of Ray's own process")


def check_many_cost_a_piece(fault: str) -> None:
    """Of the studies above; workers may finish what they are at, oftener where the machine is slow."""
    tally = ledger.tallies.get(fault)
    if tally is None:
        pytest.skip("no study of this kind was tried")
    assert tally.num_again is not None
    assert tally.num_again > tally.tries / 4


@pytest.mark.parametrize("seed", STUDIES)
def test_a_schedulers_sigterm_is_obeyed_well_within_its_notice(tmp_path: Path, seed: int) -> None:
    with study_program(tmp_path) as study:
        for moment in moments("sigterm", seed):
            driver = study.start()
            study.wait_for_rungs(driver, moment)
            children = psutil.Process(driver.pid).children(recursive=True)
            began = time.monotonic()
            driver.send_signal(signal.SIGTERM)
            driver.communicate(timeout=30)
            assert time.monotonic() - began < 30
            assert driver.returncode == EXIT_INTERRUPTED
            _, alive = psutil.wait_procs(children, timeout=30)
            assert alive == []
        study.finish()
        study.check("SIGTERM with 30 s notice", FAULTS_PER_STUDY)


@pytest.mark.parametrize("seed", STUDIES)
def test_steps_of_the_clock_change_neither_the_study_nor_its_budget(tmp_path: Path, seed: int) -> None:
    step = tmp_path / "step"
    path = f"{Path(__file__).parent / 'stepped_clock'}:{ROOT}"
    with study_program(tmp_path / "run", PYTHONPATH=path, CLOCK_STEP=str(step)) as study:
        began = time.monotonic()
        driver = study.start()
        for moment, days in zip(moments("clock", seed), (2, -30, 1), strict=False):
            study.wait_for_rungs(driver, moment)
            step.write_text(str(days * 86_400))
        study.wait(driver)
        events = read_events(study.journal)
        assert max(event["at"] for event in events) - min(event["at"] for event in events) > 86_400
        assert fold(events).driven_seconds < time.monotonic() - began
        study.check("the clock steps by days", FAULTS_PER_STUDY)


def test_a_second_driver_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    with study_program(tmp_path) as study:
        first = study.start()
        study.wait_for_rungs(first, 1)
        second = study.start()
        said, _ = second.communicate(timeout=100)
        assert second.returncode != 0
        assert f"another driver holds this study: process {first.pid}" in said
        study.wait(first)
        study.check("a second driver", 1)
