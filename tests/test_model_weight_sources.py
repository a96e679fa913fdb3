from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
import timm
from huggingface_hub import constants
from safetensors.torch import save_file

from hpsearch.errors import InputError
from hpsearch.model import weight_sources
from hpsearch.model.backbones import ModelSpec, build
from hpsearch.model.weight_sources import at_hand, fetch_weights, shared
from hpsearch.model.weights import load_weights
from hpsearch.object_store import ObjectStore
from hpsearch.run_files import MirroredFiles
from tests.s3_server import BUCKET, address, s3_server


def spec(backbone: str) -> ModelSpec:
    return ModelSpec(backbone=backbone, se_reduction=None, image_px=64)


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def put_in_cache(hub_cache: Path, repository: str, backbone: str) -> Path:
    folder = hub_cache / f"models--timm--{repository}"
    file = folder / "snapshots" / ("0" * 40) / "model.safetensors"
    file.parent.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0" * 40)
    save_file(timm.create_model(backbone).state_dict(), file)
    return file


def test_no_weights_need_no_hub() -> None:
    assert fetch_weights("resnet18", "none").file is None


def test_cached_hub_weights_are_found_without_a_network(hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = put_in_cache(hub_cache, "test_resnet.r160_in1k", "test_resnet")
    monkeypatch.setattr(weight_sources, "_unreachable", pytest.fail)
    source = fetch_weights("test_resnet", "in1k")
    assert (source.tag, source.file) == ("test_resnet.r160_in1k", file)


def test_hub_weights_bring_their_normalisation(hub_cache: Path) -> None:
    put_in_cache(hub_cache, "tf_efficientnet_b0.ap_in1k", "tf_efficientnet_b0")
    model = build(spec("tf_efficientnet_b0"))
    assert model.mean_c[0].item() == pytest.approx(0.485)
    report = load_weights(model, spec("tf_efficientnet_b0"), "in1k")
    assert report.tag == "tf_efficientnet_b0.ap_in1k"
    assert model.mean_c.flatten().tolist() == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "http://no-such-host.invalid"])
@pytest.mark.usefixtures("hub_cache")
def test_without_a_hub_the_error_says_soon_what_to_fetch_and_where_to_put_it(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weight_sources, "hf_hub_url", lambda repository, name: f"{endpoint}/{repository}/{name}")
    start = time.perf_counter()
    with pytest.raises(
        InputError, match=r"hf download timm/resnet18\.a1_in1k model\.safetensors.*models--timm--resnet18\.a1_in1k"
    ):
        fetch_weights("resnet18", "in1k")
    assert time.perf_counter() - start < 30  # and not the minutes that the hub's client would try again


@pytest.mark.usefixtures("hub_cache")
def test_offline_mode_of_the_hub_client_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="HF_HUB_OFFLINE is set"):
        fetch_weights("resnet18", "in1k")


def test_a_backbone_without_in1k_weights_names_those_it_has() -> None:
    with pytest.raises(InputError, match=r"saw ImageNet-1k only \(it has vit_base_patch16_dinov3\.lvd1689m"):
        fetch_weights("vit_base_patch16_dinov3", "in1k")


def test_a_missing_weight_file_is_named() -> None:
    with pytest.raises(InputError, match=r"weights 'nowhere\.safetensors': no such file"):
        fetch_weights("resnet18", "nowhere.safetensors")


def test_a_shared_file_is_linked_once_and_keeps_its_content(tmp_path: Path) -> None:
    file = tmp_path / "given" / "mine.safetensors"
    file.parent.mkdir()
    file.write_bytes(b"first")
    source = fetch_weights("resnet18", str(file))
    shared_source = shared(source, tmp_path / "run" / "weights")
    assert shared_source.file is not None
    assert shared_source.tag == str(file)
    assert shared_source.file.samefile(file)
    file.unlink()
    file.write_bytes(b"second")
    assert shared(source, tmp_path / "run" / "weights").file == shared_source.file
    assert shared_source.file.read_bytes() == b"first"


def test_a_shared_file_reaches_a_machine_through_an_object_store(tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(b"tensors")
    root = tmp_path / "run"
    source = shared(fetch_weights("resnet18", str(tmp_path / "weights.pth")), root / "weights")
    with s3_server() as server:
        files = MirroredFiles(ObjectStore(address(server, f"{BUCKET}/run")), root)
        files.send_below(root)
        (tmp_path / "weights.pth").unlink()
        shutil.rmtree(root)
        there = at_hand(source, files)
    assert there == source
    assert there.file.read_bytes() == b"tensors"


def test_a_file_on_another_disk_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    file = tmp_path / "mine.safetensors"
    file.write_bytes(b"content")
    copied = shared(fetch_weights("resnet18", str(file)), tmp_path / "weights").file
    assert copied is not None
    assert copied.read_bytes() == b"content"
    assert [path.name for path in (tmp_path / "weights").iterdir()] == [copied.name]
