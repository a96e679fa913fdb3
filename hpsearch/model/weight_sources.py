"""Where start weights come from: nowhere, a file, or the hub's ImageNet-1k weights; found before a search begins."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import constants, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError
from timm.models import get_arch_pretrained_cfgs

from hpsearch.errors import InputError
from hpsearch.model.backbones import ModelSpec, family, registered_backbones

if TYPE_CHECKING:
    from timm.models import PretrainedCfg

MORE_THAN_IN1K = (
    *("in21k", "in22k", "inw21k", "in12k", "jft", "ns_", "clip", "laion", "openai", "siglip", "dinov2", "dinov3", "lvd"),
    *("swsl", "ssl", "ig1b", "yfcc", "seer", "swag", "webli", "m38m", "bamboo", "sa1b", "goog_distilled"),
)
"""Parts of a weight tag that mean other images than ImageNet-1k's, or a teacher that saw them."""
MORE_THAN_IN1K_NAMES = ("_ssld", "_clip", "beitv2")
"""The same in names of backbones."""
HUB_FILES = ("model.safetensors", "pytorch_model.bin")
"""Names of weight files in a timm repository, in order of preference."""
HUB_TIMEOUT_SECONDS = 4.0
"""The hub must answer within this; its client alone would try again for 23 s, and longer where packets are dropped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightsSource:
    """Start weights, found."""

    tag: str
    """`none`, timm's name with weight tag such as `resnet18.a1_in1k`, or the path that was given."""
    file: Path | None
    """Where the tensors lie on this machine; None: no start weights."""


def fetch_weights(spec: ModelSpec, weights: str) -> WeightsSource:
    """Finds the start weights of a configuration, and downloads them where they are not cached.

    Args:
        spec: the network that they are for.
        weights: `none`, `in1k`, or the path of a safetensors file or of a torch file without code.

    Raises:
        InputError: no such file, no such weights, or no way to the hub; says what to fetch and where to put it.
    """
    if weights == "none":
        return WeightsSource(tag="none", file=None)
    if weights != "in1k":
        return WeightsSource(tag=weights, file=_given_file(weights))
    config = _in1k_config(spec.backbone)
    return WeightsSource(tag=f"{config.architecture}.{config.tag}", file=_hub_file(config))


def in1k_tags(backbone: str) -> list[str]:
    """Weight tags of `backbone` that saw ImageNet-1k only, timm's own choice first."""
    if any(part in backbone for part in MORE_THAN_IN1K_NAMES):
        return []
    tags = [name.partition(".")[2] for name in get_arch_pretrained_cfgs(backbone)]
    return [tag for tag in tags if "in1k" in tag and not any(part in tag for part in MORE_THAN_IN1K)]


def _given_file(weights: str) -> Path:
    file = Path(weights).expanduser()
    if not file.is_file():
        raise InputError(f"weights {weights!r}: no such file. Give `none`, `in1k`, or the path of a weight file.")
    return file


def _in1k_config(backbone: str) -> PretrainedCfg:
    family(backbone)
    if backbone in registered_backbones():
        raise InputError(f"weights in1k: {backbone} comes from a plugin and has no published weights. Use none or a file.")
    configs = get_arch_pretrained_cfgs(backbone)
    for tag in in1k_tags(backbone):
        if configs[f"{backbone}.{tag}"].hf_hub_id:
            return configs[f"{backbone}.{tag}"]
    others = ", ".join(name for name, config in configs.items() if config.has_weights)
    raise InputError(
        f"weights in1k: timm has no weights of {backbone} on the hub that saw ImageNet-1k only"
        f"{f' (it has {others})' if others else ''}. Use weights: none, the path of a file, or another backbone."
    )


def _hub_file(config: PretrainedCfg) -> Path:
    repository = str(config.hf_hub_id)
    names = (config.hf_hub_filename,) if config.hf_hub_filename else HUB_FILES
    for name in names:
        cached = try_to_load_from_cache(repository, name)
        if isinstance(cached, str):
            return Path(cached)
    reason = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else _unreachable(hf_hub_url(repository, names[0]))
    if not reason:
        try:
            return _downloaded(repository, names)
        except (HfHubHTTPError, OSError) as error:
            reason = " ".join(str(error).split())[:300]
    raise InputError(
        f"weights in1k: cannot fetch {repository} from the model hub ({reason}). "
        f"Where there is a network, run `hf download {repository} {names[0]}`, then either copy its folder "
        f"models--{repository.replace('/', '--')} to {constants.HF_HUB_CACHE} here, "
        f"or copy the file anywhere and set weights to its path; or set weights: none."
    )


def _downloaded(repository: str, names: tuple[str, ...]) -> Path:
    for name in names[:-1]:
        try:
            return Path(hf_hub_download(repository, name))
        except EntryNotFoundError:
            continue
    return Path(hf_hub_download(repository, names[-1]))


def _unreachable(url: str) -> str:
    """Why the hub does not answer, or nothing where it does, even with a refusal."""
    reasons = [f"no answer within {HUB_TIMEOUT_SECONDS:g} s"]

    def ask() -> None:
        request = urllib.request.Request(url, method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=HUB_TIMEOUT_SECONDS):
                reasons[:] = [""]
        except urllib.error.HTTPError:
            reasons[:] = [""]
        except OSError as error:
            reasons[:] = [str(getattr(error, "reason", error))]

    # A thread, because name resolution obeys no timeout.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(HUB_TIMEOUT_SECONDS)
    return reasons[0]
