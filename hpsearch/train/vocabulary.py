"""What space files may say of a trial: its parameters, the families of backbones, and the size of networks."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from hpsearch.config import KnownParameter, Params
from hpsearch.errors import InfeasibleError, InputError
from hpsearch.model import backbones
from hpsearch.model.backbones import ModelSpec, count_parameters
from hpsearch.train.augment import known_augmentations
from hpsearch.train.settings import TrialSettings, known_parameters, settings_from

NETWORK_PARAMETERS = ("backbone", "se_reduction", "image_px")
"""Parameters that decide how many parameters a network has."""


def model_spec(settings: TrialSettings) -> ModelSpec:
    """The network of a configuration."""
    return ModelSpec(
        backbone=settings.backbone,
        se_reduction=settings.se_reduction,
        image_px=settings.image_px,
        drop_path=settings.drop_path,
    )


class TrainVocabulary:
    """The vocabulary of trials, plugins included."""

    @functools.cached_property
    def parameters(self) -> Mapping[str, KnownParameter]:
        """Every parameter by its dotted name, those of augmentations as `augment.<name>.<parameter>`."""
        augmentations = {
            f"augment.{name}.{parameter}": known
            for name, parameters in known_augmentations().items()
            for parameter, known in parameters.items()
        }
        return known_parameters() | augmentations

    def family(self, backbone: str) -> str:
        """Family of `backbone`; raises InputError with the nearest name for an unknown one."""
        return backbones.family(backbone)

    def num_parameters(self, params: Params) -> int:
        """Parameters of the network that `params` describe, other parameters being of no importance.

        Raises:
            InputError: no such backbone, or one that cannot have what `params` ask for.
        """
        network = {name: value for name, value in params.items() if name in NETWORK_PARAMETERS}
        try:
            return count_parameters(model_spec(settings_from(network)))
        except InfeasibleError as error:
            raise InputError(str(error)) from error
