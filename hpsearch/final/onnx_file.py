"""`model.onnx`: an exported detector for other runtimes, checked against torch before it is kept.

The graph takes pixels as they come from a file, resized and cropped to a square, and gives P(deepfake): scaling, the
evaluation's crop, normalisation and softmax are inside, so that nothing has to be done alike in a second program.

Legend: b images, c colours, h and w pixels of the stored square, o pixels of what the network sees, k classes.
"""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from hpsearch.data.decode import readable_images
from hpsearch.errors import HpsearchError
from hpsearch.files import replacing
from hpsearch.final.scorer import Scorer
from hpsearch.layout import MODEL_ONNX

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.train.augment import Augmentation

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
INPUT, OUTPUT = "pixels", "p_deepfake"
NUM_CHECKED = 32
"""Real images that both runtimes score."""
TOLERANCE = 1e-3
"""Largest difference of a probability between the runtimes; fp32 kernels differ by some 1e-6 per layer."""


class OnnxError(HpsearchError):
    """The network cannot be written as ONNX, or answers otherwise there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OnnxCheck:
    """How near the two runtimes are."""

    num_images: int
    """Real images that both scored."""
    largest_difference: float
    """Of P(deepfake), over those images."""


def missing_packages() -> list[str]:
    """Packages of the extra `onnx` that are not installed."""
    return [package for package in PACKAGES if importlib.util.find_spec(package) is None]


def write_onnx(directory: Path, paths: Sequence[str]) -> OnnxCheck:
    """Writes `model.onnx` into the export `directory`, once onnxruntime gives torch's answers on images of `paths`.

    Args:
        directory: An export.
        paths: Image files; the first readable ones are scored by both.

    Raises:
        OnnxError: the network cannot be written, its answers differ, or none of the images can be read; no file is left.
        InputError: no export there.
    """
    scorer = Scorer.load(directory, "cpu")
    px = scorer.description.stored_px
    images = list(readable_images(paths, px, NUM_CHECKED))
    if not images:
        raise OnnxError("none of the images can be read, so model.onnx cannot be checked against torch.")
    with replacing(directory / MODEL_ONNX) as partial:
        _export(_Scoring(scorer.model, scorer.augmentation, px), px, partial)
        return _compared(scorer, partial, np.stack(images))


class _Scoring(nn.Module):
    """uint8 pixels (b, h, w, c) to P(deepfake) (b,)."""

    resampling_oh: Tensor

    def __init__(self, model: nn.Module, augmentation: Augmentation, stored_px: int) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("resampling_oh", evaluation_matrix(augmentation, stored_px))
        side = augmentation.image_px
        self._is_whole = side == stored_px and bool(torch.equal(self.resampling_oh, torch.eye(side)))

    def forward(self, pixels_bhwc: Tensor) -> Tensor:
        images_bchw = pixels_bhwc.permute(0, 3, 1, 2).float() / 255
        if not self._is_whole:
            images_bchw = (self.resampling_oh @ images_bchw @ self.resampling_oh.T).clamp(0, 1)
        return torch.softmax(self.model(images_bchw), dim=1)[:, 1]


def evaluation_matrix(augmentation: Augmentation, stored_px: int) -> Tensor:
    """What evaluation does along one side, (o, h): cropping and resampling are linear, and the same along both sides.

    Column i is read off an image of which row i alone is white.
    """
    rows_bchw = torch.eye(stored_px)[:, None, :, None].expand(stored_px, 3, stored_px, stored_px)
    columns_ho = torch.cat([augmentation.evaluation(row_bchw[None])[:, 0, :, 0] for row_bchw in rows_bchw])
    return columns_ho.T.contiguous()


def _export(module: nn.Module, px: int, file: Path) -> None:
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    # Two images: torch.export would take a batch of one for a constant.
    example = torch.zeros(2, px, px, 3, dtype=torch.uint8)
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module.eval(),
                (example,),
                file,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # the exporter raises what the network's own code and each of its passes raise
        reason = str(error).strip().partition("\n")[0]
        raise OnnxError(f"this network cannot be written as ONNX ({type(error).__name__}: {reason}).") from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _compared(scorer: Scorer, file: Path, pixels_bhwc: NDArray[np.uint8]) -> OnnxCheck:
    """Compares the runtimes on all images at once and on a batch of another size.

    Raises:
        OnnxError: they differ by more than `TOLERANCE`.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    theirs_n = session.run([OUTPUT], {INPUT: pixels_bhwc})[0]
    first = session.run([OUTPUT], {INPUT: pixels_bhwc[:1]})[0]
    ours_n = scorer.probabilities_of(torch.from_numpy(pixels_bhwc))
    largest = float(max(np.abs(theirs_n - ours_n).max(), np.abs(first - ours_n[:1]).max()))
    if not largest <= TOLERANCE:
        raise OnnxError(f"onnxruntime and torch differ by {largest:.2g} in P(deepfake); at most {TOLERANCE:g} is accepted.")
    return OnnxCheck(num_images=len(pixels_bhwc), largest_difference=largest)
