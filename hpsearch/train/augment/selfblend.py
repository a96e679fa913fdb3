"""Self-blended images (Shiohara and Yamasaki 2022): fakes made of one real face, so that what is learned is the blending.

A copy of the image, a little moved, scaled, recoloured, sharpened or softened, and compressed or reduced, is blended into
the image itself inside a soft mask; or the image into the copy. Without landmarks the mask is a turned superellipse around
the middle, where face crops have their face, whose border an elastic field bends. Strengths are about those of the paper.

Legend: b images, c colours, h and w pixels, u random numbers, g knots of the elastic field along a side; 2 x and y.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from hpsearch.train.augment import downscale, jpeg, sampling
from hpsearch.train.augment.colour import ColourChain, recoloured
from hpsearch.train.augment.device import to_device
from hpsearch.train.augment.geometry import rotation
from hpsearch.train.augment.randaugment import smoothed

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

_KNOTS = 5
_RATIOS = np.array([0.25, 0.5, 0.75, 1.0, 1.0, 1.0])
"""How much of the copy is blended in; each with the same probability, as in the paper."""
_COLUMNS = {"mask": 9, "map": 4, "colour": 7, "detail": 5, "elastic": 2 * _KNOTS**2}
"""What the random numbers of an image are for."""
NUM_UNIFORMS = sum(_COLUMNS.values())
"""Random numbers for each image."""


def selfblend(images_bchw: Tensor, uniforms_bu: NDArray[np.float32]) -> Tensor:
    """The self-blended version of each image.

    Args:
        images_bchw: float32 in [0, 1], planar, square, on any device.
        uniforms_bu: `NUM_UNIFORMS` numbers in [0, 1) for each, on the host.

    Returns:
        The same shape and range.
    """
    ends = np.cumsum(list(_COLUMNS.values())).tolist()
    drawn = {name: uniforms_bu[:, end - num : end] for (name, num), end in zip(_COLUMNS.items(), ends, strict=True)}
    copies_bchw = _moved(images_bchw, drawn["map"])
    copies_bchw = recoloured(copies_bchw, to_device(_colours(drawn["colour"]), images_bchw.device))
    copies_bchw = _detailed(copies_bchw, drawn["detail"])
    masks_b1hw = _masks(drawn["mask"], drawn["elastic"], images_bchw)
    return torch.lerp(images_bchw, copies_bchw, masks_b1hw).clamp_(0, 1)


def _masks(shape_b9: NDArray[np.float32], elastic_bu: NDArray[np.float32], images_bchw: Tensor) -> Tensor:
    """How much of the copy each pixel gets, (b, 1, h, w)."""
    signed_b9 = 2.0 * shape_b9 - 1.0
    angles_b = 0.25 * math.pi * signed_b9[:, 4].astype(np.float64)
    half_axes_b2 = np.stack([0.3 + 0.4 * shape_b9[:, 2], 0.4 + 0.45 * shape_b9[:, 3]], axis=1)
    to_unit_b22 = rotation(angles_b) / half_axes_b2[:, :, None]
    centres_b2 = 0.2 * signed_b9[:, :2]
    numbers_b = to_device(
        np.concatenate(
            [
                to_unit_b22.reshape(-1, 4),
                centres_b2,
                2.0 + 2.0 * shape_b9[:, 5:6],  # exponent: 2 is an ellipse, 4 nearly a rectangle
                0.05 + 0.45 * shape_b9[:, 6:7],  # width of the soft border, in half axes
                _RATIOS[(shape_b9[:, 7:8] * len(_RATIOS)).astype(int)],
                shape_b9[:, 8:9] < 0.5,  # blends the image into the copy
            ],
            axis=1,
        ).astype(np.float32),
        images_bchw.device,
    )[:, :, None, None]
    knots_b2gg = to_device(elastic_bu.reshape(-1, 2, _KNOTS, _KNOTS) - np.float32(0.5), images_bchw.device)
    bent_b2hw = F.interpolate(0.4 * knots_b2gg, images_bchw.shape[2:], mode="bilinear", align_corners=True)
    steps = torch.linspace(-1, 1, images_bchw.shape[-1], device=images_bchw.device)
    x_bhw = bent_b2hw[:, 0] + steps - numbers_b[:, 4]
    y_bhw = bent_b2hw[:, 1] + steps[:, None] - numbers_b[:, 5]
    across_bhw = (numbers_b[:, 0] * x_bhw + numbers_b[:, 1] * y_bhw).abs_()
    along_bhw = (numbers_b[:, 2] * x_bhw + numbers_b[:, 3] * y_bhw).abs_()
    exponent_b = numbers_b[:, 6]
    radius_bhw = (across_bhw.pow_(exponent_b) + along_bhw.pow_(exponent_b)).pow_(1.0 / exponent_b)
    inside_bhw = ((1.0 - radius_bhw) / numbers_b[:, 7]).add_(0.5).clamp_(0, 1)
    inside_bhw = inside_bhw * inside_bhw * (3.0 - 2.0 * inside_bhw)
    masks_bhw = torch.where(numbers_b[:, 9] > 0, 1.0 - inside_bhw, inside_bhw)
    return (masks_bhw * numbers_b[:, 8])[:, None]


def _moved(images_bchw: Tensor, map_b4: NDArray[np.float32]) -> Tensor:
    """Copies scaled by up to 5 % along x and y and shifted by up to 3 % of the side."""
    signed_b4 = 2.0 * map_b4.astype(np.float64) - 1.0
    maps_b23 = np.zeros((len(map_b4), 2, 3))
    maps_b23[:, (0, 1), (0, 1)] = 1.0 + 0.05 * signed_b4[:, :2]
    maps_b23[:, :, 2] = 2 * 0.03 * signed_b4[:, 2:]
    return sampling.sampled(images_bchw, maps_b23.astype(np.float32), images_bchw.shape[-1], "edge")


def _colours(colour_b7: NDArray[np.float32]) -> NDArray[np.float32]:
    """Chains of brightness, contrast, saturation and hue, and a gain for each colour."""
    signed_b7 = 2.0 * colour_b7.astype(np.float64) - 1.0
    chain = ColourChain(len(colour_b7))
    chain.brightness(1.0 + 0.15 * signed_b7[:, 0])
    chain.contrast(1.0 + 0.15 * signed_b7[:, 1])
    chain.saturation(1.0 + 0.3 * signed_b7[:, 2])
    chain.hue(10.0 * signed_b7[:, 3])
    gains_b3: NDArray[np.float32] = (1.0 + 0.08 * signed_b7[:, 4:]).astype(np.float32)
    return chain.matrices_b36 * gains_b3[:, :, None]


def _detailed(copies_bchw: Tensor, detail_b5: NDArray[np.float32]) -> Tensor:
    """Copies softened or sharpened; a third of them compressed besides, and a third reduced and enlarged again."""
    detail = to_device(detail_b5, copies_bchw.device)
    factors_b = (2.0 * detail[:, 0])[:, None, None, None]
    detailed_bchw = torch.lerp(smoothed(copies_bchw), copies_bchw, factors_b).clamp_(0, 1)
    kinds_b = np.floor(3 * detail_b5[:, 1])
    for kind in (0, 1):
        rows = to_device(np.flatnonzero(kinds_b == kind), copies_bchw.device)
        if not len(rows):
            continue
        chosen_nchw, numbers_nu = detailed_bchw.index_select(0, rows), detail.index_select(0, rows)[:, 2:]
        if kind == 0:
            changed_nchw = jpeg.jpeg(chosen_nchw, numbers_nu, quality_min=40)
        else:
            changed_nchw = downscale.downscale(chosen_nchw, numbers_nu, factor_min=0.4)
        detailed_bchw.index_copy_(0, rows, changed_nchw)
    return detailed_bchw
