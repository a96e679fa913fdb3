"""Which published weights a word of a space file means, and which of them a competition's rule may refuse."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from timm.models import get_arch_pretrained_cfgs

from hpsearch.config import WeightsPolicy, nearest
from hpsearch.errors import InputError
from hpsearch.model.backbones import family, registered_backbones

if TYPE_CHECKING:
    from timm.models import PretrainedCfg

MORE_THAN_IN1K = (
    *("in21k", "in22k", "inw21k", "in12k", "jft", "ns_", "clip", "laion", "openai", "siglip", "dinov2", "dinov3", "lvd"),
    *("swsl", "ssl", "ig1b", "yfcc", "seer", "swag", "webli", "m38m", "bamboo", "sa1b", "goog_distilled"),
)
"""Parts of a weight tag that mean other images than ImageNet-1k's, or a teacher that saw them."""
MORE_THAN_IN1K_NAMES = ("_ssld", "_clip", "beitv2")
"""The same in names of backbones."""
WORDS = ("none", "in1k", "any")
"""What `weights` may be beside a tag and a file: nothing, the first choice that saw ImageNet-1k only, the first choice."""
WEIGHT_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
"""What the names of weight files end with."""


def in1k_tags(backbone: str) -> list[str]:
    """Weight tags of `backbone` that saw ImageNet-1k only, timm's own choice first."""
    if any(part in backbone for part in MORE_THAN_IN1K_NAMES):
        return []
    tags = [name.partition(".")[2] for name in get_arch_pretrained_cfgs(backbone)]
    return [tag for tag in tags if "in1k" in tag and not any(part in tag for part in MORE_THAN_IN1K)]


def published(backbone: str, weights: str) -> PretrainedCfg | None:
    """The entry in timm for the weights of `backbone` that `in1k`, `any` or a tag names; None: it must be a file.

    Raises:
        InputError: the backbone has no such weights, with those that it has.
    """
    if weights == "none" or _is_file(weights):
        return None
    family(backbone)
    if backbone in registered_backbones():
        raise InputError(f"weights {weights}: {backbone} comes from a plugin and has no published weights. Use none or a file.")
    entries = {name.partition(".")[2]: entry for name, entry in get_arch_pretrained_cfgs(backbone).items() if entry.hf_hub_id}
    wanted = {"in1k": in1k_tags(backbone), "any": list(entries)}.get(weights, [weights])
    for tag in wanted:
        if tag in entries:
            return entries[tag]
    raise InputError(_not_published(backbone, weights, list(entries)))


def check_policy(backbone: str, weights: str, policy: WeightsPolicy) -> None:
    """Checks that `weights` of `backbone` may be used under `policy`.

    What a file of the user's own saw cannot be known; it is refused only where its name says so.

    Raises:
        InputError: the policy is `in1k`, and they saw more than ImageNet-1k.
    """
    if policy == "any" or weights == "none":
        return
    entry = published(backbone, weights)
    tag = Path(weights).name if entry is None else str(entry.tag)
    parts = [part for part in MORE_THAN_IN1K if part in tag]
    is_disputed = bool(parts) if entry is None else tag not in in1k_tags(backbone)
    if is_disputed:
        reason = f", which its part {parts[0]!r} tells" if parts else ""
        raise InputError(
            f"weights {weights} of {backbone} ({tag}) saw more than ImageNet-1k{reason}; train.weights_policy is in1k. "
            "Use weights: in1k, or --set train.weights_policy=any where the rules allow it."
        )


def _is_file(weights: str) -> bool:
    path = Path(weights)
    is_named_so = len(path.parts) > 1 or path.suffix in WEIGHT_SUFFIXES
    return weights not in WORDS and (is_named_so or path.is_file())


def _not_published(backbone: str, weights: str, tags: list[str]) -> str:
    remedy = "Use weights: none, the path of a file, or another backbone."
    if weights == "in1k":
        others = ", ".join(f"{backbone}.{tag}" for tag in tags)
        has = f" (it has {others})" if others else ""
        return f"weights in1k: timm has no weights of {backbone} on the hub that saw ImageNet-1k only{has}. {remedy}"
    has = f" Its tags: {', '.join(tags)}." if tags else ""
    return (
        f"weights {weights!r}: timm has no weights of {backbone} with this tag on the hub{nearest(weights, tags)}{has} {remedy}"
    )
