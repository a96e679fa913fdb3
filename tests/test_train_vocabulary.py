from __future__ import annotations

import numpy as np
import pytest

from hpsearch.errors import InputError
from hpsearch.search.space import Space
from hpsearch.train.settings import TrialSettings, settings_from
from hpsearch.train.vocabulary import TrainVocabulary, model_spec


def test_parameters_of_a_trial_and_of_augmentations_are_known() -> None:
    parameters = TrainVocabulary().parameters
    assert parameters["lr"].kind == "float"
    assert parameters["se_reduction"].none_allowed
    assert parameters["image_px"].multiple_of == 32
    assert parameters["augment.jpeg.p"].high == 1.0
    assert "augment" not in parameters


def test_families_are_those_of_the_backbones() -> None:
    assert TrainVocabulary().family("convnext_tiny") == "convnext"


def test_parameters_are_counted_from_flat_params() -> None:
    vocabulary = TrainVocabulary()
    assert (
        vocabulary.num_parameters({"backbone": "resnet50", "se_reduction": 16, "lr": 1e-3, "augment.jpeg.p": 0.3}) == 26_043_122
    )
    assert vocabulary.num_parameters({"backbone": "resnet50", "se_reduction": "none"}) == 23_512_130


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"backbone": "resnet_50"}, "did you mean 'resnet50'"),
        ({"backbone": "resnet18", "se_reduction": 128}, "narrowest block has 64 channels"),
        ({"backbone": "convnext_tiny", "se_reduction": 16}, "Set se_reduction: none"),
    ],
)
def test_networks_that_cannot_be_are_wrong_input(params: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainVocabulary().num_parameters(params)


def test_network_of_a_configuration_takes_its_drop_path() -> None:
    spec = model_spec(settings_from({"backbone": "test_convnext", "drop_path": 0.2, "se_reduction": "none"}))
    assert (spec.drop_path, spec.se_reduction, spec.image_px) == (0.2, None, TrialSettings().image_px)


def test_the_optimiser_may_differ_between_families() -> None:
    content = {
        "backbone": {"choices": ["resnet18", "swin_tiny_patch4_window7_224"]},
        "optimizer": {"cnn": {"choices": ["sgd", "adam"]}, "transformer": {"choices": ["adamw"]}},
    }
    space = Space.from_dict(content, TrainVocabulary())
    drawn = [space.draw(np.random.default_rng(number)) for number in range(60)]
    assert {params["optimizer"] for params in drawn if params["backbone"] == "resnet18"} == {"sgd", "adam"}
    assert {params["optimizer"] for params in drawn if params["backbone"] != "resnet18"} == {"adamw"}


def test_a_switched_off_layer_decay_is_no_number() -> None:
    settings = settings_from({"layer_decay": "none", "focal_gamma": 2.0, "augment.mixup.alpha": 0.2})
    assert settings.layer_decay is None
    assert settings.augment == {"mixup": {"alpha": 0.2}}
