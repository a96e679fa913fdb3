from dataclasses import replace
from pathlib import Path

import pytest
import timm
from safetensors.torch import save_file

from hpsearch.errors import InputError
from hpsearch.job.start_weights import asked_for, check_start_weights, fetch_start_weights
from hpsearch.model.weight_sources import WeightsSource
from hpsearch.search.space import Space
from hpsearch.train.vocabulary import TrainVocabulary

LR = {"cnn": {"low": 1e-4, "high": 1e-2}, "convnext": {"low": 1e-5, "high": 1e-3}}


def space(choices: object, **fixed: object) -> Space:
    searched = {"backbone": {"choices": ["resnet18", "convnext_tiny"]}, "lr": LR}
    return Space.from_dict({**searched, **({"weights": choices} if choices else {}), "fixed": fixed}, TrainVocabulary())


def test_every_backbone_asks_for_every_choice_but_none() -> None:
    assert asked_for(space({"choices": ["none", "in1k"]})) == [("resnet18", "in1k"), ("convnext_tiny", "in1k")]


def test_a_choice_for_one_backbone_is_asked_for_with_that_one_only() -> None:
    of_convnext = {"choices": ["in1k", "fb_in22k_ft_in1k"], "when": {"backbone": ["convnext_tiny"]}}
    assert asked_for(space(of_convnext)) == [("convnext_tiny", "in1k"), ("convnext_tiny", "fb_in22k_ft_in1k")]


def test_fixed_weights_are_asked_for_with_every_backbone() -> None:
    assert asked_for(space(None, weights="in1k")) == [("resnet18", "in1k"), ("convnext_tiny", "in1k")]


def test_disputed_weights_are_refused_unless_the_policy_is_any() -> None:
    disputed = space({"choices": ["fb_in22k_ft_in1k"], "when": {"backbone": ["convnext_tiny"]}})
    with pytest.raises(InputError, match="fb_in22k_ft_in1k of convnext_tiny"):
        check_start_weights(disputed, "in1k")
    check_start_weights(disputed, "any")


def test_files_are_put_where_every_node_finds_them(tmp_path: Path) -> None:
    file = tmp_path / "mine.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), file)
    of_one = Space.from_dict(
        {"lr": {"low": 1e-4, "high": 1e-2}, "fixed": {"backbone": "test_resnet", "weights": str(file)}}, TrainVocabulary()
    )
    told: list[WeightsSource] = []
    found = fetch_start_weights(of_one, tmp_path / "run" / "weights", told.append)
    assert [source.file for source in told] == [file]
    shared = found["test_resnet", str(file)].file
    assert shared is not None
    assert shared.parent == tmp_path / "run" / "weights"
    assert shared.read_bytes() == file.read_bytes()


def test_a_later_driver_uses_what_lies_in_the_run_and_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "packaged.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), file)
    source = WeightsSource(tag="test_resnet from a package", file=file, normalised_as="r160_in1k", named_by_order=True)
    of_one = Space.from_dict(
        {"lr": {"low": 1e-4, "high": 1e-2}, "fixed": {"backbone": "test_resnet", "weights": "in1k"}}, TrainVocabulary()
    )
    directory = tmp_path / "run" / "weights"
    monkeypatch.setattr("hpsearch.job.start_weights.fetch_weights", lambda backbone, weights: source)
    first = fetch_start_weights(of_one, directory, lambda source: None)
    file.unlink()
    monkeypatch.setattr("hpsearch.job.start_weights.fetch_weights", lambda *asked: pytest.fail(f"asked for {asked}"))
    moved = directory.rename(tmp_path / "elsewhere")
    again = fetch_start_weights(of_one, moved, lambda source: None)
    kept = first["test_resnet", "in1k"]
    assert kept.file is not None
    assert again == {("test_resnet", "in1k"): replace(kept, file=moved / kept.file.name)}


@pytest.mark.parametrize("content", ["", "[1]", '[{"backbone": "a", "weights": "b", "file": "../x"}]'])
def test_weights_whose_list_is_damaged_are_found_again(content: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), file)
    directory = tmp_path / "weights"
    directory.mkdir()
    (directory / "found.json").write_text(content)
    of_one = Space.from_dict(
        {"lr": {"low": 1e-4, "high": 1e-2}, "fixed": {"backbone": "test_resnet", "weights": str(file)}}, TrainVocabulary()
    )
    assert fetch_start_weights(of_one, directory, lambda source: None)["test_resnet", str(file)].tag == str(file)
