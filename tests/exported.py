"""An export with random weights, for tests of what is made from exports."""

from pathlib import Path

import torch

from hpsearch.config import Params
from hpsearch.final.export import ModelDescription, write_export
from hpsearch.model.backbones import build
from hpsearch.train.settings import settings_from
from hpsearch.train.vocabulary import model_spec


def make_export(
    directory: Path, *, stored_px: int = 40, weights_tag: str = "none", **changes: str | int | float
) -> ModelDescription:
    """Writes an export of an untrained network; `changes` are its parameters, `__` for a dot in a name."""
    params: Params = {"backbone": "test_resnet", "image_px": 32, "lr": 1e-3}
    params |= {name.replace("__", "."): value for name, value in changes.items()}
    torch.manual_seed(0)
    model = build(model_spec(settings_from(params))).eval()
    with torch.no_grad():  # far enough from ½ that a wrong input shows
        model.network.get_classifier().weight.mul_(20)
    description = ModelDescription(
        params=params,
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        weights_tag=weights_tag,
        start_weights=({"tag": weights_tag, "kept": 0, "fresh": len(model.state_dict())},),
        stored_px=stored_px,
        images_trained=72,
        seed=7,
        val={},
        data_fingerprint="0123",
        versions={"torch": "2", "timm": "1"},
    )
    write_export(directory, model, description)
    return description
