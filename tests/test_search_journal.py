"""The journal: what is written is there again, whatever dies in between, and only one driver writes."""

import json
import math
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hpsearch.errors import StorageError
from hpsearch.search.engine import Engine
from hpsearch.search.fold import fold
from hpsearch.search.journal import Journal, MemoryStore, read_events
from hpsearch.search.journal_file import RETRY_SECONDS, FileStore, is_driven
from hpsearch.search.simulator import simulate
from hpsearch.search.space import Space
from hpsearch.search.types import EngineConfig

SPACE = Space.from_dict({"x": {"low": 0.0, "high": 1.0}})
CONFIG = EngineConfig(rungs=(1, 3), sampler="random", num_trials=4)
EVENT = {"event": "phase", "name": "search", "seconds": 1.0, "gpu_seconds": 0.0}


def append(journal: Journal, *names: str) -> None:
    journal.append([journal.stamped({**EVENT, "name": name}) for name in names])


def names(path: Path) -> list[str]:
    return [event["name"] for event in read_events(path)]


def test_events_are_read_again_as_they_were_taken_in(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run" / "journal.jsonl", clock=lambda: 12.5, stopwatch=iter([1.0, 3.0]).__next__)
    event = journal.stamped({**EVENT, "rungs": (1, np.int64(3)), "metrics": {1: np.float32("nan"), 2: math.inf}})
    journal.append([event])
    journal.close()
    assert read_events(tmp_path / "run" / "journal.jsonl") == [event] == journal.events
    assert event == {**EVENT, "rungs": [1, 3], "metrics": {"1": None, "2": None}, "at": 12.5, "ran": 2.0}


def test_a_torn_last_line_is_left_out_and_then_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    append(journal, "a", "b")
    journal.close()
    path.write_bytes(path.read_bytes() + b'{"event":"phase","na')
    assert names(path) == ["a", "b"]
    journal = Journal(path)
    append(journal, "c")
    journal.close()
    assert names(path) == ["a", "b", "c"]


def test_a_study_continues_from_every_byte_at_which_its_journal_could_be_cut() -> None:
    store = MemoryStore()
    journal = Journal(Path("memory"), store=store, clock=lambda: 0.0)
    simulate(Engine.open(SPACE, CONFIG, journal), lambda params, images: float(params["x"]), num_workers=2)
    data = store.read()
    for num_bytes in range(len(data)):
        engine = Engine.open(SPACE, CONFIG, Journal(Path("memory"), store=MemoryStore(data[:num_bytes]), clock=lambda: 0.0))
        simulate(engine, lambda params, images: float(params["x"]), num_workers=2)
        assert len(engine.study.trials) == 4
        assert [len(table) for table in engine.study.rungs.values()] == [4, 1]


def test_a_broken_line_in_the_middle_is_an_error_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(f"{json.dumps(EVENT)}\nnot an event\n{json.dumps(EVENT)}\n")
    for opens in (read_events, Journal, Journal):
        with pytest.raises(StorageError, match=r"journal\.jsonl:2: not an event of a study\. Restore"):
            opens(path)


@pytest.mark.parametrize(
    ("event", "amiss"),
    [
        ({"event": "study"}, "version, space, rungs, eta, seed, sampler, identity"),
        ({**EVENT, "seconds": "long"}, "seconds"),
        ({**EVENT, "seconds": math.nan}, "seconds"),
        ({**EVENT, "gpu_seconds": 10**400, "ran": None}, "gpu_seconds, ran"),
    ],
)
def test_an_event_without_its_facts_is_an_error_with_its_line(tmp_path: Path, event: dict[str, object], amiss: str) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(f"{json.dumps(EVENT)}\n{json.dumps(event)}\n")
    with pytest.raises(StorageError, match=rf"journal\.jsonl:2: an event '{event['event']}' with no proper {amiss}\. Restore"):
        read_events(path)


def test_an_event_of_an_unknown_trial_is_an_error_with_its_line() -> None:
    ended = {"event": "ended", "trial": 7, "outcome": "failed", "images": 0, "message": ""}
    with pytest.raises(StorageError, match=r"runs/first/journal\.jsonl:2: an event 'ended' that does not follow"):
        fold([EVENT, ended], "runs/first/journal.jsonl")


def test_a_journal_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text('{"event":"study","version":99}\n')
    with pytest.raises(StorageError, match="journal version 99; this hpsearch reads version 1"):
        Journal(path)


def test_a_missing_journal_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"nowhere\.jsonl: cannot read this journal"):
        read_events(tmp_path / "nowhere.jsonl")


def test_a_second_driver_is_refused_with_the_name_of_the_first_and_readers_are_not(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    holder = (
        "import sys; from pathlib import Path; from hpsearch.search.journal import Journal\n"
        "j = Journal(Path(sys.argv[1])); j.append([{'event': 'phase', 'name': 'a', 'seconds': 1, 'gpu_seconds': 0}])\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", holder, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(
            StorageError,
            match=rf"another driver holds this study: process {process.pid} on .*hpsearch\.status.*remove .*\.jsonl\.lock",
        ):
            Journal(path)
        assert names(path) == ["a"]
        assert is_driven(path)
    finally:
        process.kill()
        process.communicate()
    assert not is_driven(path)
    Journal(path).close()


def test_the_same_process_does_not_drive_a_study_twice_under_any_name(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    journal = Journal(tmp_path / "journal.jsonl")
    assert is_driven(tmp_path / "link" / "journal.jsonl")
    with pytest.raises(StorageError, match="this process already drives this study"):
        Journal(tmp_path / "link" / "journal.jsonl")
    with pytest.raises(StorageError, match="this process already drives this study"):
        Journal(tmp_path / "journal.jsonl")
    journal.close()
    Journal(tmp_path / "journal.jsonl").close()


def test_a_full_disk_is_waited_for_and_leaves_no_half_line(tmp_path: Path) -> None:
    waits: list[float] = []
    store = FileStore(tmp_path / "journal.jsonl", sleep=waits.append)
    store.append(b"first\n")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"journal\.jsonl: cannot write \(File too large\), also after 61 s\. Make room"):
            store.append(b"second line\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert waits == list(RETRY_SECONDS)
    assert store.read() == b"first\n"
    store.append(b"second\n")
    assert store.read() == b"first\nsecond\n"
    store.close()


def test_a_disk_that_comes_back_is_written_to(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    store = FileStore(tmp_path / "journal.jsonl", sleep=lambda _: resource.setrlimit(resource.RLIMIT_FSIZE, limits))
    resource.setrlimit(resource.RLIMIT_FSIZE, (3, limits[1]))
    store.append(b"whole\n")
    assert store.read() == b"whole\n"
    store.close()


def test_a_directory_that_disappears_and_returns_is_waited_for_and_nothing_is_lost(tmp_path: Path) -> None:
    def bring_back(seconds: float) -> None:
        shutil.copytree(tmp_path / "away", tmp_path / "run")  # other files now, as after another mount

    path = tmp_path / "run" / "journal.jsonl"
    store = FileStore(path, sleep=bring_back)
    store.append(b"first\n")
    path.parent.rename(tmp_path / "away")
    store.append(b"second\n")
    assert path.read_bytes() == b"first\nsecond\n"
    assert is_driven(path)
    store.close()
    assert not is_driven(path)


def test_a_directory_that_stays_away_is_not_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "run" / "journal.jsonl"
    store = FileStore(path, sleep=lambda _: None)
    path.parent.rename(tmp_path / "away")
    with pytest.raises(StorageError, match=r"cannot write \(No such file or directory\).*bring the disk back"):
        store.append(b"second\n")
    assert not path.parent.exists()
    store.close()


@pytest.mark.parametrize("content", [b"", b"first\nof another driver\n"])
def test_another_journal_in_its_place_is_left_alone(tmp_path: Path, content: bytes) -> None:
    store = FileStore(tmp_path / "journal.jsonl", sleep=lambda _: None)
    store.append(b"first\n")
    (tmp_path / "journal.jsonl").unlink()
    (tmp_path / "journal.jsonl").write_bytes(content)
    with pytest.raises(StorageError, match=f"has {len(content)} bytes and not the 6 written here"):
        store.append(b"second\n")
    assert (tmp_path / "journal.jsonl").read_bytes() == content
    store.close()


def test_what_a_lost_disk_left_of_a_line_is_cut_off_before_the_next_try(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "journal.jsonl", sleep=lambda _: None)
    store.append(b"first\n")
    with (tmp_path / "journal.jsonl").open("ab") as torn:
        torn.write(b"sec")
    store.append(b"second\n")
    assert store.read() == b"first\nsecond\n"
    store.close()


def test_steps_of_the_clock_leave_the_time_that_a_study_has_taken(tmp_path: Path) -> None:
    clock, stopwatch = iter([1000.0, 90_000.0, 500.0, 600.0]), iter([7.0, 7.0, 8.0, 20.0])
    journal = Journal(tmp_path / "j.jsonl", clock=lambda: next(clock), stopwatch=lambda: next(stopwatch))
    decided_by = {"version": 1, "space": {}, "rungs": [1], "eta": 3, "seed": 0, "sampler": "random", "identity": {}}
    journal.append([journal.stamped({"event": "study", **decided_by}), journal.stamped({"event": "budget", "num_trials": 1})])
    journal.append([journal.stamped({"event": "phase", "name": "searching", "seconds": 12.0, "gpu_seconds": 0.0})])
    journal.close()
    assert fold(read_events(tmp_path / "j.jsonl")).driven_seconds == 13.0


def test_a_journal_without_its_drivers_seconds_counts_the_clock() -> None:
    events = [{"event": "study", "rungs": [1], "eta": 3, "at": 100.0}, {"event": "budget", "num_trials": 1, "at": 100.0}]
    events.append({"event": "phase", "name": "searching", "seconds": 30.0, "gpu_seconds": 0.0, "at": 130.0})
    events += [{"event": "budget", "num_trials": 1, "at": 1000.0}, {**events[-1], "at": 1020.0}]
    assert fold(events).driven_seconds == 50.0


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"journal\.jsonl: cannot open this journal \((Not a directory|File exists)\)"):
        Journal(tmp_path / "file" / "journal.jsonl")
