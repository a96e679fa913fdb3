"""From the settings of a configuration to its `Augmentation`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from hpsearch.errors import InputError
from hpsearch.train.augment.colour import Colour
from hpsearch.train.augment.compose import Augmentation, Function, Uniforms
from hpsearch.train.augment.geometry import Geometry
from hpsearch.train.augment.randaugment import RandAugment
from hpsearch.train.augment.registry import Declaration, declaration, resolved

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


def build_augmentation(augment: Mapping[str, Mapping[str, Any]], image_px: int) -> Augmentation:
    """The augmentation that `augment` (augmentation → its parameters, as in `TrialSettings`) describes.

    Raises:
        InputError: an unknown augmentation or parameter (with the nearest known one), a value out of range, or
            parameters of an augmentation that nothing turns on.
    """
    given = resolved(augment)
    ops = given.get("randaugment")
    randaugment = RandAugment(**ops) if ops and ops["num_ops"] > 0 and ops["magnitude"] > 0 else None
    names = [name for name in given if name != "randaugment" or randaugment]
    return Augmentation(
        geometry=_geometry(given, image_px, randaugment),
        colour=Colour(
            jitter_p=_value(given, "jitter", "p", 0.0),
            jitter_strength=_value(given, "jitter", "strength", 0.0),
            grayscale_p=_value(given, "grayscale", "p", 0.0),
            randaugment=randaugment,
        ),
        functions=(*_randaugment_functions(randaugment), *_functions(given)),
        num_uniforms={
            **{name: declaration(name).num_uniforms for name in names},
            **{f"{name}.p": 1 for name in names if declaration(name).apply is not None},
        },
    )


def cache_px(augment: Mapping[str, Mapping[str, Any]], image_px: int) -> int:
    """Side at which images have to be stored for `augment`; raises as `build_augmentation` does."""
    return _geometry(resolved(augment), image_px, None).store_px


def _geometry(given: Mapping[str, Mapping[str, Any]], image_px: int, randaugment: RandAugment | None) -> Geometry:
    return Geometry(
        image_px=image_px,
        crop_mode=_value(given, "crop", "mode", "resize"),
        crop_ratio=_value(given, "crop", "ratio", 1.0),
        scale_min=_value(given, "crop", "scale_min", 1.0),
        hflip_p=_value(given, "hflip", "p", 0.0),
        vflip_p=_value(given, "vflip", "p", 0.0),
        degrees=_value(given, "rotate", "degrees", 0.0),
        corners=_value(given, "rotate", "corners", "black"),
        randaugment=randaugment,
    )


def _value(given: Mapping[str, Mapping[str, Any]], name: str, parameter: str, otherwise: Any) -> Any:
    return given.get(name, {}).get(parameter, otherwise)


def _functions(given: Mapping[str, dict[str, Any]]) -> list[Function]:
    """The functions of `given`, in their order; those of equal order by name."""
    functions = []
    for entry in sorted(map(declaration, given), key=lambda entry: (entry.order, entry.name)):
        parameters = dict(given[entry.name])
        p = parameters.pop("p", 1.0)
        if entry.apply is None or p == 0:
            continue
        apply = partial(_checked, entry, partial(entry.apply, **parameters))
        functions.append(Function(augmentation=entry.name, apply=apply, drawn=partial(_gate, entry.name, p)))
    return functions


def _randaugment_functions(randaugment: RandAugment | None) -> Iterator[Function]:
    if randaugment is None:
        return
    for operation, apply in randaugment.functions().items():
        drawn = partial(_drew, randaugment, operation)
        yield Function(augmentation="randaugment", apply=apply, drawn=drawn)


def _gate(name: str, p: float, uniforms: Uniforms) -> NDArray[np.bool_]:
    return uniforms[f"{name}.p"][:, 0] < p


def _drew(randaugment: RandAugment, operation: str, uniforms: Uniforms) -> NDArray[np.bool_]:
    return randaugment.drew(operation, uniforms["randaugment"])


def _checked(entry: Declaration, apply: Callable[[Tensor, Tensor], Tensor], images_bchw: Tensor, uniforms_bu: Tensor) -> Tensor:
    changed_bchw = apply(images_bchw, uniforms_bu)
    if changed_bchw.shape != images_bchw.shape or changed_bchw.dtype != images_bchw.dtype:
        raise InputError(
            f"augmentation {entry.name!r} turned {images_bchw.dtype} {tuple(images_bchw.shape)} into {changed_bchw.dtype} "
            f"{tuple(changed_bchw.shape)}; its function has to keep shape and type."
        )
    return changed_bchw
