"""Searches and calls on a real Ray inside this machine."""

import functools
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from ray.exceptions import OutOfMemoryError
from ray.tune.execution.tune_controller import TuneController

from hpsearch.config import ResourcesConfig
from hpsearch.errors import ClusterError, InputError, StorageError
from hpsearch.execute.connect import Cluster, connect
from hpsearch.execute.node_probe import own_versions
from hpsearch.execute.preflight import check_nodes
from hpsearch.execute.resources import TrialResources, plan_resources
from hpsearch.execute.search_loop import run_search
from hpsearch.execute.session import Ending, SearchEvent
from hpsearch.execute.worker_call import call_on_worker
from hpsearch.layout import RunLayout
from hpsearch.search.engine import Engine
from hpsearch.search.fold import fold
from hpsearch.search.journal import Journal, read_events
from hpsearch.search.space import Space
from hpsearch.search.types import EngineConfig, Outcome
from tests.execute_runners import RUNGS, MisbehavingRunner, TabulatedRunner

TWO_SLOTS = TrialResources(cpus=1, gpus=0, slots=2, max_slots=2)
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
    patch.setenv("PYTHONPATH", str(ROOT))  # workers load functions of the tests by name
    with patch.context(), connect("", tune_dir=tmp_path_factory.mktemp("tune")) as cluster:
        yield cluster


class Run:
    """A study in a directory of its own; the kinds of its first trials are given."""

    def __init__(self, root: Path, *kinds: str, num_trials: int | None = None, rungs: tuple[int, ...] = RUNGS) -> None:
        self.layout = RunLayout(root)
        self.events: list[SearchEvent] = []
        self.started_at: list[float] = []
        content: dict[str, Any] = {"x": {"low": 0.0, "high": 1.0}}
        if kinds:
            content |= {
                "kind": {"choices": sorted({"fine", *kinds})},
                "start": [{"kind": kind, "x": 0.5 / (number + 1)} for number, kind in enumerate(kinds)],
            }
        config = EngineConfig(rungs=rungs, sampler="random", num_trials=num_trials or len(kinds))
        self.engine = Engine.open(Space.from_dict(content), config, Journal(self.layout.journal))

    def search(self, make_runner: Any, **options: Any) -> Ending:
        return run_search(
            self.engine, make_runner, resources=TWO_SLOTS, tune_dir=self.layout.tune, on_event=self.observe, **options
        )

    def observe(self, event: SearchEvent) -> None:
        self.events.append(event)
        if event.kind == "started":
            self.started_at.append(time.perf_counter())

    def misbehave(self, **options: Any) -> Ending:
        return self.search(functools.partial(MisbehavingRunner, self.layout.root), **options)

    def outcomes(self) -> list[Outcome | None]:
        return [trial.outcome for trial in fold(read_events(self.layout.journal)).trials.values()]


@pytest.fixture(scope="module")
def quick_run(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Run:
    """Forty trials that do nothing."""
    run = Run(tmp_path_factory.mktemp("quick"), num_trials=40)
    assert run.search(TabulatedRunner) is Ending.FINISHED
    return run


def test_search_finishes_with_every_trial_complete_or_paused(quick_run: Run) -> None:
    trials = fold(read_events(quick_run.layout.journal)).trials.values()
    assert quick_run.engine.finished
    assert len(trials) == 40
    assert {trial.outcome for trial in trials} == {Outcome.COMPLETED, Outcome.PAUSED}
    assert all(RUNGS[0] in trial.values for trial in trials)


def test_workers_stay_warm_from_trial_to_trial(quick_run: Run) -> None:
    metrics = [metrics for trial in quick_run.engine.study.trials.values() for metrics in trial.metrics.values()]
    assert len({item["pid"] for item in metrics}) <= 2
    assert max(item["num_stretches"] for item in metrics) >= 10


def test_trial_that_does_nothing_costs_little_beside_a_new_worker(quick_run: Run) -> None:
    began = time.perf_counter()
    call_on_worker(_environment, {}, resources=TWO_SLOTS)
    assert statistics.median(np.diff(quick_run.started_at)) < (time.perf_counter() - began) / 5


def test_tune_leaves_no_loggers_files_and_no_directory_for_each_trial(quick_run: Run) -> None:
    left = [path for path in quick_run.layout.tune.rglob("*") if "state" not in path.name and "marker" not in path.name]
    assert len(left) <= 3  # the directory of the search, and two of Tune's own


def test_trials_that_fail_in_every_way_are_accounted_for_and_poison_nobody(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = Run(tmp_path, "fine", "diverge", "raise", "nan", "out of memory", "die once", "fine", "fine")
    assert run.misbehave() is Ending.FINISHED
    outcomes = dict(enumerate(run.outcomes()))
    assert {outcomes[number] for number in (0, 5, 6, 7)} <= {Outcome.PAUSED, Outcome.COMPLETED}
    assert [outcomes[number] for number in (1, 3)] == [Outcome.DIVERGED] * 2
    assert outcomes[2] is Outcome.FAILED
    assert outcomes[4] is Outcome.INFEASIBLE
    assert [event.trial for event in run.events if event.kind == "lost"] == [5]
    spoiled = int((tmp_path / "out_of_memory_pid").read_text())
    rungs = [event for event in read_events(run.layout.journal) if event["event"] == "rung"]
    assert rungs[-1]["metrics"]["pid"] != spoiled
    _wait_for_end(spoiled)  # Ray lets it close on its own
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_disk_that_was_full_for_a_moment_costs_no_trial_and_its_worker_s_warning_reaches_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = Run(tmp_path, "disk full once", "fine", "fine")
    assert run.misbehave() is Ending.FINISHED
    assert (tmp_path / "full-0").exists()
    assert [record.getMessage() for record in caplog.records if "trying again in 5 s" in record.getMessage()] == [
        f"trial 0: OSError: [Errno 28] No space left on device: '{tmp_path}'; trying again in 5 s"
    ]
    assert set(run.outcomes()) <= {Outcome.PAUSED, Outcome.COMPLETED}
    assert [event.kind for event in run.events if event.kind in ("ended", "lost")] == []


@pytest.mark.slow
def test_trial_that_always_loses_its_worker_fails(tmp_path: Path) -> None:
    run = Run(tmp_path, "die", "fine")
    assert run.misbehave() is Ending.FINISHED
    assert run.outcomes()[0] is Outcome.FAILED
    assert [event.trial for event in run.events if event.kind == "lost"] == [0, 0, 0, 0]


def test_used_budget_ends_the_search_at_rungs(tmp_path: Path) -> None:
    run = Run(tmp_path, num_trials=9)
    assert run.search(TabulatedRunner, should_stop=lambda: len(run.engine.study.trials) >= 4) is Ending.BUDGET
    assert run.engine.study.num_running == 0
    assert len(run.engine.study.trials) <= 5
    assert all(trial.values for trial in run.engine.study.trials.values())


@pytest.mark.slow
def test_deadline_stops_running_stretches_within_seconds(tmp_path: Path) -> None:
    run = Run(tmp_path, "sleep", "sleep")
    began = time.monotonic()
    assert run.misbehave(is_late=lambda: time.monotonic() > began + 3) is Ending.DEADLINE
    assert run.engine.study.num_running == 0
    assert sorted(run.engine.study.queue) == [0, 1]
    assert [trial.num_lost for trial in run.engine.study.trials.values()] == [0, 0]


def test_interrupt_stops_at_once_and_keeps_everything_and_progress_was_told(tmp_path: Path) -> None:
    run = Run(tmp_path, "fine", "sleep", "sleep")
    threading.Thread(target=_interrupt_once_trials_progress, args=(run, {1, 2}), daemon=True).start()
    assert run.misbehave() is Ending.INTERRUPTED
    assert run.outcomes()[0] is Outcome.PAUSED
    assert sorted(run.engine.study.queue) == [1, 2]
    told = [event for event in run.events if event.kind == "progress"]
    progress = {(event.trial, event.images, event.progress.images_per_second) for event in told if event.progress}
    assert progress >= {(1, 1, 100.0), (2, 1, 100.0)}


def test_runner_that_cannot_be_made_ends_the_search_with_its_own_error(tmp_path: Path) -> None:
    run = Run(tmp_path, num_trials=3)
    with pytest.raises(InputError, match="plugins=my_module: no such module"):
        run.search(_no_plugin)
    assert set(run.outcomes()) <= {Outcome.PAUSED, None}


@pytest.mark.slow
def test_code_that_a_worker_cannot_load_ends_the_search(tmp_path: Path) -> None:
    run = Run(tmp_path, num_trials=3)
    with pytest.raises(ClusterError, match=r"a worker cannot run hpsearch: .*no_such_module"):
        run.search(_NotLoadable())


@pytest.mark.slow
def test_journal_that_cannot_be_written_ends_the_search(tmp_path: Path) -> None:
    run = Run(tmp_path, num_trials=3)
    report = run.engine.report

    def full(*args: Any, **kwargs: Any) -> bool:
        report(*args, **kwargs)
        raise StorageError(f"{run.layout.journal}: no space left")

    run.engine.report = full  # type: ignore[method-assign]
    with pytest.raises(StorageError, match="no space left"):
        run.search(TabulatedRunner)


@pytest.mark.slow
@pytest.mark.parametrize("at_rung", [1, 2, 3, 5, 7, 11, 13, 17, 19, 23, 24])
def test_killed_driver_continues_wherever_it_was(tmp_path: Path, at_rung: int) -> None:
    kill_and_continue(tmp_path, at_rung)


@pytest.mark.parametrize(
    "failure", [RuntimeError("This is an error in Ray Tune's execution logic."), OutOfMemoryError("low on memory")]
)
def test_a_failure_of_tune_itself_over_a_lost_worker_ends_no_search(
    failure: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[str] = []

    def fail_once(controller: TuneController, trial: Any, exception: Exception) -> None:
        if not failures:
            failures.append(trial.trial_id)
            raise failure
        handled(controller, trial, exception)

    handled = TuneController._trial_task_failure
    monkeypatch.setattr(TuneController, "_trial_task_failure", fail_once)
    run = Run(tmp_path, "die once", "fine")
    assert run.misbehave() is Ending.FINISHED
    assert len(failures) == 1
    assert all(trial.values for trial in run.engine.study.trials.values())
    assert run.engine.study.num_running == 0


def kill_and_continue(root: Path, at_rung: int) -> None:
    """SIGKILL when the journal's n-th rung appears, then the same command again."""
    journal = RunLayout(root).journal
    command = [sys.executable, "-m", "tests.execute_study", str(root)]
    with tempfile.TemporaryDirectory(dir="/tmp") as sessions:
        environment = {**os.environ, "RAY_TMPDIR": sessions}
        driver = subprocess.Popen(command, cwd=ROOT, env=environment)
        try:
            while _num_rungs(journal) < at_rung:
                assert driver.poll() is None, "the driver ended before it was killed"
                time.sleep(0.005)
        finally:
            driver.kill()
            driver.wait()
        subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=120)
        assert list(Path(sessions).iterdir()) == [], "what a killed driver left behind is removed by the next one"
    events = read_events(journal)
    study = fold(events)
    assert study.num_running == 0
    assert len(study.trials) == 18
    rungs = [(event["trial"], event["images"]) for event in events if event["event"] == "rung"]
    assert len(rungs) == len(set(rungs))
    pieces = [tuple(map(int, line.split())) for line in (root / "pieces.log").read_text().splitlines()]
    trained = sum(images - start for _, start, images in pieces)
    assert study.images_trained <= trained <= study.images_trained + 2 * (RUNGS[-1] - RUNGS[-2])


def test_call_hands_progress_on_and_returns_the_result(cluster: Cluster) -> None:
    progress: list[Any] = []
    assert call_on_worker(_count, {"to": 3}, resources=TWO_SLOTS, on_progress=progress.append) == "counted"
    assert progress == [{"at": 0}, {"at": 1}, {"at": 2}]


def test_call_raises_what_the_function_raised() -> None:
    with pytest.raises(InputError, match="a bad label") as caught:
        call_on_worker(_raise_input_error, {}, resources=TWO_SLOTS)
    assert "_raise_input_error" in caught.value.__notes__[0]


def test_call_is_done_again_after_a_lost_worker(tmp_path: Path) -> None:
    assert call_on_worker(_die_once, {"marker": tmp_path / "died"}, resources=TWO_SLOTS) == "survived"


@pytest.mark.slow
def test_call_that_always_loses_its_worker_is_given_up() -> None:
    with pytest.raises(ClusterError, match="_die lost its worker 4 times"):
        call_on_worker(_die, {}, resources=TWO_SLOTS)


def test_call_is_interrupted_at_once() -> None:
    threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        call_on_worker(_sleep, {}, resources=TWO_SLOTS)
    assert time.perf_counter() - start < 60  # of the 600 that it sleeps


def test_worker_s_environment_has_no_token_and_a_trial_s_threads() -> None:
    environment = call_on_worker(_environment, {}, resources=TWO_SLOTS)
    assert "RAY_AUTH_TOKEN" not in environment
    token_file = Path(environment["RAY_AUTH_TOKEN_PATH"])
    assert token_file.stat().st_mode & 0o077 == 0
    assert token_file.read_text() not in environment.values()
    assert environment["OMP_NUM_THREADS"] == "1"


def test_slots_follow_from_this_machine(cluster: Cluster) -> None:
    resources = plan_resources(ResourcesConfig(gpus_per_trial=0), cluster.nodes())
    assert resources.slots == int(sum(node.cpus for node in cluster.nodes()))


def test_request_that_this_machine_cannot_meet_fails_within_seconds(cluster: Cluster) -> None:
    with pytest.raises(ClusterError, match="99 GPU, and no node has that many"):
        plan_resources(ResourcesConfig(gpus_per_trial=99), cluster.nodes())


def test_every_node_is_probed(tmp_path: Path) -> None:
    probes = check_nodes(tmp_path / "run")
    assert [probe.versions for probe in probes] == [own_versions()]
    assert list((tmp_path / "run").iterdir()) == []


def _wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + 60
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, f"process {pid} is still alive"
        time.sleep(0.1)


def _interrupt_once_trials_progress(run: Run, trials: set[int]) -> None:
    while not {event.trial for event in list(run.events) if event.kind == "progress"} >= trials:
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGUSR1)  # the one that Tune takes for itself


def _num_rungs(journal: Path) -> int:
    return journal.read_bytes().count(b'"event":"rung"') if journal.is_file() else 0


def _no_plugin() -> TabulatedRunner:
    raise InputError("plugins=my_module: no such module")


class _NotLoadable:
    def __reduce__(self) -> Any:
        return __import__, ("no_such_module",)


def _count(to: int) -> Generator[dict[str, int], None, str]:
    for number in range(to):
        yield {"at": number}
    return "counted"


def _raise_input_error() -> Generator[dict[str, int], None, None]:
    yield {}
    raise InputError("a bad label")


def _die_once(marker: Path) -> Generator[dict[str, int], None, str]:
    yield {}
    if not marker.exists():
        marker.touch()
        os._exit(9)
    return "survived"


def _die() -> Generator[dict[str, int], None, None]:
    yield {}
    os._exit(9)


def _sleep() -> Generator[dict[str, int], None, None]:
    yield {}
    time.sleep(600)


def _environment() -> Generator[dict[str, int], None, dict[str, str]]:
    yield {}
    return dict(os.environ)
