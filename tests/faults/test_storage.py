"""A run directory on a file system of its own, which somebody else fills, or unmounts, while the study goes on."""

import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.campaign import FAULTS_PER_STUDY, PATIENCE, STUDIES, moments, study_program

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def mount(*words: object) -> None:
    """Mounts, or skips the test."""
    done = subprocess.run(["mount", *map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"may not mount a file system here: {done.stderr.strip()}")


def unmount(directory: Path) -> None:
    """Takes it away at once, whatever is open there."""
    subprocess.run(["umount", "--lazy", str(directory)], check=True)


@dataclass
class Disk:
    """A small file system at `path`."""

    store: Path
    path: Path

    def fill(self) -> None:
        """Writes until nothing fits any more."""
        with (self.path / "other").open("wb", buffering=0) as stream:
            size = 1 << 16
            while size:
                try:
                    stream.write(bytes(size))
                except OSError:
                    size //= 2

    def free(self) -> None:
        (self.path / "other").unlink()

    def take_away(self) -> None:
        """Its directory is empty from now on; what is open there stays open."""
        unmount(self.path)

    def check_empty(self) -> None:
        """While it is away: whatever is written in its place is hidden when it returns. Of no use is only what Tune keeps."""
        written = [path for path in self.path.rglob("*") if path.is_file() and ".tune" not in path.parts]
        assert written == [], "written in the place of the lost disk"

    def bring_back(self) -> None:
        mount("--bind", self.store, self.path)

    @contextmanager
    def suffering(self, fault: str) -> Iterator[None]:
        """It is `full`, or `gone`, meanwhile."""
        if fault == "full":
            self.fill()
            yield
            self.free()
        else:
            self.take_away()
            yield
            self.check_empty()
            self.bring_back()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "store", tmp_path / "disk")
    disk.store.mkdir()
    disk.path.mkdir()
    mount("-t", "tmpfs", "-o", "size=4m", "tmpfs", disk.store)
    disk.bring_back()
    yield disk
    with suppress(subprocess.CalledProcessError):  # it may be away
        disk.take_away()
    unmount(disk.store)


@pytest.mark.parametrize("seed", STUDIES)
@pytest.mark.parametrize("fault", ["full", "gone"])
def test_a_disk_that_is_full_or_gone_for_a_while_costs_nothing(disk: Disk, fault: str, seed: int) -> None:
    with study_program(disk.path / "run") as study:
        driver = study.start()
        for moment in moments(fault, seed):
            study.wait_for_rungs(driver, moment)
            with disk.suffering(fault):
                time.sleep(random.Random(moment).uniform(0.5, 4))
        study.wait(driver)
        study.check(f"the disk is {fault} for some seconds", FAULTS_PER_STUDY)


@pytest.mark.parametrize("fault", ["full", "gone"])
def test_a_disk_that_stays_full_or_gone_ends_the_run_and_the_same_command_goes_on(disk: Disk, fault: str) -> None:
    with study_program(disk.path / "run", patience=PATIENCE) as study:
        driver = study.start()
        study.wait_for_rungs(driver, 5)
        with disk.suffering(fault):
            said, _ = driver.communicate(timeout=400)
            assert driver.returncode == 4, said
            assert said.splitlines()[-1].startswith("hpsearch: ")
            assert ("No space left on device" in said) == (fault == "full")
        study.finish()
        study.check(f"the disk stays {fault}", 1)
