"""Start weights, loaded by name and shape: what fits is kept, the rest stays fresh, and a report says which.

timm's own loading fails on another SE reduction than the published one, and leaves SE that was added random without a word.
"""

from __future__ import annotations

import pickle
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from hpsearch.errors import InputError
from hpsearch.model.backbones import BUILD_ERRORS, ModelSpec, normalisation, registered_backbones
from hpsearch.model.detector import Detector
from hpsearch.model.packaged_weights import named_by_order
from hpsearch.model.squeeze import start_open
from hpsearch.model.weight_sources import WeightsSource, fetch_weights

WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model")
"""Keys under which training scripts keep the tensors inside their checkpoints, the preferred first."""
PREFIXES = ("_orig_mod.", "module.", "network.")
"""What wrappers put before the names of all tensors: torch.compile, DDP, `Detector`."""
NORMALISATION = ("mean_c", "std_c")
"""Tensors of a `Detector` beside its network."""
CLASSIFIER_STD = 0.01
"""Standard deviation of the classifier's first weights on top of pretrained layers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightsReport:
    """What became of the start weights."""

    tag: str
    """`none`, timm's name with weight tag, the package's name and version, or the path that was given."""
    kept: tuple[str, ...]
    """Tensors of the network that were filled."""
    fresh: tuple[str, ...]
    """Tensors of the network that stay as they were drawn."""

    def __str__(self) -> str:
        if self.tag == "none":
            return "from scratch"
        fresh = f"; fresh: {', '.join(self.fresh[:4])}{', …' if len(self.fresh) > 4 else ''}" if self.fresh else ""
        return f"{self.tag}: {len(self.kept)} of {len(self.kept) + len(self.fresh)} tensors kept{fresh}"


def load_weights(model: Detector, spec: ModelSpec, weights: str, source: WeightsSource | None = None) -> WeightsReport:
    """Fills `model` with start weights as far as names and shapes agree; the classifier starts near 0.

    Position embeddings and the like are brought to the image size by timm's own filters. SE gates that nothing fills are
    opened, see `squeeze.start_open`. With published weights `model` normalises as they were trained.

    Args:
        model: made by `build(spec)`.
        spec: what it was made from.
        weights: `none`, `in1k`, `any`, a weight tag, or the path of a weight file.
        source: where they were found; None: they are looked for now.

    Raises:
        InputError: the weights cannot be found or read, or nothing in them fits.
    """
    source = source or fetch_weights(spec.backbone, weights)
    own = model.network.state_dict()
    if source.file is None:
        return WeightsReport(tag=source.tag, kept=(), fresh=tuple(own))
    classifier = _classifier_tensors(model.network)
    tensors = read_tensors(source.file)
    if source.named_by_order:
        found = named_by_order(tensors, own, classifier)
    else:
        found = _native(tensors, model.network, spec, source.file)
    fitting = {
        name: tensor
        for name, tensor in found.items()
        if name in own and tensor.shape == own[name].shape and name not in classifier
    }
    if not fitting:
        raise InputError(
            f"weights {weights!r} ({source.file}): none of its {len(found)} tensors fits {spec.backbone}. "
            "Give weights of this backbone, or weights: none."
        )
    model.network.load_state_dict(fitting, strict=False)
    fresh = tuple(name for name in own if name not in fitting)
    start_open(model.network, set(fresh))
    _start_undecided(model.network, classifier)
    if source.normalised_as:
        model.set_normalisation(normalisation(spec.backbone, source.normalised_as))
    return WeightsReport(tag=source.tag, kept=tuple(fitting), fresh=fresh)


def read_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of a torch file, out of which no code is run.

    Raises:
        InputError: it is neither, or damaged.
    """
    try:
        content: Any = (
            load_file(file) if file.suffix == ".safetensors" else torch.load(file, map_location="cpu", weights_only=True)
        )
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, ValueError, EOFError, OSError, struct.error) as error:
        reason = str(error).strip().partition("\n")[0][:300]
        raise InputError(
            f"weights {file}: cannot be read ({reason}). It must be a .safetensors file, or one that torch.load reads with "
            "weights_only=True."
        ) from error
    wrapper = next((name for name in WRAPPERS if isinstance(content, dict) and isinstance(content.get(name), dict)), None)
    tensors = content[wrapper] if wrapper else content
    if not isinstance(tensors, dict):
        raise InputError(f"weights {file}: holds a {type(content).__name__}, not named tensors. Save a state_dict.")
    return _bare({str(name): tensor for name, tensor in tensors.items() if isinstance(tensor, Tensor)})


def _bare(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in PREFIXES:
        inner = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        if len(inner) >= len(tensors) - len(NORMALISATION):
            tensors = inner or tensors
    return tensors


def _native(tensors: dict[str, Tensor], network: nn.Module, spec: ModelSpec, file: Path) -> dict[str, Tensor]:
    """`tensors` in timm's own names and at the network's image size, by the filter of the backbone's timm module."""
    if spec.backbone in registered_backbones():
        return tensors
    module = sys.modules[timm.model_entrypoint(spec.backbone).__module__]
    to_native = getattr(module, "checkpoint_filter_fn", None)
    if to_native is None:
        return tensors
    try:
        native: dict[str, Tensor] = to_native(dict(tensors), network)
    except (*BUILD_ERRORS, KeyError) as error:
        raise InputError(f"weights {file}: these are not weights of {spec.backbone} ({error}).") from error
    return native


@torch.no_grad()
def _start_undecided(network: nn.Module, classifier: set[str]) -> None:
    """Lets every image begin with logits near 0.

    timm draws the classifiers of EfficientNets and MobileNets for a thousand classes: with two, the first loss of a
    pretrained one is about 5 rather than 0.69, and its gradients spoil the layers below.
    """
    for name, parameter in network.named_parameters():
        if name in classifier:
            nn.init.normal_(parameter, std=CLASSIFIER_STD if parameter.ndim > 1 else 0.0)


def _classifier_tensors(network: nn.Module) -> set[str]:
    names = getattr(network, "pretrained_cfg", {}).get("classifier") or ()
    layers = (names,) if isinstance(names, str) else names
    return {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")}
