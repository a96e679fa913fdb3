"""Driver, worker and raylet killed at random moments, two drivers at once, a hand that pulls the plug twice."""

import functools
import signal
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from hpsearch.execute.connect import connect
from hpsearch.execute.resources import TrialResources
from hpsearch.execute.search_loop import run_search
from hpsearch.execute.session import Ending, SearchEvent
from hpsearch.layout import RunLayout
from hpsearch.search.engine import Engine
from hpsearch.search.journal import Journal
from hpsearch.search.space import Space
from hpsearch.search.types import EngineConfig
from tests.execute_runners import RUNGS, MisbehavingRunner
from tests.faults.campaign import TRIES, child_of, is_raylet, is_worker, moment, study_program

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize("seed", range(TRIES))
def test_a_killed_driver_loses_at_most_one_stretch_a_slot(tmp_path: Path, seed: int) -> None:
    with study_program(tmp_path) as study:
        driver = study.start()
        study.wait_for_rungs(driver, moment(seed))
        driver.kill()
        driver.communicate()
        study.finish()
        study.check(num_faults=1)


@pytest.mark.parametrize("seed", range(TRIES))
def test_a_killed_worker_is_replaced_while_the_study_goes_on(tmp_path: Path, seed: int) -> None:
    with study_program(tmp_path) as study:
        driver = study.start()
        study.wait_for_rungs(driver, moment(100 + seed))
        worker = child_of(driver, is_worker)
        if worker is not None:  # else the study has just ended
            worker.kill()
        said, _ = driver.communicate(timeout=200)
        assert driver.returncode == 0, said
        study.check(num_faults=1)


@pytest.mark.parametrize("seed", range(TRIES))
def test_after_a_killed_raylet_the_same_command_goes_on(tmp_path: Path, seed: int) -> None:
    with study_program(tmp_path) as study:
        driver = study.start()
        study.wait_for_rungs(driver, moment(200 + seed))
        raylet = child_of(driver, is_raylet)
        assert raylet is not None
        raylet.kill()
        driver.communicate(timeout=200)
        study.finish()
        study.check(num_faults=1)


@pytest.mark.parametrize("seed", range(TRIES))
def test_killed_again_and_again_it_still_ends(tmp_path: Path, seed: int) -> None:
    with study_program(tmp_path) as study:
        for kill in range(3):
            driver = study.start()
            study.wait_for_rungs(driver, study.num_rungs() + 1 + moment(300 + 10 * seed + kill) // 6)
            driver.kill()
            driver.communicate()
        study.finish()
        study.check(num_faults=3)


def test_a_second_driver_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    with study_program(tmp_path) as study:
        first = study.start()
        study.wait_for_rungs(first, 1)
        second = study.start()
        said, _ = second.communicate(timeout=100)
        assert second.returncode != 0
        assert f"another driver holds this study: process {first.pid}" in said
        said, _ = first.communicate(timeout=200)
        assert first.returncode == 0, said
        study.check(num_faults=0)


def test_a_schedulers_sigterm_is_obeyed_well_within_its_notice(tmp_path: Path) -> None:
    with study_program(tmp_path) as study:
        driver = study.start()
        study.wait_for_rungs(driver, 3)
        children = psutil.Process(driver.pid).children(recursive=True)
        began = time.monotonic()
        driver.send_signal(signal.SIGTERM)
        driver.communicate(timeout=30)
        assert time.monotonic() - began < 30
        _, alive = psutil.wait_procs(children, timeout=10)
        assert alive == []
        study.finish()
        study.check(num_faults=1)


def test_a_hanging_trial_is_ended_and_done_again(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path)
    space = Space.from_dict({"kind": {"choices": ["fine", "hang once"]}, "start": [{"kind": "hang once"}, {"kind": "fine"}]})
    config = EngineConfig(rungs=RUNGS, sampler="random", num_trials=2)
    events: list[SearchEvent] = []
    with closing(Journal(layout.journal)) as journal, connect("", tune_dir=layout.tune):
        engine = Engine.open(space, config, journal)
        ending = run_search(
            engine,
            functools.partial(MisbehavingRunner, tmp_path),
            resources=TrialResources(cpus=1, gpus=0, slots=2, max_slots=2),
            tune_dir=layout.tune,
            silence_seconds=12.0,
            on_event=events.append,
        )
    assert ending is Ending.FINISHED
    assert [event.message for event in events if event.kind == "lost"] == [
        "gave no sign of life for 0.2 min; its process was ended"
    ]
    assert [trial.values != {} for trial in engine.study.trials.values()] == [True, True]
    assert engine.study.trials[0].num_lost == 1
