"""Objects of an S3 store, moto's server on loopback: conditions of a write hold, and a copy of the store in another process."""

import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from hpsearch.errors import InputError, StorageError
from hpsearch.object_store import ConflictError, ObjectStore
from tests.s3_server import BUCKET, address, s3_server


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadedMotoServer]:
    with s3_server() as server:
        yield server


@pytest.fixture
def objects(server: ThreadedMotoServer, tmp_path: Path) -> ObjectStore:
    return ObjectStore(address(server, f"{BUCKET}/{tmp_path.name}/"))


def test_object_is_read_as_it_was_written(objects: ObjectStore) -> None:
    tag = objects.write("a/b", b"one")
    found = objects.read("a/b")
    assert found is not None
    assert (found.data, found.tag) == (b"one", tag)
    assert 0 <= found.age_seconds < 30
    assert objects.read("a/c") is None


def test_object_that_is_there_is_not_written_as_new(objects: ObjectStore) -> None:
    objects.write("a", b"one", only_if_new=True)
    with pytest.raises(ConflictError):
        objects.write("a", b"two", only_if_new=True)
    found = objects.read("a")
    assert found is not None
    assert found.data == b"one"


def test_object_that_has_changed_is_not_written_over(objects: ObjectStore) -> None:
    first = objects.write("a", b"one")
    objects.write("a", b"two", only_over=first)
    with pytest.raises(ConflictError):
        objects.write("a", b"three", only_over=first)


def test_names_are_those_below_the_address(objects: ObjectStore, server: ThreadedMotoServer) -> None:
    for name in ("b", "a/2", "a/1"):
        objects.write(name, b"")
    ObjectStore(address(server, BUCKET)).write("elsewhere", b"")
    assert objects.names() == ["a/1", "a/2", "b"]
    assert objects.names("a/") == ["a/1", "a/2"]
    objects.remove("a/1")
    objects.remove("a/1")
    assert objects.names("a/") == ["a/2"]


def test_files_are_copied_there_and_back(objects: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    objects.upload(tmp_path / "file", "large")
    assert objects.download("large", tmp_path / "new" / "copy")
    assert (tmp_path / "new" / "copy").read_bytes() == (tmp_path / "file").read_bytes()
    assert not objects.download("none", tmp_path / "file")
    assert (tmp_path / "file").stat().st_size == 100_000


def test_store_reaches_another_process_without_its_connection(objects: ObjectStore) -> None:
    objects.write("a", b"one")
    copy = pickle.loads(pickle.dumps(objects))
    assert copy == objects
    assert copy.read("a").data == b"one"


def test_bucket_that_is_not_there_is_named_with_what_to_look_at(server: ThreadedMotoServer) -> None:
    with pytest.raises(StorageError, match=r"s3://nowhere/a\?.*bucket does not exist.*Check the address, its region"):
        ObjectStore(address(server, "nowhere/a")).write("a", b"")


@pytest.mark.parametrize("given", ["s3://", "gs://bucket/a", "s3://bucket/a?endpoint=host"])
def test_address_of_another_kind_is_refused(given: str) -> None:
    with pytest.raises(InputError, match="not an address of an object store"):
        ObjectStore(given)
