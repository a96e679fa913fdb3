"""From a few words to a network with two outputs: timm's backbones and those that plugins register.

Legend: b images, c colours, h and w pixels, k classes (0 real, 1 deepfake).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import timm
import torch
from timm.data.config import resolve_model_data_config
from torch import nn

from hpsearch.errors import InfeasibleError, InputError
from hpsearch.model.detector import Detector, Normalisation
from hpsearch.model.families import Family, timm_backbones, timm_family, unknown_backbone
from hpsearch.model.squeeze import check_reduction, squeeze_arguments

NUM_CLASSES = 2
"""Outputs of every network: 0 real, 1 deepfake."""
BUILD_ERRORS = (ArithmeticError, AssertionError, AttributeError, IndexError, RuntimeError, TypeError, ValueError)
"""What networks raise whose arguments do not fit."""

IMAGENET: Normalisation = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of ImageNet, for backbones that timm does not know."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSpec:
    """What decides the network."""

    backbone: str
    """timm name without weight tag, or one that a plugin registered."""
    se_reduction: int | None
    """Squeeze-and-Excitation reduction r; None: the backbone as timm builds it."""
    image_px: int
    """Side of the square that it sees."""
    drop_path: float = 0.0
    """Stochastic depth in [0, 1), for backbones that have it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plugin:
    build: Callable[[ModelSpec], nn.Module]
    family: Family


_plugins: dict[str, _Plugin] = {}


def register_backbone(name: str, build: Callable[[ModelSpec], nn.Module], *, family: Family) -> None:
    """Makes a network of your own known to space files as `backbone: name`.

    Call it in a module that `--set plugins=[my_module]` names.

    Args:
        name: a name that timm does not have.
        build: makes the network: (b, 3, px, px) images, normalised like ImageNet, to (b, 2) logits, class 1 deepfake.
        family: `cnn`, `convnext` or `transformer`; says which range of learning rates it gets.

    Raises:
        InputError: the name is taken.
    """
    known = _plugins.get(name)
    taken = known and (known.build.__module__, known.build.__qualname__) != (build.__module__, build.__qualname__)
    if taken or name in timm_backbones():
        owner = "another plugin" if taken else "timm"
        raise InputError(f"backbone {name!r} is already a name of {owner}; register yours under another one.")
    _plugins[name] = _Plugin(build=build, family=family)


def registered_backbones() -> frozenset[str]:
    """Names that plugins registered."""
    return frozenset(_plugins)


def family(backbone: str) -> Family:
    """Family of `backbone`: `cnn`, `convnext` or `transformer`.

    Raises:
        InputError: no such backbone, with the nearest known name.
    """
    if backbone in _plugins:
        return _plugins[backbone].family
    if backbone not in timm_backbones():
        raise unknown_backbone(backbone, registered_backbones())
    return timm_family(backbone)


def build(spec: ModelSpec) -> Detector:
    """The network with two outputs behind its normalisation, weights drawn from torch's random state.

    Raises:
        InputError: no such backbone.
        InfeasibleError: the backbone cannot have this reduction or this image size.
    """
    family(spec.backbone)
    try:
        network = _plugins[spec.backbone].build(spec) if spec.backbone in _plugins else _timm_network(spec)
    except BUILD_ERRORS as error:
        raise InfeasibleError(f"{_described(spec)} cannot be built: {error}. Change one of them.") from error
    if spec.se_reduction is not None and spec.backbone not in _plugins:
        check_reduction(network, spec.backbone, spec.se_reduction)
    return Detector(network, normalisation(spec.backbone))


def _timm_network(spec: ModelSpec) -> nn.Module:
    arguments: dict[str, Any] = {"img_size": spec.image_px, "drop_path_rate": spec.drop_path}
    if spec.se_reduction is not None:
        arguments |= squeeze_arguments(spec.backbone, spec.se_reduction)
    while True:
        try:
            network: nn.Module = timm.create_model(spec.backbone, num_classes=NUM_CLASSES, **arguments)
            return network
        except TypeError as error:
            # Which constructors take these two is written down nowhere in timm; those that do not refuse them by name.
            refused = [name for name in ("img_size", "drop_path_rate") if name in arguments and name in str(error)]
            if not refused:
                raise
            for name in refused:
                del arguments[name]


def count_parameters(spec: ModelSpec) -> int:
    """Parameters of the network, counted without allocating it, once for each kind of network.

    Raises:
        InputError: no such backbone.
        InfeasibleError: it cannot be built, or cannot take images of this size.
    """
    return _counted(replace(spec, drop_path=0.0))


@functools.lru_cache(maxsize=4096)
def _counted(spec: ModelSpec) -> int:
    with torch.device("meta"):
        model = build(spec)
    check_forward(spec.backbone, spec.image_px)
    return sum(parameter.numel() for parameter in model.parameters())


@functools.lru_cache(maxsize=4096)
def check_forward(backbone: str, image_px: int) -> None:
    """Checks on the meta device (0.03 to 0.5 s) that timm's `backbone` makes two outputs of images of this size.

    Raises:
        InfeasibleError: it does not.
    """
    if backbone in _plugins:
        return
    spec = ModelSpec(backbone=backbone, se_reduction=None, image_px=image_px)
    try:
        with torch.device("meta"), torch.no_grad():
            logits_bk = build(spec).train()(torch.empty(2, 3, image_px, image_px))
    except BUILD_ERRORS as error:
        reason = str(error).strip().partition("\n")[0]
        raise InfeasibleError(
            f"backbone {backbone} cannot take images of {image_px} px: {reason}. Choose another image_px or backbone."
        ) from error
    shape = tuple(getattr(logits_bk, "shape", ()))
    if shape != (2, NUM_CLASSES):
        raise InfeasibleError(f"backbone {backbone} gives {shape or 'several outputs'} for two images, not two numbers each.")


def normalisation(backbone: str, tag: str = "") -> Normalisation:
    """Mean and standard deviation that images in [0, 1] are normalised with.

    Args:
        backbone: timm name, or a plugin's (then ImageNet's values).
        tag: weight tag, as in `resnet18.a1_in1k`, since they differ between tags; empty: timm's default for the backbone.
    """
    if backbone in _plugins:
        return IMAGENET
    family(backbone)
    config = timm.get_pretrained_cfg(f"{backbone}.{tag}" if tag else backbone)
    assert config is not None, f"timm lists {backbone} without a configuration"
    data = resolve_model_data_config(None, pretrained_cfg=config.to_dict())  # type: ignore[no-untyped-call]  # timm's
    return tuple(data["mean"]), tuple(data["std"])


def _described(spec: ModelSpec) -> str:
    squeeze = "" if spec.se_reduction is None else f", se_reduction {spec.se_reduction}"
    return f"backbone {spec.backbone} at {spec.image_px} px{squeeze}"
