"""The augmentations that come with hpsearch: their parameters, ranges and defaults, in the order in which they act.

Each is off unless a space file names the parameter that turns it on (`p`, `degrees`, `alpha`, `mode` or `num_ops`). The
defaults of the others are usual strengths.

`mixup` and `cutmix` mix images that come one after the other: any two, but with `order: matched` often a real image and the
deepfake that resembles it most.
"""

from __future__ import annotations

from hpsearch.train.augment import colour, degrade, downscale, erase, geometry, jpeg, randaugment
from hpsearch.train.augment.registry import AugmentationFunction, Declaration, Parameter, declare, integer, number, text


def _probability() -> Parameter:
    return number(0.0, 0.0, 1.0, unit="share of images")


def _declare(
    name: str,
    parameters: dict[str, Parameter],
    num_uniforms: int,
    apply: AugmentationFunction | None = None,
    *,
    order: int = 0,
) -> None:
    switch = next(iter(parameters))
    declare(
        Declaration(
            name=name,
            parameters=parameters,
            switch=switch,
            num_uniforms=num_uniforms,
            apply=apply,
            order=order,
            builtin=True,
        )
    )


# Before all others, on real images, which become deepfakes in their places: the batch then has fewer real ones (`labelled`,
# `selfblend`).
_declare("selfblend", {"p": _probability()}, 0)

# One sampling pass (`geometry`, `sampling`).
_declare(
    "crop",
    {
        "mode": text("resize", "resize", "centre", "ratio", "random_resized"),
        "ratio": number(1.143, 1.0, 1.5, unit="stored side / network's side"),
        "scale_min": number(0.5, 0.08, 1.0, unit="share of the area"),
    },
    geometry.NUM_UNIFORMS["crop"],
)
_declare("hflip", {"p": _probability()}, geometry.NUM_UNIFORMS["hflip"])
_declare("vflip", {"p": _probability()}, geometry.NUM_UNIFORMS["vflip"])
_declare(
    "rotate",
    {"degrees": number(0.0, 0.0, 180.0, unit="°"), "corners": text("black", "black", "reflect", "zoom")},
    geometry.NUM_UNIFORMS["rotate"],
)

# One colour pass (`colour`).
_declare("jitter", {"p": _probability(), "strength": number(0.2, 0.0, 1.0)}, colour.NUM_UNIFORMS["jitter"])
_declare("grayscale", {"p": _probability()}, colour.NUM_UNIFORMS["grayscale"])

# In both passes, and functions of its own after them.
_declare(
    "randaugment",
    {"num_ops": integer(0, 0, randaugment.MAX_OPS, unit="operations"), "magnitude": number(9.0, 0.0, 15.0, unit="tenths")},
    randaugment.NUM_UNIFORMS,
)

# Functions on the images that drew them.
_declare("gamma", {"p": _probability(), "strength": number(0.2, 0.0, 1.0)}, 1, colour.gamma, order=200)
_declare(
    "downscale",
    {"p": _probability(), "factor_min": number(0.5, 0.1, 1.0, unit="× the side")},
    3,
    downscale.downscale,
    order=300,
)
_declare("blur", {"p": _probability(), "sigma_max": number(1.0, 0.0, 5.0, unit="px")}, 1, degrade.blur, order=400)
_declare("noise", {"p": _probability(), "std_max": number(10.0, 0.0, 50.0, unit="of 255")}, 3, degrade.noise, order=500)
_declare("jpeg", {"p": _probability(), "quality_min": number(50.0, 1.0, 100.0, unit="of 100")}, 1, jpeg.jpeg, order=600)
_declare(
    "erase", {"p": _probability(), "area_max": number(0.2, 0.0, 0.33, unit="share of the area")}, 7, erase.erase, order=700
)

# After all others, on pairs of images and their targets (`labelled`, `mix`).
_declare("mixup", {"alpha": number(0.0, 0.0, 2.0)}, 0)
_declare("cutmix", {"alpha": number(0.0, 0.0, 2.0)}, 0)
