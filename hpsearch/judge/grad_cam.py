"""Where in an image a detector's answer comes from.

Grad-CAM (Selvaraju et al. 2017, "Grad-CAM: Visual explanations from deep networks via gradient-based localization"): the
last map of features, each channel weighted by the mean gradient of the answer with respect to it, what speaks for the
answer kept. For transformers whose last tokens do not reach the answer (it is read off a class token), the tokens that
enter the last block stand in for the map.

Legend: b images, c channels, h and w positions of the map, n tokens.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hpsearch.model.ensemble import members_of

if TYPE_CHECKING:
    from hpsearch.model.detector import Detector
    from hpsearch.model.ensemble import Ensemble


def heat_maps(model: Detector | Ensemble, images_bchw: Tensor) -> Tensor | None:
    """How much each place speaks for the answer that the model gives; of an ensemble, the mean of what its members say.

    Args:
        model: in evaluation mode.
        images_bchw: float in [0, 1], of the side that the model sees, on its device.

    Returns:
        float32 in [0, 1], (b, h, w) of the images' size, each image's largest value 1 (all 0 where nothing speaks for the
        answer); None: the network has no map of features.
    """
    maps = [found_bhw for member in members_of(model) if (found_bhw := _maps_of(member, images_bchw)) is not None]
    return _scaled(torch.stack(maps).mean(dim=0)) if maps else None


def _maps_of(model: Detector, images_bchw: Tensor) -> Tensor | None:
    found: list[Tensor] = []
    handles = [module.register_forward_hook(_keeper(found)) for module in _watched(model.network)]
    try:
        with torch.enable_grad():
            logits_bk = model(images_bchw.detach().clone().requires_grad_())
            margins_b = logits_bk[:, 1] - logits_bk[:, 0]
            gradients = torch.autograd.grad(margins_b.abs().sum(), found, allow_unused=True) if found else ()
    finally:
        for handle in handles:
            handle.remove()
    for features, gradient in zip(reversed(found), reversed(gradients), strict=True):
        if gradient is not None:
            features_bchw, gradient_bchw = (_as_map(one, model.network) for one in (features, gradient))
            if features_bchw is not None and gradient_bchw is not None and bool(gradient_bchw.any()):
                return _heat(features_bchw.detach(), gradient_bchw, images_bchw.shape[-1])
    return None


def _watched(network: nn.Module) -> list[nn.Module]:
    """Modules whose output may be the map: stages, blocks and final norms, of timm's networks and of a user's own."""
    blocks = getattr(network, "blocks", None)
    last_block = blocks[-1] if isinstance(blocks, nn.Sequential | nn.ModuleList) and len(blocks) else None
    last_tokens = getattr(last_block, "norm1", None)
    tops = [child for name, child in network.named_children() if not _is_head(network, name, child)]
    return [module for module in (last_tokens, *tops) if module is not None]


def _is_head(network: nn.Module, name: str, child: nn.Module) -> bool:
    """Pooling and classifier, behind the last map."""
    return child is getattr(network, "head", None) or name in ("fc", "classifier", "global_pool", "fc_norm", "head_drop")


def _keeper(found: list[Tensor]) -> Any:
    def keep(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim in (3, 4) and output.requires_grad:
            found.append(output)

    return keep


def _as_map(features: Tensor, network: nn.Module) -> Tensor | None:
    """Features as (b, c, h, w); None where they are no map."""
    if features.ndim == 4:
        return features.permute(0, 3, 1, 2) if getattr(network, "output_fmt", "NCHW") == "NHWC" else features
    num_tokens = features.shape[1]
    side = math.isqrt(num_tokens)
    extra = getattr(network, "num_prefix_tokens", num_tokens - side * side)
    side = math.isqrt(num_tokens - extra)
    if side * side != num_tokens - extra:
        return None
    tokens_bcn = features[:, extra:].transpose(1, 2)
    return tokens_bcn.reshape(*tokens_bcn.shape[:2], side, side)


def _heat(features_bchw: Tensor, gradient_bchw: Tensor, image_px: int) -> Tensor:
    weights_bc11 = gradient_bchw.mean(dim=(2, 3), keepdim=True)
    heat_b1hw = F.relu((weights_bc11 * features_bchw).sum(dim=1, keepdim=True)).float()
    return _scaled(F.interpolate(heat_b1hw, (image_px, image_px), mode="bilinear", align_corners=False)[:, 0])


def _scaled(wide_bhw: Tensor) -> Tensor:
    largest_b = wide_bhw.amax(dim=(1, 2)).clamp_min(torch.finfo(torch.float32).tiny)
    return wide_bhw / largest_b[:, None, None]
