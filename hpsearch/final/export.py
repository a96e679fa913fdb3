"""An exported model: `model.safetensors` and `model.json`, all that is needed to rebuild and use it, no pickle."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.errors import InputError, StorageError
from hpsearch.files import replacing
from hpsearch.judge.scores import split_result
from hpsearch.judge.views import SINGLE_VIEWS, Views
from hpsearch.layout import MODEL_CARD, MODEL_DESCRIPTION, MODEL_ONNX, MODEL_WEIGHTS, RunLayout

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from hpsearch.config import Params
    from hpsearch.data.dataset import Dataset
    from hpsearch.train.result import RungResult
    from hpsearch.train.trial import TrialTrainer

FORMAT = 1
MAX_MEMBERS = 100
"""Networks that one model may average, as `final.members`."""
MAX_STORED_PX = 4096
"""Four times the largest square that a network may see."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelDescription:
    """Content of `model.json`."""

    params: Params
    """The configuration that was trained, complete enough to train it again."""
    num_parameters: int
    """Parameters of the exported module."""
    weights_tag: str
    """Pretrained weights it started from, as timm names them; `none`: from scratch; of an ensemble, the first network's."""
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
    """Of torch and timm."""
    plugins: tuple[str, ...] = ()
    """Python modules that must be imported to rebuild it."""
    views: Views = "none"
    """Views of an image whose answers are averaged, chosen on validation images, see `judge.views`."""
    members: tuple[Params, ...] = ()
    """Configurations of the networks whose answers are averaged, `params` the first; empty: one network."""
    start_weights: tuple[dict[str, Any], ...] = ()
    """Of each network, the first one's first: `tag` of its pretrained weights, `kept` and `fresh` numbers of its tensors."""
    classes: tuple[str, str] = ("real", "deepfake")
    """What the two outputs mean."""


def write_export(directory: Path, module: nn.Module, description: ModelDescription) -> None:
    """Writes both files, each atomically, the description last: where it stands, the export is whole.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    write_tensors(directory, tensors, description)


def write_tensors(directory: Path, tensors: Mapping[str, Tensor], description: ModelDescription) -> None:
    """`write_export` of a module that was not built, by its tensors on the CPU."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    place = directory / MODEL_WEIGHTS
    try:
        _remove_made_from(directory)
        with replacing(place) as partial:
            save_file(dict(tensors), partial)
        _write_description(directory, description)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StorageError(f"cannot write {place}: {reason}. Free the disk, then give the same command again.") from error


def export_trained(
    directory: Path,
    trainer: TrialTrainer,
    *,
    params: Params,
    stored_px: int,
    seed: int,
    labels_n: NDArray[np.int64],
    last: RungResult,
    dataset: Dataset,
    plugins: tuple[str, ...],
) -> ModelDescription:
    """Exports what `trainer` has trained: `last` is its result on the validation images with `labels_n`."""
    description = ModelDescription(
        params=params,
        num_parameters=sum(parameter.numel() for parameter in trainer.model.parameters()),
        weights_tag=trainer.weights.tag,
        stored_px=stored_px,
        images_trained=last.images,
        seed=seed,
        val=dict(split_result(labels_n, last.probabilities_n)),
        data_fingerprint=dataset.fingerprint,
        versions={package: importlib.metadata.version(package) for package in ("torch", "timm")},
        plugins=plugins,
        start_weights=({"tag": trainer.weights.tag, "kept": len(trainer.weights.kept), "fresh": len(trainer.weights.fresh)},),
    )
    write_export(directory, trainer.model, description)
    return description


def publish_export(source: Path, directory: Path, *, max_parameters: int, **changes: Any) -> ModelDescription:
    """Copies the export in `source` to `directory` with `changes` to its description; returns what is written there.

    Raises:
        InputError: the network, or all of an ensemble together, have more than `max_parameters`, counted as they are built.
        StorageError: the disk is full or cannot be written.
    """
    from hpsearch.train.vocabulary import TrainVocabulary

    read = read_description(source)
    num_parameters = sum(TrainVocabulary().num_parameters(params) for params in read.members or (read.params,))
    if num_parameters > max_parameters:
        raise InputError(
            f"{source}: this model has {num_parameters:,} parameters; limits.num_parameters allows {max_parameters:,}. "
            "Search smaller backbones, or export fewer networks (--set final.members=1)."
        )
    description = replace(read, num_parameters=num_parameters, **changes)
    try:
        _remove_made_from(directory)
        with replacing(directory / MODEL_WEIGHTS) as partial:
            shutil.copyfile(source / MODEL_WEIGHTS, partial)
        _write_description(directory, description)
    except OSError as error:
        raise StorageError(
            f"cannot write {directory}: {error.strerror}. Free the disk, then give the same command again."
        ) from error
    return description


def _remove_made_from(directory: Path) -> None:
    """Removes what belongs to the weights that are about to be replaced."""
    for made_from_it in (MODEL_DESCRIPTION, MODEL_ONNX, MODEL_CARD):
        (directory / made_from_it).unlink(missing_ok=True)


def _write_description(directory: Path, description: ModelDescription) -> None:
    with replacing(directory / MODEL_DESCRIPTION) as partial:
        partial.write_text(json.dumps({"format": FORMAT, **asdict(description)}, indent=2) + "\n")


def export_at(given: Path) -> Path:
    """The export directory that people mean by `given`: itself, a run's `best` by the run, or by the description in it."""
    if given.name == MODEL_DESCRIPTION and given.is_file():
        return given.parent
    is_run = not (given / MODEL_DESCRIPTION).is_file() and RunLayout(given).best.is_dir()
    return RunLayout(given).best if is_run else given


def read_description(directory: Path) -> ModelDescription:
    """The description in an export directory.

    Raises:
        InputError: no export there, or one that this version cannot read.
    """
    file = directory / MODEL_DESCRIPTION
    if not file.is_file():
        raise InputError(f"{directory}: no {MODEL_DESCRIPTION} there. Give a finished run, or its `best` folder.")
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
        if fields.pop("format") != FORMAT:
            raise InputError(f"{file}: its format is not {FORMAT}; it was written by another version of hpsearch.")
        for name in {"plugins", "classes", "members", "start_weights"} & fields.keys():
            fields[name] = tuple(fields[name])
        description = ModelDescription(**fields)
        _check(description)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(f"{file}: not a description of a model ({error}). Export it again.") from error
    return description


def _is_value(value: object) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _check(description: ModelDescription) -> None:
    """Looks at what is used before anything is built from it: the file may come from somebody else."""
    for params in (description.params, *description.members):
        if not isinstance(params, dict) or not all(_is_value(value) for value in params.values()):
            raise ValueError("params and members must be mappings of names to numbers and words")
    if len(description.members) > MAX_MEMBERS:
        raise ValueError(f"there are {len(description.members)} members; at most {MAX_MEMBERS} are read")
    px, images, parameters = description.stored_px, description.images_trained, description.num_parameters
    if type(px) is not int or not 1 <= px <= MAX_STORED_PX:
        raise ValueError(f"stored_px is {px!r}; it must be a whole number from 1 to {MAX_STORED_PX}")
    if type(images) is not int or images < 1:
        raise ValueError(f"images_trained is {images!r}; it must be a whole number above 0")
    if type(parameters) is not int or parameters < 1:
        raise ValueError(f"num_parameters is {parameters!r}; it must be a whole number above 0")
    if description.views not in SINGLE_VIEWS:
        raise ValueError(f"views are {description.views!r}; they must be one of {', '.join(SINGLE_VIEWS)}")
    if not all(isinstance(plugin, str) for plugin in description.plugins):
        raise ValueError(f"plugins are {description.plugins!r}; they must be names of Python modules")
