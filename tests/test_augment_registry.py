from typing import Any

import pytest
import torch
from torch import Tensor

from hpsearch.errors import InputError
from hpsearch.train.augment import (
    build_augmentation,
    integer,
    known_augmentations,
    number,
    register_augmentation,
    registry,
    text,
)
from tests.augment_images import pictures


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registrations of a test end with it."""
    monkeypatch.setattr(registry, "_declarations", dict(registry._declarations))


def inverted(images_bchw: Tensor, uniforms_bu: Tensor, *, strength: float, where: str = "all") -> Tensor:
    return torch.lerp(images_bchw, 1 - images_bchw, strength)


def test_every_augmentation_of_the_table_is_known_with_its_parameters() -> None:
    known = {name: set(parameters) for name, parameters in known_augmentations().items()}
    assert known == {
        "selfblend": {"p"},
        "crop": {"mode", "ratio", "scale_min"},
        "hflip": {"p"},
        "vflip": {"p"},
        "rotate": {"degrees", "corners"},
        "jitter": {"p", "strength"},
        "grayscale": {"p"},
        "randaugment": {"num_ops", "magnitude"},
        "gamma": {"p", "strength"},
        "downscale": {"p", "factor_min"},
        "blur": {"p", "sigma_max"},
        "noise": {"p", "std_max"},
        "jpeg": {"p", "quality_min"},
        "erase": {"p", "area_max"},
        "mixup": {"alpha"},
        "cutmix": {"alpha"},
    }


def test_known_parameters_say_kind_range_and_choices() -> None:
    known = known_augmentations()
    assert (known["jpeg"]["quality_min"].low, known["jpeg"]["quality_min"].high) == (1.0, 100.0)
    assert known["crop"]["mode"].choices == ("resize", "centre", "ratio", "random_resized")
    assert known["randaugment"]["num_ops"].kind == "int"


def test_units_are_known_by_full_name_and_every_probability_is_a_share_of_images() -> None:
    units = {f"augment.{name}.{key}" for name, entry in registry._declarations.items() for key in entry.parameters}
    assert {registry.unit_of(name) for name in units if name.endswith(".p")} == {"share of images"}
    assert registry.unit_of("augment.blur.sigma_max") == "px"
    assert registry.unit_of("augment.noise.std_max") == "of 255"
    assert registry.unit_of("augment.rotate.degrees") == "°"
    assert registry.unit_of("augment.crop.mode") == registry.unit_of("augment.nobody.knows") == registry.unit_of("lr") == ""


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        ({"jpg": {"p": 0.5}}, r"augment\.jpg: unknown augmentation; did you mean 'jpeg'\? Known: blur, crop"),
        ({"jpeg": {"p": 0.5, "quality": 30}}, r"augment\.jpeg\.quality: unknown parameter; did you mean 'quality_min'\?"),
        ({"jpeg": {"p": 1.5}}, r"augment\.jpeg\.p is 1\.5; it must be a number between 0 and 1\."),
        ({"jpeg": {"p": None}}, r"augment\.jpeg\.p is None; it must be a number"),
        ({"hflip": {"p": True}}, r"augment\.hflip\.p is True; it must be a number"),
        ({"randaugment": {"num_ops": 1.5}}, r"num_ops is 1\.5; it must be a whole number between 0 and 3"),
        ({"crop": {"mode": "center"}}, r"crop\.mode is 'center'; did you mean 'centre'\? Allowed: resize, centre"),
        ({"blur": {"sigma_max": 2.0}}, r"augment\.blur: given without 'p', so it would do nothing\. Add augment\.blur\.p"),
        ({"crop": {"ratio": 1.2}}, r"augment\.crop: given without 'mode'"),
    ],
)
def test_a_mistake_is_named_with_the_remedy(augment: dict[str, dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_augmentation(augment, 32)


@pytest.mark.usefixtures("own_registry")
def test_a_registered_augmentation_works_like_those_that_come_with_hpsearch() -> None:
    register_augmentation("invert", inverted, parameters={"p": number(0.0, 0, 1), "strength": number(1.0, 0, 1)})
    assert known_augmentations()["invert"]["strength"].high == 1
    images_bchw = pictures(64, 32)
    augmented_bchw = build_augmentation({"invert": {"p": 0.5}}, 32)(images_bchw, 0, 0)
    unit_bchw = images_bchw / 255
    is_inverted_b = torch.isclose(augmented_bchw, 1 - unit_bchw, atol=1e-6).flatten(1).all(dim=1)
    is_same_b = torch.isclose(augmented_bchw, unit_bchw, atol=1e-6).flatten(1).all(dim=1)
    assert (is_inverted_b | is_same_b).all()
    assert 15 < is_inverted_b.sum() < 49


@pytest.mark.usefixtures("own_registry")
def test_a_registered_augmentation_without_p_is_applied_to_every_image() -> None:
    register_augmentation("invert", inverted, parameters={"strength": number(1.0, 0, 1), "where": text("all", "all", "some")})
    images_bchw = pictures(4, 32)
    torch.testing.assert_close(build_augmentation({"invert": {}}, 32)(images_bchw, 0, 0), 1 - images_bchw / 255)


@pytest.mark.usefixtures("own_registry")
def test_registered_augmentations_act_in_their_order() -> None:
    def halved(images_bchw: Tensor, uniforms_bu: Tensor) -> Tensor:
        return images_bchw / 2

    register_augmentation("a_late_one", halved, parameters={}, order=260)
    register_augmentation("invert", inverted, parameters={"strength": number(1.0, 0, 1)}, order=250)
    augmented_bchw = build_augmentation({"a_late_one": {}, "invert": {}}, 32)(pictures(2, 32), 0, 0)
    torch.testing.assert_close(augmented_bchw, (1 - pictures(2, 32) / 255) / 2)


@pytest.mark.usefixtures("own_registry")
def test_a_function_that_changes_the_shape_is_refused_by_name() -> None:
    def cropped(images_bchw: Tensor, uniforms_bu: Tensor) -> Tensor:
        return images_bchw[..., 1:]

    register_augmentation("shave", cropped, parameters={})
    with pytest.raises(InputError, match=r"augmentation 'shave' turned .* has to keep shape and type"):
        build_augmentation({"shave": {}}, 32)(pictures(2, 32), 0, 0)


@pytest.mark.usefixtures("own_registry")
def test_a_name_that_is_taken_is_refused_and_the_same_function_again_is_not() -> None:
    with pytest.raises(InputError, match="'jpeg' is already registered"):
        register_augmentation("jpeg", inverted, parameters={})
    for _ in range(2):
        register_augmentation("invert", inverted, parameters={"level": integer(1, 0, 3)})
    with pytest.raises(InputError, match="'invert' is already registered"):
        register_augmentation("invert", torch.neg, parameters={})
    with pytest.raises(InputError, match="cannot have a dot"):
        register_augmentation("my.own", inverted, parameters={})
