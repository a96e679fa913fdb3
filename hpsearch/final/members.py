"""Exports of several trainings as the export of one model that averages their answers. No torch network is built here.

Members see the same images, so they must agree in the rule of size and crop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.config import Params
from hpsearch.errors import InputError
from hpsearch.final.export import ModelDescription, read_description, write_tensors
from hpsearch.layout import MODEL_WEIGHTS

if TYPE_CHECKING:
    from torch import Tensor


def write_ensemble(sources: Sequence[Path], directory: Path) -> ModelDescription:
    """Writes into `directory` the export that averages those in `sources`; the first one's description is the ensemble's.

    Raises:
        InputError: an export is not there, or its weights cannot be read.
        StorageError: `directory` cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    described = [read_description(source) for source in sources]
    tensors: dict[str, Tensor] = {}
    for number, source in enumerate(sources):
        try:
            tensors |= {f"members.{number}.{name}": tensor for name, tensor in load_file(source / MODEL_WEIGHTS).items()}
        except (OSError, SafetensorError) as error:
            raise InputError(f"{source / MODEL_WEIGHTS}: cannot be read ({error}). Train the model again.") from error
    description = replace(
        described[0],
        members=tuple(one.params for one in described),
        num_parameters=sum(one.num_parameters for one in described),
        start_weights=tuple(network for one in described for network in one.start_weights),
    )
    write_tensors(directory, tensors, description)
    return description


def see_alike(params: Params, others: Params) -> bool:
    """Whether networks of two configurations are given the same pixels of an image."""
    from hpsearch.train.augment import build_augmentation
    from hpsearch.train.settings import settings_from

    one, other = (build_augmentation(s.augment, s.image_px) for s in map(settings_from, (params, others)))
    return one.evaluation_rule == other.evaluation_rule
