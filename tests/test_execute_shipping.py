"""Images of the driver's machine reach nodes that lack them: once, whole, and again only what has changed."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hpsearch.data.remote import copy_of, link_on_driver, local_copy
from hpsearch.errors import InputError, StorageError
from hpsearch.execute import shipping
from hpsearch.execute.connect import Cluster, alive, connect
from hpsearch.execute.shipping import ListedFile, Shipment, batches, listed_files

NAMES = ("real/a b.jpg", "fake/ü.jpg", "labels.txt")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(NAMES):
        file = tmp_path / "images" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes([number]) * (1000 + number))
    return tmp_path / "images"


@pytest.fixture
def cluster(machines: Any, tmp_path: Path) -> Iterator[Cluster]:
    with connect(machines.address, tune_dir=tmp_path) as cluster:
        yield cluster


@pytest.mark.slow
def test_a_copy_is_brought_up_to_date_and_nothing_is_sent_twice(cluster: Cluster, folder: Path, tmp_path: Path) -> None:
    copy, told = tmp_path / "node" / "copy", list[tuple[int, int]]()
    assert Shipment(folder, copy).to_all(lambda done, total: told.append((done, total))) == 3
    assert told[-1] == (3, 3)
    assert {name: (copy / name).read_bytes() for name in NAMES} == {name: (folder / name).read_bytes() for name in NAMES}
    assert Shipment(folder, copy).to_all(lambda done, total: None) == 0
    (folder / NAMES[0]).write_bytes(b"x" * 1000)
    os.utime(folder / NAMES[0], ns=(0, 1_000_000_000))  # of the same size
    assert Shipment(folder, copy).to_all(lambda done, total: None) == 1
    assert (copy / NAMES[0]).read_bytes() == b"x" * 1000
    assert {path.name for path in copy.parent.iterdir()} == {"copy", "copy.lock"}


@pytest.mark.slow
def test_a_node_that_cannot_keep_them_is_named(cluster: Cluster, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (node,) = (one["NodeID"] for one in alive() if one["Resources"].get("CPU"))
    with pytest.raises(StorageError, match=rf"node [\d.]+-{node[:8]} has not got the images: .*file.*data\.cache_dir"):
        Shipment(folder, tmp_path / "file" / "copy").to_all(lambda done, total: None)


@pytest.mark.slow
def test_another_drivers_own_images_are_never_written_over(cluster: Cluster, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / NAMES[2]).write_text("newer")
    copy = tmp_path / "copy"
    copy.symlink_to(tmp_path / "theirs")
    with pytest.raises(StorageError, match="is the link of a driver to its own images"):
        Shipment(folder, copy).to_all(lambda done, total: None)
    assert [(path.name, path.read_text()) for path in (tmp_path / "theirs").iterdir()] == [(NAMES[2], "newer")]


def test_files_below_linked_folders_are_listed_and_links_to_nothing_are_not(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "c.jpg").write_bytes(b"1")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "gone.jpg").symlink_to(tmp_path / "nothing")
    assert {file.name for file in listed_files(folder)} == {*NAMES, "linked/c.jpg"}


def test_batches_are_bounded_in_bytes_and_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "BATCH_BYTES", 10)
    monkeypatch.setattr(shipping, "BATCH_FILES", 3)
    sizes = (4, 4, 4, 30, 1, 1, 1, 1)
    files = [ListedFile(str(number), size, 0) for number, size in enumerate(sizes)]
    assert [[file.size for file in batch] for batch in batches(files)] == [[4, 4], [4], [30], [1, 1, 1], [1]]


def test_on_the_drivers_machine_the_copy_is_a_link(folder: Path, tmp_path: Path) -> None:
    source = f"driver://{folder}"
    copy = link_on_driver(source, tmp_path / "cache")
    assert copy == copy_of(source, tmp_path / "cache") == local_copy(source, tmp_path / "cache")
    assert (copy / "labels.txt").read_bytes() == (folder / "labels.txt").read_bytes()
    assert link_on_driver(source, tmp_path / "cache") == copy


def test_a_driver_on_another_machine_goes_on_with_the_copy_there(folder: Path, tmp_path: Path) -> None:
    source = f"driver://{tmp_path}/of the first driver"
    copy = copy_of(source, tmp_path / "cache")
    copy.parent.mkdir(parents=True)
    folder.rename(copy)
    assert link_on_driver(source, tmp_path / "cache") == copy


def test_the_folder_itself_goes_before_a_copy_that_was_sent_here(folder: Path, tmp_path: Path) -> None:
    source = f"driver://{folder}"
    copy_of(source, tmp_path / "cache").mkdir(parents=True)
    (copy_of(source, tmp_path / "cache") / "old.jpg").touch()
    copy = link_on_driver(source, tmp_path / "cache")
    assert copy.resolve() == folder
    assert not (copy / "old.jpg").exists()


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no folder .*nowhere"):
        link_on_driver(f"driver://{tmp_path}/nowhere", tmp_path / "cache")
    with pytest.raises(InputError, match=r"give the whole path, driver:///"):
        link_on_driver("driver://images", tmp_path / "cache")


def test_a_node_that_was_not_sent_the_images_says_what_to_do(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"are not on this node\. Start the run again"):
        local_copy(f"driver://{folder}", tmp_path / "cache")


def test_a_link_back_to_the_folder_itself_is_followed_once(folder: Path) -> None:
    (folder / "real" / "again").symlink_to(folder)
    assert {file.name for file in listed_files(folder)} == set(NAMES)
