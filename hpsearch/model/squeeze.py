"""Squeeze-and-Excitation of any reduction: Hu et al. 2018, `x · sigmoid(W2 · relu(W1 · mean(x)))`, W1 to C/r channels.

timm has a hook for it in two places: the blocks of ResNet and ResNeXt take an attention layer, RegNets a ratio. In
EfficientNets the corresponding option changes nothing, ConvNeXt, Swin and ViT have none, and `legacy_seresnet` computes
something else (all seen at timm 1.0.31), so these are refused rather than trained without what was asked for.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from timm.layers.squeeze_excite import SEModule
from torch import nn

from hpsearch.errors import InfeasibleError
from hpsearch.model.families import timm_module

HOOKED = "ResNet and ResNeXt (resnet*, resnext*, wide_resnet*, seresnet*, seresnext*, resnetrs*) and RegNet (regnet*)"
"""Backbones whose reduction can be chosen."""


def squeeze_arguments(backbone: str, reduction: int) -> dict[str, Any]:
    """Arguments of `timm.create_model` that give `backbone` SE of this reduction.

    Raises:
        InfeasibleError: the backbone has no hook for it.
    """
    module = timm_module(backbone)
    if module == "resnet" and not backbone.startswith("eca"):
        # A divisor of 8, timm's default, would make ResNet-18 the same at r = 16 and r = 32.
        layer = partial(SEModule, rd_ratio=1 / reduction, rd_divisor=1)
        return {"block_args": {"attn_layer": layer}}
    if module == "regnet":
        return {"se_ratio": 1 / reduction}
    raise InfeasibleError(
        f"backbone {backbone} with se_reduction {reduction}: its SE cannot be chosen; that of {HOOKED} can. "
        "Set se_reduction: none for it, or let se_reduction depend on the backbone (`when: {backbone: [...]}`)."
    )


def check_reduction(model: nn.Module, backbone: str, reduction: int) -> None:
    """Checks that every gate of `model` squeezes to at least one channel.

    Raises:
        InfeasibleError: it does not; timm would silently take one channel or another ratio.
    """
    if timm_module(backbone) == "regnet":
        narrowest = int(model.feature_info[0]["num_chs"])  # type: ignore[index]  # RegNet squeezes what a block gets
    else:
        narrowest = min(module.fc1.in_channels for module in model.modules() if isinstance(module, SEModule))
    if reduction > narrowest:
        raise InfeasibleError(
            f"backbone {backbone} with se_reduction {reduction}: its narrowest block has {narrowest} channels, "
            f"which cannot be divided by more than that. Choose at most {narrowest}."
        )


def start_open(model: nn.Module, fresh: set[str]) -> None:
    """Lets gates that no start weights fill begin constant and almost open, so that pretrained branches go through.

    A gate with random weights multiplies every branch by about 0.5. A last layer of zeros with bias 4 gives 0.98 for every
    image, and learns from the first step on. `fresh` are the tensors that were not loaded.
    """
    for name, module in model.named_modules():
        if isinstance(module, SEModule):
            if f"{name}.fc2.weight" in fresh:
                nn.init.zeros_(module.fc2.weight)
            if module.fc2.bias is not None and f"{name}.fc2.bias" in fresh:
                nn.init.constant_(module.fc2.bias, 4.0)
