"""Caches are listed as they are and removed on request, from Python and from the command line."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpsearch import cache as command_line
from hpsearch.data.cache import open_or_build
from hpsearch.data.cache_list import kept_caches, remove_cache
from hpsearch.data.cache_lock import only_one_builder
from hpsearch.errors import InputError


def write_images(directory: Path, count: int = 3) -> list[str]:
    directory.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.fromarray(np.full((20, 20, 3), number, np.uint8)).save(directory / f"{number}.png")
    return sorted(map(str, directory.iterdir()))


def build(paths: list[str], cache_dir: Path, px: int = 16) -> Path:
    return open_or_build(paths, px=px, cache_dir=cache_dir, num_workers=1, max_unreadable_fraction=0).directory


def unfinish(directory: Path) -> Path:
    (directory / "index.json").unlink()
    return directory.rename(directory.with_name(directory.name + ".building"))


def states(cache_dir: Path) -> dict[Path, str]:
    return {cache.directory: cache.state for cache in kept_caches(cache_dir)}


def test_a_cache_is_listed_with_its_size_images_and_last_use(tmp_path: Path) -> None:
    directory = build(write_images(tmp_path / "images"), tmp_path / "cache")
    os.utime(directory / "index.json", (2e9, 2e9))
    (tmp_path / "cache" / "sample-0").mkdir()
    (cache,) = kept_caches(tmp_path / "cache")
    assert (cache.directory, cache.px, cache.num_images, cache.state) == (directory, 16, 3, "ready")
    assert cache.used == 2e9
    assert cache.num_bytes >= 3 * 16 * 16 * 3


def test_the_older_of_two_caches_of_the_same_files_is_outdated(tmp_path: Path) -> None:
    paths = write_images(tmp_path / "images")
    old = build(paths, tmp_path / "cache")
    for file in old.iterdir():
        os.utime(file, (1e9, 1e9))
    Image.new("RGB", (20, 20), "white").save(paths[0])
    new = build(paths, tmp_path / "cache")
    other_size = build(paths, tmp_path / "cache", px=8)
    assert states(tmp_path / "cache") == {new: "ready", old: "outdated", other_size: "ready"}


def test_a_cache_is_unfinished_unless_somebody_builds_it(tmp_path: Path) -> None:
    directory = build(write_images(tmp_path / "images"), tmp_path / "cache")
    building = unfinish(directory)
    assert states(tmp_path / "cache") == {building: "unfinished"}
    with only_one_builder(directory, 3, None):
        assert states(tmp_path / "cache") == {building: "being built"}


def test_a_removed_cache_is_gone_and_built_again_when_needed(tmp_path: Path) -> None:
    paths = write_images(tmp_path / "images")
    build(paths, tmp_path / "cache")
    (cache,) = kept_caches(tmp_path / "cache")
    remove_cache(cache)
    assert list((tmp_path / "cache").iterdir()) == []
    assert build(paths, tmp_path / "cache") == cache.directory


def test_a_cache_that_is_being_built_is_not_removed(tmp_path: Path) -> None:
    directory = build(write_images(tmp_path / "images"), tmp_path / "cache")
    building = unfinish(directory)
    (cache,) = kept_caches(tmp_path / "cache")
    with only_one_builder(directory, 3, None), pytest.raises(InputError, match="is being built by another process"):
        remove_cache(cache)
    assert building.is_dir()


def test_the_command_lists_and_removes_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = write_images(tmp_path / "images")
    small, large = build(paths, tmp_path / "cache", px=8), build(paths, tmp_path / "cache", px=16)
    place = ["--cache-dir", str(tmp_path / "cache")]
    assert command_line.command(place) == 0
    shown = capsys.readouterr().out
    assert small.name in shown
    assert large.name in shown
    assert "free there" in shown
    assert command_line.command([*place, "--remove", small.name]) == 0
    assert f"removed {small}" in capsys.readouterr().out
    assert (small.exists(), large.exists()) == (False, True)


def test_the_word_outdated_removes_what_no_run_opens_any_more(tmp_path: Path) -> None:
    paths = write_images(tmp_path / "images")
    old = build(paths, tmp_path / "cache")
    for file in old.iterdir():
        os.utime(file, (1e9, 1e9))
    Image.new("RGB", (20, 20), "white").save(paths[0])
    new = build(paths, tmp_path / "cache")
    shutil.copytree(new, new.with_name(new.name + ".building"))
    assert command_line.command(["--cache-dir", str(tmp_path / "cache"), "--remove", "outdated"]) == 0
    assert states(tmp_path / "cache") == {new: "ready"}


def test_an_unknown_name_is_refused_with_what_there_is(tmp_path: Path) -> None:
    directory = build(write_images(tmp_path / "images"), tmp_path / "cache")
    with pytest.raises(InputError, match=rf"--remove {directory.name}0: no such cache; did you mean '{directory.name}'"):
        command_line.command(["--cache-dir", str(tmp_path / "cache"), "--remove", f"{directory.name}0"])


def test_a_directory_without_caches_is_said_to_be_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.command(["--cache-dir", str(tmp_path / "none")]) == 0
    assert capsys.readouterr().out == f"no cache of decoded images in {tmp_path / 'none'}\n"
