"""The model card that lies beside an export: what the model is, how good, how to use it, what not to expect of it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2

import hpsearch
from hpsearch.files import replacing
from hpsearch.final.export import ModelDescription
from hpsearch.layout import MODEL_CARD, MODEL_DESCRIPTION, MODEL_ONNX, MODEL_WEIGHTS

if TYPE_CHECKING:
    from hpsearch.final.onnx_file import OnnxCheck
    from hpsearch.layout import SplitResult


def write_model_card(
    directory: Path, description: ModelDescription, *, scores: dict[str, SplitResult], onnx: OnnxCheck | None, name: str
) -> None:
    """Writes the card into the export `directory`.

    Args:
        directory: An export.
        description: What its `model.json` says.
        scores: What was measured, by the images that it was measured on, such as `validation`.
        onnx: How `model.onnx` was checked; None: there is none.
        name: Name of the run that made it.
    """
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
    environment.filters["plain"] = _plain
    template = environment.from_string(files(__package__).joinpath("model_card.md.j2").read_text(encoding="utf-8"))
    text = template.render(
        name=_plain(name),
        model=description,
        scores=scores,
        onnx=onnx,
        names={"weights": MODEL_WEIGHTS, "description": MODEL_DESCRIPTION, "onnx": MODEL_ONNX},
        version=hpsearch.__version__,
        params={_plain(key): _plain(value) for key, value in description.params.items()},
    )
    with replacing(directory / MODEL_CARD) as partial:
        partial.write_text(text, encoding="utf-8")


def _plain(value: object) -> str:
    """`value` as text that cannot become markup: a backbone's or a run's name may be anything."""
    return str(value).replace("`", "'").replace("<", "‹").replace(">", "›").replace("\n", " ")
