"""A run directory on a small file system of its own, which somebody else fills while the study goes on."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.campaign import TRIES, moment, study_program

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

FULL_SECONDS = 8.0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("may not mount a small file system here")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(file: Path) -> None:
    """Writes until nothing fits any more."""
    with file.open("wb", buffering=0) as stream:
        size = 1 << 16
        while size:
            try:
                stream.write(bytes(size))
            except OSError:
                size //= 2


@pytest.mark.parametrize("seed", range(TRIES))
def test_a_disk_that_is_full_for_a_while_costs_nothing(small_disk: Path, seed: int) -> None:
    with study_program(small_disk / "run") as study:
        driver = study.start()
        study.wait_for_rungs(driver, moment(400 + seed))
        fill(small_disk / "other")
        time.sleep(FULL_SECONDS)
        (small_disk / "other").unlink()
        said, _ = driver.communicate(timeout=300)
        assert driver.returncode == 0, said
        study.check(num_faults=1)


def test_a_disk_that_stays_full_ends_the_run_and_the_same_command_goes_on(small_disk: Path) -> None:
    with study_program(small_disk / "run") as study:
        driver = study.start()
        study.wait_for_rungs(driver, 5)
        fill(small_disk / "other")
        said, _ = driver.communicate(timeout=400)
        assert driver.returncode != 0
        assert "StorageError" in said
        assert "No space left on device" in said
        (small_disk / "other").unlink()
        study.finish()
        study.check(num_faults=1)
