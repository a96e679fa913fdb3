"""The files for `ray up` pass Ray's own validation, and say what Ray's defaults would get wrong."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

FOLDER = Path(__file__).parents[1] / "cluster" / "ray_up"
FILES = sorted(FOLDER.glob("*.yaml"))
CLOUDS = [FOLDER / "aws.yaml", FOLDER / "gcp.yaml"]
# Ray lets any key pass here, so that a typing error would be ignored in silence.
PROVIDER_KEYS = {
    "aws": {"type", "region", "availability_zone", "cache_stopped_nodes"},
    "gcp": {"type", "region", "availability_zone", "project_id", "cache_stopped_nodes"},
    "local": {"type", "head_ip", "worker_ips"},
}
NODE_KEYS = {
    "aws": {"InstanceType", "ImageId", "BlockDeviceMappings", "MetadataOptions", "InstanceMarketOptions"},
    "gcp": {"machineType", "disks", "scheduling"},
}


def read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(file.read_text())
    return content


def prepared(content: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = prepare_config(content)
    validate_config(config)
    return config


def start_commands(config: dict[str, Any]) -> dict[str, str]:
    return {role: " ".join(config[f"{role}_start_ray_commands"]) for role in ("head", "worker")}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_file_passes_rays_own_validation(file: Path) -> None:
    prepared(read(file))


def test_validation_finds_a_mistyped_key() -> None:
    with pytest.raises(Exception, match="idle_timeout"):
        prepared({**read(CLOUDS[0]), "idle_timeout_minuets": 5})


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_provider_and_node_keys_are_known(file: Path) -> None:
    content = read(file)
    kind = content["provider"]["type"]
    assert set(content["provider"]) <= PROVIDER_KEYS[kind]
    for node in content.get("available_node_types", {}).values():
        assert set(node["node_config"]) <= NODE_KEYS[kind]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_default_installs_another_ray(file: Path) -> None:
    config = prepared(read(file))
    assert config["setup_commands"] == []
    assert "ray-wheels" not in json.dumps(config)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_dashboard_stays_on_loopback_and_memory_with_the_page_cache(file: Path) -> None:
    commands = start_commands(read(file))
    assert "--dashboard-host=127.0.0.1" in commands["head"]
    for command in commands.values():
        assert "0.0.0.0" not in command
        assert "--object-store-memory=2000000000" in command
        assert "--object-spilling-directory=" in command


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_token_is_a_private_file_on_every_node(file: Path) -> None:
    content = read(file)
    assert any(target.endswith(".config/hpsearch/ray_token") for target in content["file_mounts"])
    for command in start_commands(content).values():
        assert "chmod 600" in command
        # On machines without the image, whose environment has these two already.
        assert content["provider"]["type"] != "local" or "RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=" in command
    assert not re.search(r"RAY_AUTH_TOKEN\b", file.read_text())


@pytest.mark.parametrize("file", CLOUDS, ids=lambda file: file.stem)
def test_head_is_on_demand_and_runs_no_trial(file: Path) -> None:
    content = read(file)
    head = content["available_node_types"][content["head_node_type"]]
    assert head["resources"] == {"CPU": 0, "GPU": 0}
    assert "SPOT" not in json.dumps(head).upper()
    assert "--num-cpus=0 --num-gpus=0" in start_commands(content)["head"]


@pytest.mark.parametrize("file", CLOUDS, ids=lambda file: file.stem)
def test_spot_workers_come_first_and_idle_ones_go(file: Path) -> None:
    content = read(file)
    types = {name: node for name, node in content["available_node_types"].items() if name != content["head_node_type"]}
    assert max(types, key=lambda name: (types[name]["priority"], name)) == max(types) == "worker_spot"
    assert types["worker_spot"]["resources"] == types["worker_on_demand"]["resources"]
    assert "SPOT" in json.dumps(types["worker_spot"]).upper()
    assert "SPOT" not in json.dumps(types["worker_on_demand"]).upper()
    assert all(node["min_workers"] == 0 for node in types.values())
    assert content["provider"]["cache_stopped_nodes"] is False
    assert content["idle_timeout_minutes"] <= 5


FAKES = {
    "sudo": '"$@"',
    "mountpoint": '[ -e "mounted$2" ]',
    "lsblk": "cat disks",
    "mkfs.ext4": 'echo mkfs "$@" >>done.log; [ ! -e busy ]',
    "mount": 'echo mount "$@" >>done.log',
}


class Machine:
    """An EC2 machine, as far as the command that finds a place for its caches can tell."""

    def __init__(self, folder: Path, *, disks: str = "", mounted: tuple[str, ...] = (), busy: bool = False) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        (folder / "disks").write_text(disks)
        for path in mounted:
            (folder / "mounted" / path).mkdir(parents=True)
        if busy:
            (folder / "busy").touch()
        for name, body in FAKES.items():
            write_program(folder / "bin" / name, body)

    def find_cache_disk(self) -> list[str]:
        """What it did, once the command has ended without an error, as Ray asks of each."""
        (command,) = (line for line in read(FOLDER / "aws.yaml")["initialization_commands"] if "lsblk" in line)
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        subprocess.run(["bash", "-c", command], cwd=self.folder, env={"PATH": path}, check=True)
        log = self.folder / "done.log"
        return log.read_text().splitlines() if log.exists() else []


def write_program(file: Path, body: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/bash\n{body}\n")
    file.chmod(0o755)


EBS, NVME = "/dev/nvme0n1 Amazon Elastic Block Store\n", "/dev/nvme1n1 Amazon EC2 NVMe Instance Storage\n"


def test_volume_that_a_deep_learning_image_has_made_is_used_as_it_is(tmp_path: Path) -> None:
    machine = Machine(tmp_path, disks=EBS + NVME, mounted=("opt/dlami/nvme",), busy=True)
    assert machine.find_cache_disk() == ["mount --bind /opt/dlami/nvme /mnt/local"]


def test_bare_disk_is_formatted_and_mounted_once(tmp_path: Path) -> None:
    done = ["mkfs -q -F /dev/nvme1n1", "mount /dev/nvme1n1 /mnt/local"]
    assert Machine(tmp_path / "new", disks=EBS + NVME).find_cache_disk() == done
    assert Machine(tmp_path / "again", disks=EBS + NVME, mounted=("mnt/local",)).find_cache_disk() == []


def test_machine_without_a_disk_of_its_own_or_with_a_busy_one_stays(tmp_path: Path) -> None:
    assert Machine(tmp_path / "head", disks=EBS).find_cache_disk() == []
    assert Machine(tmp_path / "busy", disks=EBS + NVME, busy=True).find_cache_disk() == ["mkfs -q -F /dev/nvme1n1"]


@pytest.mark.parametrize("role", ["head", "worker"])
def test_submitted_commands_find_the_python_of_machines_of_your_own(role: str, tmp_path: Path) -> None:
    write_program(tmp_path / ".venv" / "bin" / "python", "")
    write_program(tmp_path / ".venv" / "bin" / "ray", f"command -v python >{tmp_path / 'found'}")
    start = read(FOLDER / "onprem.yaml")[f"{role}_start_ray_commands"][-1].replace("/shared/hpsearch", str(tmp_path))
    subprocess.run(["bash", "-c", start], check=True)
    assert (tmp_path / "found").read_text().strip() == str(tmp_path / ".venv" / "bin" / "python")
