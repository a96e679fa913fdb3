"""Every shipped space file: it reads, it says what it is for, and each of its start points trains."""

from pathlib import Path

import numpy as np
import pytest
import torch
from timm.layers import SEModule

from hpsearch.cli import SPACES
from hpsearch.config import Params
from hpsearch.data.training_data import LabelledImages, TrainingData
from hpsearch.model.backbones import ModelSpec, build, check_forward
from hpsearch.model.weight_tags import in1k_tags, published
from hpsearch.search.sampler import random_generator
from hpsearch.search.space import Space
from hpsearch.search.space_start import MAX_PARAMETERS
from hpsearch.train.augment import build_augmentation, cache_px
from hpsearch.train.settings import settings_from
from hpsearch.train.trial import TrialTrainer
from hpsearch.train.vocabulary import TrainVocabulary

FILES = sorted(SPACES.glob("*.yaml"))
STARTS = [(file, number) for file in FILES for number in range(file.read_text().count("- {backbone:"))]


def load(file: Path) -> Space:
    return Space.load(file, TrainVocabulary())


def start_of(file: Path, number: int) -> Params:
    space = load(file)
    return space.draw(random_generator(0, number), space.start[number])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_header_says_purpose_command_cost_and_result(file: Path) -> None:
    header = [line for line in file.read_text().splitlines() if line.startswith("#")]
    assert [line.split()[1] for line in header[:4]] == ["Purpose:", "Command:", "Cost:", "Result:"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_start_point_is_counted_by_the_tests_below(file: Path) -> None:
    assert len(load(file).start) == len([start for start in STARTS if start[0] == file]) > 0


@pytest.mark.parametrize(("file", "number"), STARTS, ids=lambda part: part.stem if isinstance(part, Path) else str(part))
def test_a_start_point_augments_at_its_own_size(file: Path, number: int) -> None:
    settings = settings_from(start_of(file, number))
    augmentation = build_augmentation(settings.augment, settings.image_px)
    stored = cache_px(settings.augment, settings.image_px)
    images_bchw = torch.randint(0, 256, (2, 3, stored, stored), dtype=torch.uint8)
    assert augmentation(images_bchw, 0, 0).shape == (2, 3, settings.image_px, settings.image_px)


@pytest.mark.parametrize(
    ("file", "number"),
    [pytest.param(*start, marks=pytest.mark.slow if start[0].stem == "large" else ()) for start in STARTS],
    ids=lambda part: part.stem if isinstance(part, Path) else str(part),
)
def test_a_start_point_trains_on_tiny_images(file: Path, number: int) -> None:
    params = {**start_of(file, number), "image_px": 64, "batch_size": 4, "images_per_trial": 4, "weights": "none"}
    random = np.random.default_rng(0)
    images = LabelledImages(
        images_nhwc=random.integers(0, 256, (8, 64, 64, 3), dtype=np.uint8),
        labels_n=np.arange(8, dtype=np.int64) % 2,
        indices_n=np.arange(8),
    )
    trainer = TrialTrainer(settings_from(params), TrainingData(train=images, val=images), seed=0)
    (result,) = trainer.run((4,))
    assert np.isfinite(result.probabilities_n).all()


def test_the_seed_starts_with_the_competitions_two_networks() -> None:
    space = load(SPACES / "seed.yaml")
    sizes = [TrainVocabulary().num_parameters(space.draw(random_generator(0, n), space.start[n])) for n in (0, 1)]
    assert sizes == [11_177_538, 26_043_122]
    for start in (start_of(SPACES / "seed.yaml", number) for number in (0, 1)):
        assert (start["batch_size"], start["optimizer"], start["epochs"], start["image_px"]) == (40, "adam", 10, 256)
        settings = settings_from(start)
        assert cache_px(settings.augment, settings.image_px) == 312


def test_the_wide_space_covers_the_table_of_what_is_worth_searching() -> None:
    space = load(SPACES / "ffdi.yaml")
    ranges = {one.key: (one.low, one.high) for one in space.dimensions if not one.choices}
    assert ranges["image_px"] == (224, 512)
    assert ranges["lr[cnn]"] == (1e-4, 4e-3)
    assert ranges["focal_gamma"] == (0.0, 3.0)
    assert {"lr[convnext]", "lr[transformer]", "balance", "warmup_fraction", "drop_path[cnn]"} <= ranges.keys()
    augmentations = {key.split(".")[1] for key in ranges if key.startswith("augment.")}
    assert {"selfblend", "jpeg", "blur", "downscale", "noise", "jitter", "erase", "randaugment", "crop"} <= augmentations
    assert {"rotate", "vflip", "grayscale", "mixup", "cutmix"} <= augmentations
    families = {TrainVocabulary().family(str(backbone)) for backbone in space.values_of("backbone")}
    assert families == {"cnn", "convnext", "transformer"}
    assert set(space.values_of("optimizer")) == {"adamw", "adam"}
    assert {"resnext50_32x4d", "regnety_032"} <= set(space.values_of("backbone"))


def sizes_of_large() -> dict[str, int]:
    vocabulary = TrainVocabulary()
    backbones = map(str, load(SPACES / "large.yaml").values_of("backbone"))
    return {one: vocabulary.num_parameters({"backbone": one, "image_px": 384}) for one in backbones}


def test_the_large_space_says_how_large_its_networks_are() -> None:
    sizes = sizes_of_large().values()
    assert 100e6 <= min(sizes) <= max(sizes) <= MAX_PARAMETERS == 200e6
    said = f"networks of {round(min(sizes) / 1e6)} to {round(max(sizes) / 1e6)} M parameters"
    assert said in (SPACES / "large.yaml").read_text()
    assert said in (SPACES.resolve().parent / "README.md").read_text()


def test_the_large_space_has_every_family_with_weights_of_imagenet_1k_and_a_start_point() -> None:
    space = load(SPACES / "large.yaml")
    backbones = [str(one) for one in space.values_of("backbone")]
    assert all(in1k_tags(one) and published(one, "in1k") for one in backbones)
    families = {TrainVocabulary().family(one) for one in backbones}
    assert families == {TrainVocabulary().family(str(start["backbone"])) for start in space.start}
    assert families == {"cnn", "convnext", "transformer"}
    with torch.device("meta"):
        network = build(ModelSpec(backbone="regnety_320", se_reduction=None, image_px=224))
    assert "regnety_320" in backbones
    assert any(isinstance(module, SEModule) for module in network.modules())


@pytest.mark.slow
def test_the_networks_of_the_large_space_take_each_of_its_sizes() -> None:
    space = load(SPACES / "large.yaml")
    for backbone in space.values_of("backbone"):
        for image_px in space.values_of("image_px"):
            check_forward(str(backbone), int(str(image_px)))
