"""A study's journal on an object store: numbered objects under a lease; moto's S3 server on loopback."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from hpsearch.errors import StorageError
from hpsearch.object_store import ConflictError, ObjectStore
from hpsearch.search import journal_lease
from hpsearch.search.engine import Engine
from hpsearch.search.journal import Journal
from hpsearch.search.journal_lease import LEASE, Lease, is_held
from hpsearch.search.journal_segments import SegmentStore, read_segments
from hpsearch.search.space import Space
from hpsearch.search.types import EngineConfig, Outcome
from tests.s3_server import BUCKET, address, s3_server


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadedMotoServer]:
    with s3_server() as server:
        yield server


@pytest.fixture
def objects(server: ThreadedMotoServer, tmp_path: Path) -> ObjectStore:
    return ObjectStore(address(server, f"{BUCKET}/{tmp_path.name}"))


def opened(objects: ObjectStore, machine: Path) -> Journal:
    return Journal(machine / "journal.jsonl", store=SegmentStore(objects, machine / "journal.jsonl", sleep=lambda _: None))


def abandon(journal: Journal) -> None:
    """As if its process were killed: the lease stays, and grows old."""
    store: Any = journal._store
    store._lease._stop.set()
    store._copy.close()


def make_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_lease, "LEASE_SECONDS", -1.0)


def test_study_goes_on_on_another_machine(objects: ObjectStore, tmp_path: Path) -> None:
    space = Space.from_dict({"x": {"low": 0.0, "high": 1.0}})
    config = EngineConfig(rungs=(10, 30), sampler="random", num_trials=3)
    with closing(opened(objects, tmp_path / "one")) as journal:
        engine = Engine.open(space, config, journal)
        stretch = engine.next(0)
        assert stretch is not None
        engine.report(stretch.trial, 10, 0.5)
        engine.end(stretch.trial, Outcome.PAUSED)
        events = list(journal.events)
    with closing(opened(objects, tmp_path / "two")) as journal:
        assert journal.events == events
        engine = Engine.open(space, config, journal)
        assert engine.study.trials[0].values == {10: 0.5}
    for machine in ("one", "two"):
        assert (tmp_path / machine / "journal.jsonl").read_bytes().startswith(b"".join(read_segments(objects))[:500])


def test_each_append_is_an_object_of_its_own_that_is_there_before_the_copy(objects: ObjectStore, tmp_path: Path) -> None:
    with closing(opened(objects, tmp_path)) as journal:
        journal.append([{"event": "first", "version": 1}])
        journal.append([{"event": "second"}, {"event": "third"}])
    assert objects.names("journal/") == ["journal/00000000.jsonl", "journal/00000001.jsonl"]
    assert [len(data.splitlines()) for data in read_segments(objects)] == [1, 2]
    assert (tmp_path / "journal.jsonl").read_bytes() == b"".join(read_segments(objects))


def test_second_driver_is_refused_while_the_first_is_alive(
    objects: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_lease, "BEAT_SECONDS", 0.2)
    with closing(opened(objects, tmp_path / "one")) as journal:
        assert is_held(objects)
        with pytest.raises(StorageError, match=r"another driver holds this study: process \d+ on .*hpsearch\.status"):
            SegmentStore(objects, tmp_path / "two" / "journal.jsonl")
        journal.append([{"event": "first", "version": 1}])
    assert not is_held(objects)
    opened(objects, tmp_path / "two").close()


def test_killed_drivers_lease_is_taken_once_it_is_old(
    objects: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = opened(objects, tmp_path / "one")
    journal.append([{"event": "first", "version": 1}])
    abandon(journal)
    ages = iter([2.0, 12.0, 31.0])
    read = ObjectStore.read

    def aged(self: ObjectStore, name: str) -> Any:
        held = read(self, name)
        return type(held)(data=held.data, tag=held.tag, age_seconds=next(ages, 31.0)) if name == LEASE and held else held

    with monkeypatch.context() as patch:
        patch.setattr(ObjectStore, "read", aged)
        second = opened(objects, tmp_path / "two")
    assert next(ages, None) is None
    assert len(second.events) == 1
    second.close()


def test_driver_that_lost_its_lease_writes_nothing_more(
    objects: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_lease, "BEAT_SECONDS", 0.1)
    first = opened(objects, tmp_path / "one")
    store: Any = first._store
    objects.write(LEASE, json.dumps({"pid": 1, "host": "elsewhere", "id": "other"}).encode())
    store._lease._thread.join(timeout=20)
    with pytest.raises(StorageError, match="another driver holds this study: process 1 on elsewhere"):
        first.append([{"event": "first", "version": 1}])
    first.close()
    assert objects.names() == [LEASE]


def test_two_drivers_that_took_each_other_for_dead_cannot_both_write(
    objects: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_lease, "BEAT_SECONDS", 600.0)
    first = opened(objects, tmp_path / "one")
    with monkeypatch.context() as patch:
        make_old(patch)
        second = opened(objects, tmp_path / "two")
    second.append([{"event": "first", "version": 1}])
    with pytest.raises(StorageError, match="another driver has written to this study meanwhile"):
        first.append([{"event": "first", "version": 1, "seed": 1}])
    for journal in (first, second):
        journal.close()
    assert len(read_segments(objects)) == 1


def test_write_whose_answer_was_lost_is_not_taken_for_another_drivers(
    objects: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, lost = ObjectStore.write, []

    def losing(self: ObjectStore, name: str, data: bytes, **conditions: Any) -> str:
        tag = write(self, name, data, **conditions)
        if name.startswith("journal/") and not lost:
            lost.append(name)
            raise StorageError("no answer")
        return tag

    monkeypatch.setattr(ObjectStore, "write", losing)
    with closing(opened(objects, tmp_path)) as journal:
        journal.append([{"event": "first", "version": 1}])
        journal.append([{"event": "second"}])
    assert lost == ["journal/00000000.jsonl"]
    assert len(read_segments(objects)) == 2


def test_store_that_stays_away_ends_it_after_a_while(
    objects: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    path = tmp_path / "journal.jsonl"
    with closing(Journal(path, store=SegmentStore(objects, path, sleep=waits.append))) as journal:

        def away(*arguments: Any, **options: Any) -> str:
            raise StorageError("no answer")

        with monkeypatch.context() as patch:
            patch.setattr(ObjectStore, "write", away)
            with pytest.raises(StorageError, match="no answer"):
                journal.append([{"event": "first", "version": 1}])
    assert sum(waits) > 60
    assert read_segments(objects) == []
    assert path.read_bytes() == b""


def test_object_that_is_gone_is_named(objects: ObjectStore, tmp_path: Path) -> None:
    with closing(opened(objects, tmp_path)) as journal:
        for event in ("first", "second", "third"):
            journal.append([{"event": event}])
    objects.remove("journal/00000001.jsonl")
    with pytest.raises(StorageError, match=r"journal/00000001\.jsonl is gone"):
        opened(objects, tmp_path)
    assert not is_held(objects)


def test_lease_that_is_taken_at_the_same_moment_is_refused(objects: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    write = ObjectStore.write

    def overtaken(self: ObjectStore, name: str, data: bytes, **conditions: Any) -> str:
        monkeypatch.undo()
        write(self, name, json.dumps({"pid": 7, "host": "faster", "id": "other"}).encode())
        return write(self, name, data, **conditions)

    monkeypatch.setattr(ObjectStore, "write", overtaken)
    with pytest.raises(StorageError, match="process 7 on faster"):
        Lease(objects)


def test_conditions_are_the_stores_own(objects: ObjectStore) -> None:
    objects.write("journal/00000000.jsonl", b"{}\n", only_if_new=True)
    with pytest.raises(ConflictError):
        objects.write("journal/00000000.jsonl", b"{}\n", only_if_new=True)
