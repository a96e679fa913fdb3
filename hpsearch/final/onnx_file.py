"""`model.onnx`: an exported detector for other runtimes, checked against torch before it is kept.

The graph takes pixels as they come from a file, resized and cropped to a square, and gives P(deepfake): scaling, the
evaluation's crop, normalisation, softmax and the mean over views are inside, so that nothing has to be done alike in a second
program.

Legend: b images, c colours, h and w pixels of the stored square, o and p pixels of another square, k classes.
"""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Callable, Sequence
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
from hpsearch.judge.views import SINGLE_VIEWS, view
from hpsearch.layout import MODEL_ONNX
from hpsearch.train.augment.sampling import resized

if TYPE_CHECKING:
    from numpy.typing import NDArray

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
INPUT, OUTPUT = "pixels", "p_deepfake"
NUM_CHECKED = 32
"""Real images that both runtimes score."""
TOLERANCE = 5e-3
"""Largest difference of a probability between the runtimes. Kernels differ by some 1e-6 a layer; views that are resized differ
by a grey level here and there, which made 6e-4 on faces with a small network."""


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
        _export(_Scoring(scorer), px, partial)
        return _compared(scorer, partial, np.stack(images))


class _Scoring(nn.Module):
    """uint8 pixels (b, h, w, c) to P(deepfake) (b,), averaged over the views that the model is used with."""

    evaluation_oh: Tensor

    def __init__(self, scorer: Scorer) -> None:
        super().__init__()
        self.model = scorer.model
        self._views = SINGLE_VIEWS[scorer.description.views]
        self._px = scorer.augmentation.cache_px
        stored_bchw = torch.empty(1, 3, scorer.description.stored_px, scorer.description.stored_px)
        for side in {view(stored_bchw, name).shape[-1] for name in self._views} - {self._px}:
            self.register_buffer(f"resizing_{side}", matrix_of(lambda images_bchw: resized(images_bchw, self._px), side))
        self.register_buffer("evaluation_oh", matrix_of(scorer.augmentation.evaluation, self._px))

    def forward(self, pixels_bhwc: Tensor) -> Tensor:
        images_bchw = pixels_bhwc.permute(0, 3, 1, 2).float()
        answers = [self._answer(view(images_bchw, name)) for name in self._views]
        return torch.stack(answers).mean(dim=0)

    def _answer(self, images_bchw: Tensor) -> Tensor:
        side = images_bchw.shape[-1]
        if side != self._px:
            resizing_ph = self.get_buffer(f"resizing_{side}")
            images_bchw = (resizing_ph @ images_bchw @ resizing_ph.T).round()  # Stored images keep their 8 bits.
        seen_bchw = (self.evaluation_oh @ (images_bchw / 255) @ self.evaluation_oh.T).clamp(0, 1)
        return torch.softmax(self.model(seen_bchw), dim=1)[:, 1]


def matrix_of(change: Callable[[Tensor], Tensor], side: int) -> Tensor:
    """What `change` does along one side of square images, (o, h): linear, and the same along both sides.

    Column i is read off an image of which row i alone is white.
    """
    rows_bchw = torch.eye(side)[:, None, :, None].expand(side, 3, side, side)
    columns_ho = torch.cat([change(row_bchw[None])[:, 0, :, 0] for row_bchw in rows_bchw])
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
    ours_n = scorer.scored(torch.from_numpy(pixels_bhwc))
    largest = float(max(np.abs(theirs_n - ours_n).max(), np.abs(first - ours_n[:1]).max()))
    if not largest <= TOLERANCE:
        raise OnnxError(f"onnxruntime and torch differ by {largest:.2g} in P(deepfake); at most {TOLERANCE:g} is accepted.")
    return OnnxCheck(num_images=len(pixels_bhwc), largest_difference=largest)
