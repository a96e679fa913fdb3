"""Families of backbones, by which ranges of learning rates differ, and the names that timm knows."""

from __future__ import annotations

import functools
from typing import Literal

import timm

from hpsearch.config import nearest
from hpsearch.errors import InputError

Family = Literal["cnn", "convnext", "transformer"]
"""BN conv nets; conv nets trained like transformers (ConvNeXt, CAFormer, MaxViT); transformers and MLP mixers."""

_CONVNEXT = frozenset({"convnext", "edgenext", "focalnet", "inception_next", "mambaout", "maxxvit", "metaformer", "rdnet"})
_TRANSFORMER = frozenset(
    {
        *("beit", "cait", "coat", "convit", "crossvit", "davit", "deepseek_vit", "deit", "eva", "gcvit", "gemma4_vit", "hiera"),
        *("hieradet_sam2", "levit", "mlp_mixer", "mvitv2", "naflexvit", "nest", "nextvit", "pit", "pvt_v2", "qwen3_vit"),
        *("sequencer", "swin_transformer", "swin_transformer_v2", "swin_transformer_v2_cr", "tiny_vit", "tnt", "twins"),
        *("visformer", "vision_transformer", "vision_transformer_hybrid", "vision_transformer_relpos"),
        *("vision_transformer_sam", "vitamin", "volo", "xcit"),
    }
)


@functools.lru_cache(maxsize=1)
def timm_backbones() -> frozenset[str]:
    """Names that timm knows, without weight tags and without deprecated ones."""
    return frozenset(timm.list_models())


def timm_module(backbone: str) -> str:
    """Last part of the timm module that defines `backbone`, for example `resnet`."""
    return str(timm.model_entrypoint(backbone).__module__).rpartition(".")[2]


def timm_family(backbone: str) -> Family:
    """Family of a backbone that timm knows."""
    module = timm_module(backbone)
    if module in _CONVNEXT:
        return "convnext"
    return "transformer" if module in _TRANSFORMER else "cnn"


def unknown_backbone(backbone: str, plugins: frozenset[str]) -> InputError:
    """The error for a name that neither timm nor a plugin knows, with what was probably meant."""
    plain = backbone.partition(".")[0]
    if plain != backbone and plain in timm_backbones():
        return InputError(
            f"backbone {backbone!r} names a weight tag; backbones are given without one. "
            f"Write backbone: {plain} and choose its start weights by `weights` (none, in1k or a file)."
        )
    return InputError(
        f"backbone {backbone!r}: timm {timm.__version__} has no such model and no plugin registered it"
        f"{nearest(backbone, timm_backbones() | plugins)}"
    )
