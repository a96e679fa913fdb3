"""Trials that hang, leak memory, leave processes behind or print without end, beside one that does nothing of it."""

import functools
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
import pytest
import ray

from hpsearch.execute.connect import connect
from hpsearch.execute.resources import TrialResources
from hpsearch.execute.search_loop import run_search
from hpsearch.execute.session import Ending, SearchEvent
from hpsearch.layout import RunLayout
from hpsearch.search.engine import Engine
from hpsearch.search.fold import Study
from hpsearch.search.journal import Journal
from hpsearch.search.space import Space
from hpsearch.search.types import EngineConfig, Outcome
from tests.execute_runners import RUNGS, MisbehavingRunner
from tests.faults.ledger import ledger

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def searched(
    root: Path, kind: str, look: Callable[[SearchEvent], None] = lambda event: None
) -> tuple[Study, list[SearchEvent]]:
    """A finished study of a trial of this kind and one that behaves."""
    layout = RunLayout(root)
    space = Space.from_dict({"kind": {"choices": ["fine", kind]}, "start": [{"kind": kind}, {"kind": "fine"}]})
    config = EngineConfig(rungs=RUNGS, sampler="random", num_trials=2)
    events: list[SearchEvent] = []

    def on_event(event: SearchEvent) -> None:
        events.append(event)
        look(event)

    with closing(Journal(layout.journal)) as journal, connect("", tune_dir=layout.tune):
        engine = Engine.open(space, config, journal)
        ending = run_search(
            engine,
            functools.partial(MisbehavingRunner, root),
            resources=TrialResources(cpus=1, gpus=0, slots=2, max_slots=2),
            tune_dir=layout.tune,
            silence_seconds=12.0,
            on_event=on_event,
        )
    assert ending is Ending.FINISHED
    return engine.study, events


def test_a_hanging_trial_is_ended_and_done_again(tmp_path: Path) -> None:
    study, events = searched(tmp_path, "hang once")
    assert [event.message for event in events if event.kind == "lost"] == [
        "gave no sign of life for 0.2 min; its process was ended"
    ]
    assert [trial.values != {} for trial in study.trials.values()] == [True, True]
    assert study.trials[0].num_lost == 1
    ledger.tried("a trial hangs")


def test_a_trial_that_leaks_memory_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = psutil.virtual_memory()
    monkeypatch.setenv("RAY_memory_usage_threshold", f"{(memory.total - memory.available + 1.5e9) / memory.total:.3f}")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "50")
    study, events = searched(tmp_path, "leak")
    assert study.trials[0].outcome is Outcome.FAILED
    assert "lost its worker 4 times" in study.trials[0].message
    # Ray does not give the reason of every one: it may end the process that would.
    assert any("running low on memory" in event.message for event in events if event.kind == "lost")
    assert study.trials[1].outcome is not Outcome.FAILED
    assert study.trials[1].values
    ledger.tried("a trial leaks memory")


def test_processes_that_a_trial_leaves_behind_end_with_the_run(tmp_path: Path) -> None:
    study, _ = searched(tmp_path, "fork")
    assert study.trials[1].values
    forked = int((tmp_path / "forked").read_text())
    assert not psutil.pid_exists(forked) or psutil.Process(forked).status() == psutil.STATUS_ZOMBIE
    ledger.tried("a trial leaves processes behind")


def test_what_a_trial_prints_without_end_is_no_part_of_the_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    num_printed = []

    def look(event: SearchEvent) -> None:
        if event.kind == "lost":
            session = Path(ray._private.worker._global_node.get_session_dir_path())
            num_printed.append(num_bytes_below(session / "logs"))

    study, events = searched(tmp_path, "print once", look)
    assert [event.message for event in events if event.kind == "lost"] == [
        "gave no sign of life for 0.2 min; its process was ended"
    ]
    assert [trial.values != {} for trial in study.trials.values()] == [True, True]
    assert num_printed[0] > 20_000_000, "it lies in Ray's logs, which go with the run"
    said, warned = capfd.readouterr()
    assert "much" not in said
    assert "more" not in warned
    assert num_bytes_below(tmp_path) < 1_000_000
    ledger.tried("a trial prints without end")


def num_bytes_below(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())
