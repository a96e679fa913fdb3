"""Commands on a full disk: exit code 4, the path in the message, and nothing half-written.

A small tmpfs stands for the disk; mounting it takes a mount namespace of its own, so the tests skip where that is forbidden.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.small_set import SPACE, make_competition

MAY_NOT_MOUNT = 77


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    root = tmp_path_factory.mktemp("inputs")
    (root / "space.yaml").write_text(SPACE)
    return ["--data", make_competition(root / "data"), "--space", root / "space.yaml"]


def on_small_disk(mount_point: Path, kib: int, *words: object) -> tuple[str, list[str]]:
    """Runs `python words` beside a tmpfs of `kib` that must end with exit code 4.

    Returns:
        What it said on stderr, and the paths that it left on the disk.
    """
    if shutil.which("unshare") is None:
        pytest.skip("no unshare to mount a small file system with")
    mount_point.mkdir()
    mount = f"mount -t tmpfs -o size={kib}k tmpfs {mount_point} 2>/dev/null || exit {MAY_NOT_MOUNT}"
    command = " ".join(map(str, [sys.executable, *words]))
    done = subprocess.run(
        ["unshare", "-Urm", "bash", "-c", f"{mount}; {command}; code=$?; find {mount_point} -mindepth 1; exit $code"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        timeout=200,
        check=False,
    )
    if done.returncode == MAY_NOT_MOUNT or done.stderr.startswith("unshare"):
        pytest.skip("may not mount a small file system here")
    assert done.returncode == 4, done.stdout + done.stderr
    return done.stderr, [line for line in done.stdout.splitlines() if line.startswith(str(mount_point))]


@pytest.mark.slow
def test_a_cache_directory_that_is_too_small_is_named_and_left_empty(tmp_path: Path, inputs: list[object]) -> None:
    cache_dir = tmp_path / "small" / "cache"
    said, left = on_small_disk(
        tmp_path / "small", 100, "-m", "hpsearch.trial", *inputs, "--device", "cpu", "--set", f"data.cache_dir={cache_dir}"
    )
    assert f"{cache_dir}: 72 images at 32 px do not fit" in said
    assert "--set data.cache_dir=DIR" in said
    assert "Traceback" not in said
    assert [path for path in left if not path.endswith(".lock")] == [str(cache_dir)]


def test_a_checkpoint_that_does_not_fit_blames_the_disk_and_leaves_the_last_one(tmp_path: Path) -> None:
    checkpoint = tmp_path / "small" / "c.pt"
    program = written(
        tmp_path / "program.py",
        f"""
import torch
from hpsearch.train.checkpoint import write_checkpoint
for size in (1_000, 100_000):
    write_checkpoint(Path({str(checkpoint)!r}), "me", {{"weights": torch.zeros(size), "others": [torch.zeros(50)] * 5}})
""",
    )
    said, left = on_small_disk(tmp_path / "small", 300, program)
    assert f"cannot write or read {checkpoint}: No space left on device" in said
    assert left == [str(checkpoint)]


def test_an_export_that_does_not_fit_blames_the_disk_and_leaves_nothing(tmp_path: Path) -> None:
    program = written(
        tmp_path / "program.py",
        f"""
import torch
from hpsearch.final.export import write_export
write_export(Path({str(tmp_path / "small")!r}), torch.nn.Linear(500, 500), None)
""",
    )
    said, left = on_small_disk(tmp_path / "small", 300, program)
    assert f"cannot write {tmp_path / 'small' / 'model.safetensors'}: " in said
    assert "No space left on device" in said
    assert left == []


def written(file: Path, code: str) -> Path:
    """A program that ends as a command line does, whatever `code` raises."""
    body = "".join(f"    {line}\n" for line in code.splitlines())
    head = "import sys\nfrom pathlib import Path\nfrom hpsearch.cli import guarded\ndef command(argv):\n"
    file.write_text(f"{head}{body}    return 0\nsys.exit(guarded(command))\n")
    return file


@pytest.mark.slow
def test_a_run_directory_that_is_too_small_is_named(tmp_path: Path, inputs: list[object]) -> None:
    said, left = on_small_disk(
        tmp_path / "small", 8, "-m", "hpsearch.run", *inputs, "--out", tmp_path / "small", "--name", "n", "--trials", 1
    )
    assert f"{tmp_path / 'small' / 'n'}" in said
    assert "No space left on device" in said
    assert "Traceback" not in said
    assert not [path for path in left if path.endswith(".partial")]
