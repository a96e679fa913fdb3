"""Images on an object store are fetched once into the node's cache; the store is moto's S3 server on loopback."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from moto.server import ThreadedMotoServer
from pyarrow import fs

from hpsearch.config import DataConfig, RunConfig
from hpsearch.data import remote
from hpsearch.data.remote import is_remote, local_copy
from hpsearch.data.training_data import open_training_data
from hpsearch.errors import InputError, StorageError
from hpsearch.job.inputs import read_dataset
from tests.small_set import make_competition

NUM_FILES = 48 + 24 + 6 + 3


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_competition(tmp_path_factory.mktemp("images"))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadedMotoServer]:
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield server
    server.stop()


def address(server: ThreadedMotoServer, path: str) -> str:
    _, port = server.get_host_and_port()
    return f"s3://{path}?region=us-east-1&scheme=http&endpoint_override=127.0.0.1:{port}"


@pytest.fixture
def source(server: ThreadedMotoServer, images: Path, tmp_path: Path) -> str:
    """The address of a bucket that holds the images."""
    source = address(server, f"{tmp_path.name.replace('_', '-')}/faces")
    file_system, root = fs.FileSystem.from_uri(source + "&allow_bucket_creation=true")
    file_system.create_dir(root.partition("/")[0])
    fs.copy_files(str(images), root, destination_filesystem=file_system)
    return source


def test_addresses_are_told_from_paths() -> None:
    assert is_remote("s3://bucket/images")
    assert not is_remote("/images")
    assert not is_remote("sample")


def test_copy_holds_every_file_and_says_how_far_it_is(source: str, images: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    copy = local_copy(source, tmp_path, lambda done, total: told.append((done, total)))
    files = {file.relative_to(images): file.read_bytes() for file in images.rglob("*") if file.is_file()}
    assert {file.relative_to(copy): file.read_bytes() for file in copy.rglob("*") if file.is_file()} == files
    assert told == [(number, NUM_FILES) for number in range(1, NUM_FILES + 1)]


def test_copy_that_is_there_is_used_without_a_look_at_the_store(
    source: str, server: ThreadedMotoServer, tmp_path: Path
) -> None:
    copy = local_copy(source, tmp_path)
    server.stop()
    assert local_copy(source.replace("us-east-1", "eu-west-1"), tmp_path) == copy


def test_fetch_that_was_cut_short_goes_on(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch_file, fetched = remote._fetch_file, []

    def fetch_some(job: Any) -> None:
        if len(fetched) == 20:
            raise OSError("connection reset")
        fetched.append(job)
        fetch_file(job)

    monkeypatch.setattr(remote, "NUM_STREAMS", 1)
    monkeypatch.setattr(remote, "_fetch_file", fetch_some)
    with pytest.raises(StorageError, match=r"cannot be read .connection reset.*the same command goes on"):
        local_copy(source, tmp_path)
    monkeypatch.setattr(remote, "_fetch_file", lambda job: (fetched.append(job), fetch_file(job)))
    copy = local_copy(source, tmp_path)
    assert len({target for _, _, target in fetched}) == len(fetched) == NUM_FILES
    assert list(copy.rglob("*.partial")) == []


def test_address_with_nothing_below_it_is_refused(server: ThreadedMotoServer, source: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is nothing below this address"):
        local_copy(source.replace("/faces", "/no-such-faces"), tmp_path)


def test_address_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nosuch://bucket: not an address of an object store .*Give s3://BUCKET/PREFIX"):
        local_copy("nosuch://bucket", tmp_path)


def test_copy_that_the_disk_cannot_hold_is_refused(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 1_000})
    monkeypatch.setattr(remote.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(StorageError, match=r"needs [\d,]+ bytes more, and 1,000 are free"):
        local_copy(source, tmp_path)


def test_name_that_leads_out_of_the_copy_is_left_out() -> None:
    files = [("bucket/faces/a.jpg", 1), ("bucket/faces/../../b.jpg", 2)]
    assert dict(remote._named(iter(files), "bucket/faces/")) == {"a.jpg": ("bucket/faces/a.jpg", 1)}


def test_data_set_of_a_bucket_is_that_of_the_folder_and_another_node_fetches_it(
    source: str, images: Path, tmp_path: Path
) -> None:
    def dataset(given: str) -> Any:
        return read_dataset(RunConfig(data=DataConfig(source=given, cache_dir=str(tmp_path / "cache"))))

    found = dataset(source)
    assert found.source == source
    assert found.fingerprint == dataset(str(images)).fingerprint
    (tmp_path / "cache").rename(tmp_path / "cache of the driver")  # as on a node that has nothing yet
    data = open_training_data(found, px=16, cache_dir=tmp_path / "cache", num_workers=1, max_unreadable_fraction=0)
    assert len(data.train) + len(data.val) == 48 + 24
    assert np.asarray(data.train.images_nhwc).std() > 0
