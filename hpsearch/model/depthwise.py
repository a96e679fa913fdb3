"""Depthwise convolutions that train fast in bf16 on a CPU.

oneDNN has fast bf16 kernels for the gradients of depthwise convolutions, but not for all: that of the input where the stride
is above 1, and that of the weights where the kernel is larger than 3 × 3, are computed by plain loops. Here the first is
computed in fp32, and the second in tiles of 3 × 3 weights, each by the fast kernel on a shifted input. One thread of an AMD
EPYC (Zen 4, avx512_bf16), torch 2.14.1, batch 32: weights of 5 × 5 at 480 channels of 8 px 1.9 ms for 26 ms, input at stride 2
and 144 channels of 32 px 6 ms for 104 ms. `python -m hpsearch.bench train` compares whole networks with torch's own.

Axis legend: `b` images of a batch, `c` channels, `h`, `w` height and width; `o` 1; `k`, `l` rows and columns of a kernel.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.padding import pad_same
from torch import Tensor, nn
from torch.nn import functional as F

Pair = tuple[int, int]
TILE = 3
"""Side of the kernels whose weights' gradient oneDNN computes fast."""


def speed_up_depthwise(model: nn.Module) -> int:
    """Replaces depthwise convolutions of `model` in place; parameters and their names stay what they are.

    Only training in bf16 on a CPU changes; the values differ by rounding alone.

    Returns:
        How many were replaced.
    """
    found = list(_depthwise(model))
    for parent, name, conv in found:
        setattr(parent, name, DepthwiseConv(conv))
    return len(found)


def _depthwise(model: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Conv2d]]:
    for parent in model.modules():
        for name, child in parent.named_children():
            if isinstance(child, nn.Conv2d) and type(child) in (nn.Conv2d, Conv2dSame) and _is_covered(child):
                yield parent, name, child


def _is_covered(conv: nn.Conv2d) -> bool:
    if not 1 < conv.groups == conv.in_channels == conv.out_channels:
        return False
    rows, columns = conv.kernel_size
    is_plain = conv.dilation == (1, 1) and conv.padding_mode == "zeros" and not isinstance(conv.padding, str)
    return is_plain and rows == columns and rows >= TILE and rows % 2 == 1


class DepthwiseConv(nn.Conv2d):
    """Computes what the convolution that it was made from computes, with the same parameters."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__(
            conv.in_channels,
            conv.out_channels,
            kernel_size=_pair(conv.kernel_size),
            stride=_pair(conv.stride),
            padding=_pair(conv.padding),
            groups=conv.groups,
            bias=conv.bias is not None,
            device="meta",
        )
        self.weight, self.bias = conv.weight, conv.bias
        self._pads_like_input = isinstance(conv, Conv2dSame)
        self.train(conv.training)

    def forward(self, images_bchw: Tensor) -> Tensor:
        """Features of shape (b, c, h′, w′)."""
        padding = self.padding
        if self._pads_like_input:
            images_bchw = pad_same(images_bchw, list(self.kernel_size), list(self.stride))
            padding = (0, 0)
        if not _trains_in_bf16(images_bchw):
            return F.conv2d(images_bchw, self.weight, self.bias, self.stride, padding, groups=self.groups)
        weight_cokl = self.weight.to(torch.bfloat16)
        bias_c = None if self.bias is None else self.bias.to(torch.bfloat16)
        result: Tensor = _TiledGradients.apply(images_bchw.to(torch.bfloat16), weight_cokl, bias_c, self.stride, padding)
        return result


def _pair(numbers: tuple[int, ...] | str) -> Pair:
    assert not isinstance(numbers, str), "convolutions padded by name are not covered"
    rows, columns = numbers
    return rows, columns


def _trains_in_bf16(images_bchw: Tensor) -> bool:
    if images_bchw.device.type != "cpu" or not torch.is_grad_enabled():
        return False
    return torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16


class _TiledGradients(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        input_bchw: Tensor,
        weight_cokl: Tensor,
        bias_c: Tensor | None,
        stride: tuple[int, int],
        padding: tuple[int, int],
    ) -> Tensor:
        ctx.save_for_backward(input_bchw, weight_cokl)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(input_bchw, weight_cokl, bias_c, stride, padding, groups=len(weight_cokl))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        (slope_bchw,) = gradients
        input_bchw, weight_cokl = ctx.saved_tensors
        needs_input, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        of_input = _of_input(slope_bchw, input_bchw, weight_cokl, ctx.stride, ctx.padding) if needs_input else None
        of_weight = _of_weight(slope_bchw, input_bchw, weight_cokl, ctx.stride, ctx.padding) if needs_weight else None
        of_bias = slope_bchw.sum((0, 2, 3), dtype=torch.float32).to(slope_bchw.dtype) if needs_bias else None
        return of_input, of_weight, of_bias, None, None


def _of_input(slope_bchw: Tensor, input_bchw: Tensor, weight_cokl: Tensor, stride: Pair, padding: Pair) -> Tensor:
    dtype = input_bchw.dtype if stride == (1, 1) else torch.float32
    of_input_bchw = _gradients(
        slope_bchw.to(dtype), input_bchw.to(dtype), weight_cokl.to(dtype), stride, padding, (True, False, False)
    )[0]
    return of_input_bchw.to(input_bchw.dtype)


def _of_weight(slope_bchw: Tensor, input_bchw: Tensor, weight_cokl: Tensor, stride: Pair, padding: Pair) -> Tensor:
    side = weight_cokl.shape[2]
    if side == TILE:
        return _gradients(slope_bchw, input_bchw, weight_cokl, stride, padding, (False, True, False))[1]
    # Row and column k of the kernel only meet the input from padding − k on; neighbouring tiles share a row or column.
    height, width = (one * (length - 1) + TILE for one, length in zip(stride, slope_bchw.shape[2:], strict=True))
    of_weight_cokl, tile_cokl = torch.empty_like(weight_cokl), weight_cokl[:, :, :TILE, :TILE]
    for row in range(0, side - TILE + 1, TILE - 1):
        for column in range(0, side - TILE + 1, TILE - 1):
            above, before = padding[0] - row, padding[1] - column
            below, after = height - above - input_bchw.shape[2], width - before - input_bchw.shape[3]
            shifted_bchw = F.pad(input_bchw, (before, after, above, below))
            of_tile = _gradients(slope_bchw, shifted_bchw, tile_cokl, stride, (0, 0), (False, True, False))[1]
            of_weight_cokl[:, :, row : row + TILE, column : column + TILE] = of_tile
    return of_weight_cokl


def _gradients(
    slope_bchw: Tensor,
    input_bchw: Tensor,
    weight_cokl: Tensor,
    stride: Pair,
    padding: Pair,
    wanted: tuple[bool, bool, bool],
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients by torch of input, weight and bias, as far as they are wanted."""
    result: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        slope_bchw, input_bchw, weight_cokl, None, stride, padding, (1, 1), False, (0, 0), len(weight_cokl), wanted
    )
    return result
