"""Every command of the README runs as it stands; those of minutes are slow."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from hpsearch.search.space import Space
from hpsearch.train.vocabulary import TrainVocabulary

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [line.partition("  #")[0].strip() for block in BLOCKS for line in block.splitlines() if line.strip()]
RUNS = [command for command in COMMANDS if command.startswith("python -m")]
IN_TEXT = [command for command in re.findall(r"`(python -m hpsearch\.[^`]+)`", README) if "|" not in command]
SECONDS = 900


def shell(command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", "-c", command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )


def test_every_command_names_a_module_with_these_options() -> None:
    assert len(RUNS) >= 7
    for command in RUNS + IN_TEXT:
        module, *words = command.split()[2:]
        if module == "hpsearch.bench":
            module = f"{module} {words[0]}"
        shown = shell(f"python -m {module} --help", ROOT)
        assert shown.returncode == 0, command
        for option in (word for word in words if word.startswith("--")):
            assert re.search(rf"{option}\b", shown.stdout), f"{option} of {command}"


def test_the_space_file_that_it_shows_is_one(tmp_path: Path) -> None:
    (shown,) = re.findall(r"^```yaml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    (tmp_path / "space.yaml").write_text(shown)
    space = Space.load(tmp_path / "space.yaml", TrainVocabulary())
    assert len(space.start) == 1
    assert space.notes == ()


def test_every_make_target_exists() -> None:
    targets = {command.split()[1] for command in COMMANDS if command.startswith("make ")}
    assert {"install", "run", "test", "test-all"} <= targets
    for target in targets:
        assert shell(f"make --dry-run {target}", ROOT).returncode == 0


def test_every_file_that_is_linked_or_listed_exists() -> None:
    files = re.findall(r"\]\(([\w./]+)\)", README) + re.findall(r"`(hpsearch/[\w./]+\.py)`", README)
    assert files
    assert [file for file in files if not (ROOT / file).exists()] == []


@pytest.mark.slow
@pytest.mark.timeout(3 * SECONDS)
def test_the_commands_run_in_their_order(tmp_path: Path, faces: Path) -> None:
    here = tmp_path / "project"
    here.mkdir()
    shutil.copytree(ROOT / "search_spaces", here / "search_spaces")
    (tmp_path / "shared" / "data").mkdir(parents=True)
    (tmp_path / "shared" / "data" / "faces").symlink_to(faces)
    for command in RUNS:
        done = shell(command, here)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    submission = pd.read_csv(here / "runs" / "faces" / "submission.csv")
    pd.testing.assert_frame_equal(submission, pd.read_csv(here / "s.csv"), rtol=0, atol=1e-6)
    assert len(submission) == 806
