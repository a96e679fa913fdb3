"""The cache holds exactly the decoded images, whatever happens while it is built."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import timeit
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpsearch.data.cache import ImageCache, address, estimated_bytes, open_or_build, open_ready
from hpsearch.data.cache_lock import only_one_builder
from hpsearch.data.decode import decode
from hpsearch.errors import InputError, StorageError

PX = 16


def write_images(directory: Path, count: int) -> list[str]:
    directory.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    paths = [directory / f"{number:04}.png" for number in range(count)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(path)
    return [str(path) for path in paths]


def truncate(path: str) -> None:
    Path(path).write_bytes(Path(path).read_bytes()[:200])


def opened(paths: Sequence[str], cache_dir: Path, *, px: int = PX, accepted: float = 0.01, **options: object) -> ImageCache:
    return open_or_build(paths, px=px, cache_dir=cache_dir, num_workers=2, max_unreadable_fraction=accepted, **options)


def caches(cache_dir: Path) -> list[str]:
    return sorted(entry.name for entry in cache_dir.iterdir() if entry.is_dir())


def child(paths: Sequence[str], cache_dir: Path, *, before: str = "", progress: str = "None") -> subprocess.Popen[str]:
    """Another process that opens the cache, and logs to stderr."""
    code = f"""
import json, logging, os, sys, time
from pathlib import Path
from hpsearch.data import cache, cache_builder
logging.basicConfig(level=logging.INFO)
{before}
cache.open_or_build(json.load(sys.stdin), px={PX}, cache_dir=Path({str(cache_dir)!r}), num_workers=2,
                    max_unreadable_fraction=0.01, progress={progress})
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdin
    process.stdin.write(json.dumps(list(paths)))
    process.stdin.close()
    process.stdin = None
    return process


def test_the_cache_holds_what_decoding_gives_in_the_order_of_the_list(tmp_path: Path) -> None:
    paths = write_images(tmp_path / "images", 70)[::-1]
    cache = opened(paths, tmp_path / "cache")
    assert cache.images_nhwc.shape == (70, PX, PX, 3)
    assert cache.readable_n.all()
    assert cache.unreadable == ()
    for image_hwc, path in zip(cache.images_nhwc, paths, strict=True):
        assert np.array_equal(image_hwc, decode(path, PX))


def test_a_ready_cache_is_opened_without_building(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = write_images(tmp_path / "images", 5)
    first = opened(paths, tmp_path / "cache")
    with caplog.at_level(logging.INFO):
        again = opened(paths, tmp_path / "cache")
    assert again.directory == first.directory
    assert "decoding" not in caplog.text


def test_another_size_is_another_cache(tmp_path: Path) -> None:
    paths = write_images(tmp_path / "images", 3)
    assert opened(paths, tmp_path / "cache").directory != opened(paths, tmp_path / "cache", px=8).directory
    assert len(caches(tmp_path / "cache")) == 2


def test_progress_ends_with_all_images(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    opened(write_images(tmp_path / "images", 70), tmp_path / "cache", progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (70, 70)
    assert calls == sorted(calls)


def test_an_image_replaced_later_is_noticed_and_the_old_cache_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = write_images(tmp_path / "images", 3)
    old = opened(paths, tmp_path / "cache")
    Image.new("RGB", (20, 24), "white").save(paths[1])
    new = opened(paths, tmp_path / "cache")
    assert (new.images_nhwc[1] == 255).all()
    assert not (old.images_nhwc[1] == 255).all()
    assert f"{old.directory} is out of date" in caplog.text
    assert f"hpsearch.cache --cache-dir {tmp_path / 'cache'} --remove {old.directory.name}" in caplog.text


def test_few_unreadable_images_are_listed_with_reasons(tmp_path: Path) -> None:
    paths = write_images(tmp_path / "images", 100)
    truncate(paths[40])
    cache = opened(paths, tmp_path / "cache")
    assert [path for path, _ in cache.unreadable] == [paths[40]]
    assert "truncated" in cache.unreadable[0][1]
    assert np.flatnonzero(~cache.readable_n).tolist() == [40]
    assert (cache.images_nhwc[40] == 0).all()


def test_more_unreadable_images_are_an_error_that_names_ten(tmp_path: Path) -> None:
    paths = write_images(tmp_path / "images", 40)
    for path in paths[:12]:
        truncate(path)
    with pytest.raises(InputError, match=r"(?s)12 of 40 images cannot be read; at most 1\.00%.*0000\.png: .*trunc.*and 2 more"):
        opened(paths, tmp_path / "cache")
    assert caches(tmp_path / "cache") == []


def test_the_rule_on_unreadable_images_holds_for_a_ready_cache_too(tmp_path: Path) -> None:
    paths = write_images(tmp_path / "images", 10)
    Path(paths[3]).unlink()
    assert len(opened(paths, tmp_path / "cache", accepted=0.5).unreadable) == 1
    with pytest.raises(InputError, match=r"1 of 10 images.*\n.*0003\.png: cannot be read \(No such file"):
        opened(paths, tmp_path / "cache")


def test_a_killed_builder_is_resumed(tmp_path: Path) -> None:
    paths = write_images(tmp_path / "images", 400)
    truncate(paths[0])
    killed = child(
        paths,
        tmp_path / "cache",
        before="cache_builder._NOTE_SECONDS = 0",
        progress=f"lambda done, total: done >= 100 and os.kill(os.getpid(), {int(signal.SIGKILL)})",
    )
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert [name[-9:] for name in caches(tmp_path / "cache")] == [".building"]
    calls: list[int] = []
    cache = opened(paths, tmp_path / "cache", progress=lambda done, _: calls.append(done))
    assert calls[0] > 100
    assert [path for path, _ in cache.unreadable] == paths[:1]
    for image_hwc, path in list(zip(cache.images_nhwc, paths, strict=True))[1:]:
        assert np.array_equal(image_hwc, decode(path, PX))


def test_two_builders_at_once_decode_once(tmp_path: Path) -> None:
    paths = write_images(tmp_path / "images", 200)
    start = f"time.sleep(max(0, {time.time() + 1.5} - time.time()))"
    both = [child(paths, tmp_path / "cache", before=start) for _ in range(2)]
    logs = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], logs
    assert sum("decoding 200 of 200" in log for log in logs) == 1
    assert opened(paths, tmp_path / "cache").readable_n.all()


def test_who_waits_for_another_builder_says_so_and_shows_its_progress(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = write_images(tmp_path / "images", 4)
    directory = opened(paths, tmp_path / "cache").directory
    building = directory.rename(directory.with_name(directory.name + ".building"))
    np.array([1, 1, 1, 0], np.uint8).tofile(building / "state.u8")
    calls: list[tuple[int, int]] = []
    options = {"progress": lambda done, total: calls.append((done, total))}
    waiter = threading.Thread(target=opened, args=(paths, tmp_path / "cache"), kwargs=options)
    with caplog.at_level(logging.INFO), only_one_builder(directory, 4, None):
        waiter.start()
        deadline = time.monotonic() + 60
        while not calls:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert f"waiting for process {os.getpid()}" in caplog.text
        assert set(calls) == {(3, 4)}
    waiter.join(timeout=30)
    assert calls[-1] == (4, 4)


@pytest.mark.parametrize("name", ["pixels.u8", "state.u8", "index.json"])
def test_a_cache_that_was_cut_is_built_again(tmp_path: Path, name: str) -> None:
    paths = write_images(tmp_path / "images", 3)
    cut = opened(paths, tmp_path / "cache").directory / name
    cut.write_bytes(cut.read_bytes()[:-1])
    cache = opened(paths, tmp_path / "cache")
    assert np.array_equal(cache.images_nhwc[2], decode(paths[2], PX))


def test_too_little_disk_is_found_before_anything_is_decoded(tmp_path: Path) -> None:
    paths = write_images(tmp_path / "images", 2)
    with pytest.raises(
        StorageError, match=r"2 images at 100000000 px do not fit.*needs 60,000,000,000,000,000 bytes.* are free"
    ):
        opened(paths, tmp_path / "cache", px=100_000_000)
    assert caches(tmp_path / "cache") == []


def test_too_little_disk_names_the_other_caches_that_could_go(tmp_path: Path) -> None:
    paths = write_images(tmp_path / "images", 2)
    old = opened(paths, tmp_path / "cache").directory
    with pytest.raises(StorageError, match=rf"(?s)Other caches there.*--remove NAME.*\n  {old.name} \([\d,]+ bytes\)"):
        opened(paths, tmp_path / "cache", px=100_000_000)


def test_a_disk_that_fills_up_leaves_no_half_cache(tmp_path: Path) -> None:
    write_images(tmp_path / "images", 300)
    (tmp_path / "small").mkdir()
    code = f"""
import glob, os, shutil
from pathlib import Path
from hpsearch.data.cache import open_or_build
from hpsearch.errors import StorageError
small = Path({str(tmp_path / "small")!r})
usage = shutil.disk_usage
def filled(path):  # somebody else's file comes between the check and the writing
    free = usage(path)
    if not (small / "other").exists():
        (small / "other").write_bytes(bytes(900_000))
    return free
shutil.disk_usage = filled
try:
    open_or_build(sorted(glob.glob({str(tmp_path / "images" / "*")!r})), px=32, cache_dir=small / "cache", num_workers=2,
                  max_unreadable_fraction=0.01)
except StorageError as error:
    print(error, [entry.name for entry in (small / "cache").iterdir() if entry.is_dir()])
"""
    mount = f'mount -t tmpfs -o size=1500k tmpfs {tmp_path / "small"} 2>/dev/null || exit 77; exec {sys.executable} -c "$CODE"'
    if shutil.which("unshare") is None:
        pytest.skip("no unshare to mount a small file system with")
    done = subprocess.run(
        ["unshare", "-Urm", "bash", "-c", mount], capture_output=True, text=True, env={**os.environ, "CODE": code}, check=False
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("may not mount a small file system here")
    assert "No space left on device; the image cache needs 921,600 bytes" in done.stdout, done.stderr
    assert done.stdout.strip().endswith("[]")


def test_a_cache_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file/cache: cannot be made"):
        opened(write_images(tmp_path / "images", 1), tmp_path / "file" / "cache")


def test_opening_a_ready_cache_of_500_000_images_costs_little_beside_a_list_of_their_names(tmp_path: Path) -> None:
    num_images = 500_000
    np.ones(estimated_bytes(num_images, 1), np.uint8).tofile(tmp_path / "pixels.u8")
    np.ones(num_images, np.uint8).tofile(tmp_path / "state.u8")
    (tmp_path / "index.json").write_text(json.dumps({"num_images": num_images, "px": 1}))
    names = json.dumps([f"{number}.jpg" for number in range(num_images)])
    assert open_ready(tmp_path).readable_n.sum() == num_images
    opening = min(timeit.repeat(lambda: open_ready(tmp_path), number=1, repeat=5))
    assert opening < min(timeit.repeat(lambda: json.loads(names), number=1, repeat=5)) / 5


def test_the_address_of_a_cache_that_exists_stays() -> None:
    assert address(["/no such/a", "/no such/b\udcff", "/no such/ü"], "rule") == "bfa5b58f8a06-8013394dead0e461"


def test_what_is_no_finished_cache_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="not a finished image cache"):
        open_ready(tmp_path)


def test_builders_import_neither_torch_nor_pandas() -> None:
    code = (
        "import sys, hpsearch.data.cache, hpsearch.data.cache_builder; assert not {'torch', 'pandas', 'ray'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
