"""The SLURM script with a SLURM of its own: exit codes pass, a Ray that does not start is noticed, the time limit requeues."""

import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "cluster" / "slurm" / "hpsearch.sbatch"
SRUN = """#!/bin/bash
while [ "${1#--}" != "$1" ]; do shift; done
case "$1" in hostname) echo "127.0.0.1 10.1.2.3" ;; *) exec "$@" ;; esac
"""
SCONTROL = """#!/bin/bash
case "$1" in show) printf 'node1\\nnode2\\n' ;; *) echo "$@" >>scontrol.log ;; esac
"""
# What symmetric-run does on the head, given what it was given.
RAY = """#!/bin/bash
echo "$@" >ray.log
[ -e broken ] && exit 0
while [ "$1" != -- ]; do shift; done
shift
"$@"
"""
PYTHON = """#!/bin/bash
echo "$@" >python.log
env >python.env
trap 'exit 130' USR1
for _ in $(seq "$(cat seconds)0"); do sleep 0.1; done
exit "$(cat code)"
"""


class Slurm:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in {"srun": SRUN, "scontrol": SCONTROL, "ray": RAY, "python": PYTHON}.items():
            file = folder / "bin" / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
            file.chmod(file.stat().st_mode | stat.S_IXUSR)
        self.write("code", "0")
        self.write("seconds", "0")
        self.environment = {"SLURM_GPUS_ON_NODE": "8"}

    def write(self, name: str, text: str = "") -> None:
        (self.folder / name).write_text(text)

    def read(self, name: str) -> str:
        return (self.folder / name).read_text()

    def start(self) -> subprocess.Popen[str]:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "SLURM_"))},
            "HOME": str(self.folder / "home"),
            "HPSEARCH_BIN": str(self.folder / "bin"),
            "RAY_AUTH_TOKEN": "to be dropped",
            "SLURM_SUBMIT_DIR": str(self.folder),
            "SLURM_JOB_ID": str(os.getpid()),
            "SLURM_JOB_NODELIST": "node[1-2]",
            "SLURM_JOB_NUM_NODES": "2",
            **self.environment,
        }
        words = ["bash", str(SCRIPT), "--data", "two words", "--name", "study"]
        return subprocess.Popen(words, env=environment, cwd=self.folder, stderr=subprocess.PIPE, text=True)

    def run(self) -> tuple[int, str]:
        process = self.start()
        _, stderr = process.communicate(timeout=30)
        return process.returncode, stderr


@pytest.fixture
def slurm(tmp_path: Path) -> Slurm:
    return Slurm(tmp_path)


def test_shellcheck_has_nothing_to_say() -> None:
    assert subprocess.run(["bash", "-n", str(SCRIPT)], check=False).returncode == 0
    shellcheck = Path(sys.executable).parent / "shellcheck"
    done = subprocess.run([shellcheck, str(SCRIPT)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_job_is_exclusive_with_all_memory_comes_back_and_is_warned() -> None:
    asked = {line.removeprefix("#SBATCH ") for line in SCRIPT.read_text().splitlines() if line.startswith("#SBATCH ")}
    assert {"--ntasks-per-node=1", "--exclusive", "--mem=0", "--requeue", "--signal=B:USR1@300"} <= asked


def test_commands_ask_for_gpus_since_steps_get_no_others() -> None:
    readme = (SCRIPT.parents[1] / "README.md").read_text()
    commands = re.findall(r"sbatch --.*hpsearch\.sbatch", SCRIPT.read_text() + readme)
    assert len(commands) == 2
    assert all("--gpus-per-node=" in command for command in commands)


def test_job_without_gpus_is_told_so_and_runs(slurm: Slurm) -> None:
    assert slurm.run() == (0, "")
    slurm.environment = {}
    code, stderr = slurm.run()
    assert code == 0
    assert "asked for no GPUs, so trials train on CPUs" in stderr
    assert "--gpus-per-node=N" in stderr


@pytest.mark.parametrize("code", [0, 2, 3, 130])
def test_exit_code_of_the_run_is_that_of_the_job(slurm: Slurm, code: int) -> None:
    slurm.write("code", str(code))
    assert slurm.run()[0] == code
    assert not (slurm.folder / "scontrol.log").exists()


def test_ray_that_does_not_start_is_an_error_though_it_says_otherwise(slurm: Slurm) -> None:
    slurm.write("broken")
    code, stderr = slurm.run()
    assert code == 4
    assert "Ray did not start on 10.1.2.3" in stderr


def test_options_reach_the_run_and_ray_gets_address_and_nodes(slurm: Slurm) -> None:
    slurm.run()
    assert slurm.read("python.log") == "-m hpsearch.run --address auto --data two words --name study\n"
    words = slurm.read("ray.log").split()
    assert words[0] == "symmetric-run"
    host, port = words[words.index("--address") + 1].split(":")
    assert host == "10.1.2.3"
    assert int(port) not in range(10002, 20000)
    assert words[words.index("--min-nodes") + 1] == "2"


def test_token_is_a_private_file_and_in_no_environment(slurm: Slurm) -> None:
    slurm.run()
    token = slurm.folder / "home" / ".config" / "hpsearch" / "ray_token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert len(token.read_text()) == 64
    environment = slurm.read("python.env")
    assert f"RAY_AUTH_TOKEN_PATH={token}" in environment
    assert token.read_text() not in environment
    assert "to be dropped" not in environment


def test_warning_ahead_of_the_time_limit_ends_the_run_in_order_and_queues_it_again(slurm: Slurm) -> None:
    slurm.write("seconds", "300")
    process = slurm.start()
    deadline = time.monotonic() + 60
    while not list(slurm.folder.glob(".hpsearch-*.pid")) or not (slurm.folder / "python.env").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.2)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(timeout=60) == 130
    assert slurm.read("scontrol.log") == f"requeue {os.getpid()}\n"
    assert not list(slurm.folder.glob(".hpsearch-*"))
