"""What a node answers of itself, asked in this process."""

import os
import sys
from pathlib import Path

import pytest

from hpsearch.execute import node_probe
from hpsearch.execute.node_probe import NodeNeeds, NodeProbe, own_versions, probe_node
from hpsearch.run_files import SharedFiles


def ask(folder: Path, needs: NodeNeeds | None = None, num_gpus: int = 0, secret: str = "secret") -> NodeProbe:
    return probe_node("a", str(folder), secret, SharedFiles(), needs, num_gpus)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run directory in which the driver has left its word."""
    (tmp_path / "driver").write_text("secret")
    return tmp_path


@pytest.fixture
def torch_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module `torch` that stands in for one with other GPUs than this machine's."""
    monkeypatch.setenv("PYTHONPATH", str(folder / "modules"))
    (folder / "modules").mkdir()
    return folder / "modules" / "torch.py"


TORCH = """
class cuda:
    device_count = lambda: {count}
    get_device_name = lambda number: "NVIDIA T{count}"
class version:
    cuda = "13.0"
import os
assert "CUDA_VISIBLE_DEVICES" not in os.environ
"""


def test_node_answers_whether_it_sees_what_the_driver_wrote(folder: Path) -> None:
    assert ask(folder).problem == ""
    assert (folder / "node-a").is_file()
    assert ask(folder, secret="another secret").problem == "reads something else there"
    assert "No such file" in ask(folder / "not mounted").problem


def test_node_that_trains_nothing_is_asked_for_its_versions_alone(folder: Path) -> None:
    probe = ask(folder)
    assert (probe.data, probe.cache, probe.gpus, probe.complaints) == ("–", "–", "–", ())
    assert probe.versions == own_versions()
    assert probe.versions.python == ".".join(map(str, sys.version_info[:3]))


def test_images_that_a_node_cannot_read_are_counted_and_the_first_is_named(folder: Path) -> None:
    missing = str(folder / "2.jpg")
    probe = ask(folder, NodeNeeds(images=(str(folder / "driver"), missing)))
    assert probe.data == "1/2 missing"
    assert probe.complaints[0].startswith(f"1 of 2 images that were looked for cannot be read, {missing} first.")
    assert ask(folder, NodeNeeds(images=(str(folder / "driver"),))).data == "visible"


def test_cache_directory_is_made_and_its_free_disk_told(folder: Path) -> None:
    probe = ask(folder, NodeNeeds(cache_dir=str(folder / "cache"), cache_bytes={"64px-a-": 1}))
    assert probe.complaints == ()
    assert probe.cache.endswith("GiB free")
    assert list((folder / "cache").iterdir()) == []


def test_cache_directory_that_cannot_be_written_is_told(folder: Path) -> None:
    probe = ask(folder, NodeNeeds(cache_dir=str(folder / "driver")))
    assert probe.cache == "not writable"
    assert "cannot be written" in probe.complaints[0]


def make_cache(directory: Path) -> None:
    directory.mkdir(parents=True)
    (directory / "index.json").touch()


def test_disk_must_hold_the_caches_that_are_not_there_yet(folder: Path) -> None:
    needs = NodeNeeds(cache_dir=str(folder / "cache"), cache_bytes={"64px-a-": 2**60, "128px-a-": 1})
    make_cache(folder / "cache" / "64px-b-2")  # of other images
    (complaint,) = ask(folder, needs).complaints
    assert "decoded images take" in complaint
    assert "(64px, 128px)" in complaint
    make_cache(folder / "cache" / "64px-a-2")
    assert ask(folder, needs).complaints == ()


def test_gpus_are_counted_by_torch_though_ray_hides_them(
    folder: Path, torch_says: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    torch_says.write_text(TORCH.format(count=2))
    probe = ask(folder, num_gpus=2)
    assert (probe.gpus, probe.complaints) == ("2 × NVIDIA T2", ())
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


def test_fewer_gpus_than_ray_hands_out_are_told(folder: Path, torch_says: Path) -> None:
    torch_says.write_text(TORCH.format(count=0))
    probe = ask(folder, num_gpus=1)
    assert probe.gpus == "0 seen"
    assert "Ray has 1 GPU there, and torch (CUDA 13.0) sees 0" in probe.complaints[0]


def test_torch_that_cannot_be_loaded_is_told_with_its_reason(folder: Path, torch_says: Path) -> None:
    torch_says.write_text("raise ImportError('libcudart.so.13: cannot open shared object file')")
    probe = ask(folder, num_gpus=1)
    assert probe.gpus == "torch fails"
    assert "libcudart.so.13: cannot open shared object file" in probe.complaints[0]


def test_torch_that_hangs_is_not_waited_for(folder: Path, torch_says: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_probe, "GPU_SECONDS", 0.5)
    torch_says.write_text("import time; time.sleep(60)")
    assert ask(folder, num_gpus=1).gpus == "no answer"
