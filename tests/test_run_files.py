"""Files of a run that reach other machines through an object store; two folders stand for the machines."""

import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from hpsearch.object_store import ObjectStore
from hpsearch.run_files import MirroredFiles, SharedFiles
from tests.s3_server import BUCKET, address, s3_server


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadedMotoServer]:
    with s3_server() as server:
        yield server


@pytest.fixture
def machines(server: ThreadedMotoServer, tmp_path: Path) -> tuple[MirroredFiles, MirroredFiles]:
    objects = ObjectStore(address(server, f"{BUCKET}/{tmp_path.name}"))
    return MirroredFiles(objects, tmp_path / "one"), MirroredFiles(objects, tmp_path / "two")


def write(files: MirroredFiles, name: str, text: str) -> Path:
    file = files.root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_file_that_was_sent_is_fetched_over_an_older_one(machines: tuple[MirroredFiles, MirroredFiles]) -> None:
    one, two = machines
    one.send(write(one, "trials/3/checkpoint.pt", "new"))
    copy = write(two, "trials/3/checkpoint.pt", "older")
    two.fetch(copy)
    assert copy.read_text() == "new"


def test_file_that_nobody_has_sent_is_gone_after_fetching(machines: tuple[MirroredFiles, MirroredFiles]) -> None:
    _, two = machines
    copy = write(two, "trials/3/checkpoint.pt", "of an earlier run")
    two.fetch(copy)
    assert not copy.exists()


def test_removed_file_is_gone_for_everybody(machines: tuple[MirroredFiles, MirroredFiles]) -> None:
    one, two = machines
    file = write(one, "trials/3/checkpoint.pt", "new")
    one.send(file)
    one.remove(file)
    one.remove(file)
    copy = write(two, "trials/3/checkpoint.pt", "older")
    two.fetch(copy)
    assert not file.exists()
    assert not copy.exists()


def test_directory_is_sent_without_checkpoints_and_what_is_not_whole(machines: tuple[MirroredFiles, MirroredFiles]) -> None:
    one, two = machines
    for name in ("config.yaml", "trials/3/events", "retrain/a/curve.json"):
        write(one, name, name)
    for name in ("journal.jsonl", "journal.jsonl.lock", ".tune/x", "trials/3/checkpoint.pt", "best/.m.7.partial", "probe-1/d"):
        write(one, name, name)
    one.send_below(one.root)
    two.fetch_below(two.root)
    found = {file.relative_to(two.root).as_posix() for file in two.root.rglob("*") if file.is_file()}
    assert found == {"config.yaml", "trials/3/events", "retrain/a/curve.json"}


def test_only_what_has_changed_is_sent(machines: tuple[MirroredFiles, MirroredFiles]) -> None:
    one, two = machines
    for name in ("a", "b"):
        write(one, name, name)
    one.send_below(one.root)
    two.fetch_below(two.root)
    write(two, "a", "changed")
    two.objects.write("b", b"sent by somebody else")
    two.send_below(two.root)
    one.fetch_below(one.root)
    assert (one.root / "a").read_text() == "changed"
    assert (one.root / "b").read_text() == "sent by somebody else"


def test_part_of_it_is_fetched_alone(machines: tuple[MirroredFiles, MirroredFiles]) -> None:
    one, two = machines
    for name in ("retrain/trial-1/export/model.json", "retrain/trial-10/export/model.json"):
        write(one, name, name)
    one.send_below(one.root / "retrain")
    two.fetch_below(two.root / "retrain" / "trial-1")
    assert [file.relative_to(two.root).as_posix() for file in two.root.rglob("*.json")] == ["retrain/trial-1/export/model.json"]


def test_removed_directory_is_gone_for_everybody(machines: tuple[MirroredFiles, MirroredFiles]) -> None:
    one, two = machines
    for name in ("retrain/a/export/model.json", "retrain/a/finished.json"):
        write(one, name, name)
    one.send_below(one.root)
    one.remove_below(one.root / "retrain" / "a" / "export")
    two.fetch_below(two.root)
    for files in machines:
        assert [file.name for file in files.root.rglob("*.json")] == ["finished.json"]


def test_workers_get_them_with_their_job(machines: tuple[MirroredFiles, MirroredFiles]) -> None:
    one, two = machines
    one.send(write(one, "weights/a", "tensors"))
    copy = pickle.loads(pickle.dumps(two))
    copy.fetch(two.root / "weights" / "a")
    assert (two.root / "weights" / "a").read_text() == "tensors"


def test_shared_directory_needs_no_copies(tmp_path: Path) -> None:
    files, file = SharedFiles(), tmp_path / "checkpoint.pt"
    file.write_text("state")
    files.fetch(file)
    assert file.read_text() == "state"
    files.remove(file)
    assert not file.exists()
    files.remove_below(tmp_path)
    assert not tmp_path.exists()
