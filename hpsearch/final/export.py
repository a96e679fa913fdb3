"""An exported model: `model.safetensors` and `model.json`, all that is needed to rebuild and use it, no pickle."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.errors import InputError
from hpsearch.layout import MODEL_DESCRIPTION, MODEL_WEIGHTS

if TYPE_CHECKING:
    from torch import nn

    from hpsearch.config import Params

FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelDescription:
    """Content of `model.json`."""

    params: Params
    """The configuration that was trained, complete enough to train it again."""
    num_parameters: int
    """Parameters of the exported module."""
    weights_tag: str
    """Pretrained weights it started from, as timm names them; `none`: from scratch."""
    stored_px: int
    """Images are resized (shorter side) and centre-cropped to this square first."""
    images_trained: int
    """Images it saw in training."""
    seed: int
    """Seed of its training."""
    val: dict[str, Any]
    """Scores on the validation images."""
    data_fingerprint: str
    """Of the labelled images it was trained on."""
    versions: dict[str, str]
    """Python, torch, timm and hpsearch."""
    plugins: tuple[str, ...] = ()
    """Python modules that must be imported to rebuild it."""
    classes: tuple[str, str] = ("real", "deepfake")
    """What the two outputs mean."""


def write_export(directory: Path, module: nn.Module, description: ModelDescription) -> None:
    """Writes both files, each atomically, the description last: where it stands, the export is whole."""
    from safetensors.torch import save_file

    directory.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    partial = directory / f".{MODEL_WEIGHTS}.partial"
    save_file(tensors, partial)
    os.replace(partial, directory / MODEL_WEIGHTS)  # noqa: PTH105
    partial = directory / f".{MODEL_DESCRIPTION}.partial"
    partial.write_text(json.dumps({"format": FORMAT, **asdict(description)}, indent=2) + "\n")
    os.replace(partial, directory / MODEL_DESCRIPTION)  # noqa: PTH105


def read_description(directory: Path) -> ModelDescription:
    """The description in an export directory.

    Raises:
        InputError: no export there, or one that this version cannot read.
    """
    file = directory / MODEL_DESCRIPTION
    if not file.is_file():
        raise InputError(f"{directory}: no {MODEL_DESCRIPTION} there. Give the `best` folder of a finished run.")
    try:
        fields = json.loads(file.read_text())
        if fields.pop("format") != FORMAT:
            raise InputError(f"{file}: its format is not {FORMAT}; it was written by another version of hpsearch.")
        fields["plugins"], fields["classes"] = tuple(fields["plugins"]), tuple(fields["classes"])
        return ModelDescription(**fields)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{file}: not a description of a model ({error}). Export it again.") from error
