"""The image is pinned, runs without root, and names only files that there are."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "cluster" / "docker" / "Dockerfile"
TEXT = DOCKERFILE.read_text()


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_base_and_packages_are_pinned() -> None:
    bases = re.findall(r"^FROM (\S+)", TEXT, re.MULTILINE)
    assert all(re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base) for base in bases)
    assert "PIP_CONSTRAINT=constraints.txt pip install --no-cache-dir '.[s3]'" in TEXT


def test_it_runs_without_root_and_holds_no_token() -> None:
    assert re.findall(r"^USER (\S+)", TEXT, re.MULTILINE) == ["1000"]
    assert "RAY_AUTH_MODE=token" in TEXT
    assert not re.search(r"RAY_AUTH_TOKEN\b", TEXT)


def test_everything_that_is_copied_exists_and_is_sent_to_docker() -> None:
    copied = {name for line in re.findall(r"^COPY (.+) \S+$", TEXT, re.MULTILINE) for name in line.split()}
    assert {name for name in copied if not (ROOT / name).exists()} == set()
    sent = set(re.findall(r"^!(\S+)$", DOCKERFILE.with_name("Dockerfile.dockerignore").read_text(), re.MULTILINE))
    assert copied == sent


def test_container_asks_for_gpus_and_finds_the_driver() -> None:
    set_there = dict(re.findall(r"^(?:ENV +| +)(\w+)=(\S+)", TEXT, re.MULTILINE))
    assert set_there["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert set_there["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"
    assert set_there["LD_LIBRARY_PATH"] == "/usr/local/nvidia/lib64"  # where GKE mounts it


def test_there_is_a_compiler_for_triton() -> None:
    (installed,) = re.findall(r"apt-get install(.*?)&&", TEXT, re.DOTALL)
    assert {"gcc", "libc6-dev"} <= set(installed.split())
