"""Driver, worker and raylet killed at random moments, two drivers at once, a scheduler's notice, a clock that steps."""

import signal
import time
from pathlib import Path

import psutil
import pytest

from hpsearch.search.fold import fold
from hpsearch.search.journal import read_events
from tests.faults.campaign import (
    FAULTS_PER_STUDY,
    ROOT,
    STUDIES,
    STUDIES_KILLED,
    STUDIES_WITHOUT_RAY,
    child_of,
    is_worker,
    moments,
    raylet_of,
    study_program,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize("seed", STUDIES_KILLED)
def test_a_driver_killed_again_and_again_loses_at_most_one_piece_a_slot_each_time(tmp_path: Path, seed: int) -> None:
    with study_program(tmp_path) as study:
        for moment in moments("driver", seed):
            driver = study.start()
            study.wait_for_rungs(driver, moment)
            driver.kill()
            driver.communicate()
        study.finish()
        study.check("SIGKILL of the driver", FAULTS_PER_STUDY)


@pytest.mark.parametrize("seed", STUDIES_KILLED)
def test_killed_workers_are_replaced_while_the_study_goes_on(tmp_path: Path, seed: int) -> None:
    with study_program(tmp_path) as study:
        driver = study.start()
        num_killed = 0
        for moment in moments("worker", seed):
            study.wait_for_rungs(driver, moment)
            worker = child_of(driver, is_worker)
            if worker is not None:  # else the last one that was killed is just being replaced
                worker.kill()
                num_killed += 1
        study.wait(driver)
        study.check("SIGKILL of a worker", num_killed)


@pytest.mark.parametrize("seed", STUDIES_WITHOUT_RAY)
def test_after_a_killed_raylet_the_same_command_goes_on(tmp_path: Path, seed: int) -> None:
    # Workers and driver can do without it for some seconds, in which a study may come to its end.
    with study_program(tmp_path, seconds_per_rung=0.5) as study:
        driver = study.start()
        (moment,) = moments("raylet", seed, count=1)
        study.wait_for_rungs(driver, moment)
        raylet = raylet_of(driver)
        assert raylet is not None
        raylet.kill()
        driver.communicate(timeout=300)
        study.finish()
        study.check("SIGKILL of Ray's own process", 1)


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
