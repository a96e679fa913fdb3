"""P(deepfake) of image files, from an export; without Ray.

Legend: b images of a batch, c colours, h and w pixels, k classes.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from hpsearch.data.batches import evaluation_batches
from hpsearch.data.decode import UnreadableImageError, decode
from hpsearch.data.processes import num_cores
from hpsearch.errors import InputError
from hpsearch.final.export import ModelDescription, read_description
from hpsearch.judge.views import SINGLE_VIEWS, view
from hpsearch.layout import MODEL_DESCRIPTION, MODEL_WEIGHTS
from hpsearch.model.backbones import ModelSpec, build
from hpsearch.model.ensemble import Ensemble
from hpsearch.search.space import Space
from hpsearch.search.space_start import MAX_PARAMETERS
from hpsearch.train.augment import build_augmentation
from hpsearch.train.evaluate import evaluation_batch_size
from hpsearch.train.plugins import import_plugins
from hpsearch.train.settings import settings_from
from hpsearch.train.vocabulary import TrainVocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from hpsearch.config import Params
    from hpsearch.data.training_data import LabelledImages
    from hpsearch.judge.robustness import Degradation
    from hpsearch.model.detector import Detector

MOST_AT_ONCE = 128
"""Images of a batch at most; on a CPU only as many as its caches like."""
BATCHES_AHEAD = 2
UNKNOWN = 0.5
"""Probability of an image that cannot be read: a submission must have a row for it."""


class Scorer:
    """An exported model, ready to score images; `hpsearch.load` gives one.

    Attributes:
        description: what `model.json` says.
        model: images in [0, 1], normalised by itself, to two logits; in evaluation mode.
        augmentation: gives the rule of size and crop.
    """

    def __init__(self, description: ModelDescription, model: Detector | Ensemble, device: str) -> None:
        """Takes a model whose weights are loaded; `load` is what users want."""
        settings = settings_from(description.params)
        self.description = description
        model.to(device).to(memory_format=torch.channels_last)
        self.model: Detector | Ensemble = model.eval()
        self.augmentation = build_augmentation(settings.augment, settings.image_px)
        self.device = device
        self._batch_size = evaluation_batch_size(MOST_AT_ONCE, settings.image_px, torch.device(device))

    @classmethod
    def load(cls, directory: Path, device: str = "", *, plugins: Sequence[str] = ()) -> Scorer:
        """Loads an export. Nothing in it can run code; modules that it needs are imported only where the caller names them.

        Args:
            directory: The export.
            device: `cpu`, `cuda`, `cuda:1`; empty: a GPU where there is one.
            plugins: The user's own modules with its backbone or augmentation.

        Raises:
            InputError: no export there, its files do not fit each other, or it needs a plugin that is not named.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        description = read_description(directory)
        import_plugins(plugins)
        _require_named(description, plugins, directory)
        networks = [_built(params, description, directory) for params in description.members or (description.params,)]
        model = Ensemble(networks) if description.members else networks[0]
        try:
            model.load_state_dict(load_file(directory / MODEL_WEIGHTS))
        except (OSError, SafetensorError, RuntimeError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise InputError(f"{directory / MODEL_WEIGHTS}: cannot be loaded ({reason}). Export the model again.") from error
        return cls(description, model, device or ("cuda" if torch.cuda.is_available() else "cpu"))

    def score(self, path: str | Path) -> float:
        """P(deepfake) of one image file.

        Raises:
            UnreadableImageError: it cannot be decoded.
        """
        pixels_hwc = decode(str(path), self.description.stored_px)
        return float(self.scored(torch.tensor(pixels_hwc)[None])[0])

    def probabilities(
        self,
        paths: Sequence[str],
        *,
        num_workers: int | None = None,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> tuple[NDArray[np.float64], list[tuple[str, str]]]:
        """P(deepfake) of each file, shape (n,), and the files that could not be read, each with its reason.

        Args:
            paths: Image files.
            num_workers: Threads that decode; None: one for each core.
            on_progress: Told how many of how many are done.
        """
        probabilities_n = np.full(len(paths), UNKNOWN)
        unreadable: list[tuple[str, str]] = []
        num_done = 0
        for rows, probabilities_b, failed in self.answers(paths, num_workers=num_workers):
            probabilities_n[rows] = probabilities_b
            unreadable += failed
            num_done += len(rows) + len(failed)
            on_progress(num_done, len(paths))
        return probabilities_n, unreadable

    def answers(
        self, paths: Sequence[str], *, num_workers: int | None = None
    ) -> Iterator[tuple[list[int], NDArray[np.float64], list[tuple[str, str]]]]:
        """The same by batches: rows of `paths`, their P(deepfake), and files that could not be read, each with its reason."""
        workers = num_cores() if num_workers is None else num_workers
        for rows, pixels_bhwc, failed in _decoded(paths, self.description.stored_px, workers, self._batch_size):
            yield rows, self.scored(pixels_bhwc) if rows else np.empty(0), failed

    def inputs_of(self, pixels_bhwc: Tensor) -> Tensor:
        """What the model sees of decoded images (uint8 RGB squares of `description.stored_px`): (b, c, h, w) in [0, 1]."""
        return self.augmentation.evaluation(pixels_bhwc.to(self.device).permute(0, 3, 1, 2))

    def score_set(
        self, images: LabelledImages, *, views: Sequence[str], degradation: Degradation | None = None
    ) -> NDArray[np.float64]:
        """P(deepfake) of decoded images, stored at `stored_px`, averaged over `views`; shape (n,).

        Args:
            images: The set.
            views: Names of single views, see `judge.views`.
            degradation: What becomes of stored images first; None: nothing.
        """
        batches = evaluation_batches(images, batch_size=min(self._batch_size, len(images)), device=self.device)
        parts = []
        for images_bchw, _ in batches:
            given_bchw = images_bchw if degradation is None else degradation(images_bchw)
            parts.append(self._averaged(given_bchw, views).cpu().numpy())
        return np.concatenate(parts)

    def scored(self, pixels_bhwc: Tensor) -> NDArray[np.float64]:
        """P(deepfake) of decoded images (uint8 RGB squares of `description.stored_px`), averaged over its views; shape (b,)."""
        images_bchw = pixels_bhwc.to(self.device).permute(0, 3, 1, 2)
        scored_b: NDArray[np.float64] = self._averaged(images_bchw, SINGLE_VIEWS[self.description.views]).cpu().numpy()
        return scored_b

    @torch.inference_mode()
    def _averaged(self, images_bchw: Tensor, views: Sequence[str]) -> Tensor:
        """Mean probability of a batch over its views, (b,)."""
        answers = [self.model(self.augmentation.evaluation(view(images_bchw, name))) for name in views]
        return torch.stack([torch.softmax(logits_bk.double(), dim=1)[:, 1] for logits_bk in answers]).mean(dim=0)


def _require_named(description: ModelDescription, plugins: Sequence[str], directory: Path) -> None:
    """An export may come from somebody else, so what it names is not imported for that alone."""
    unnamed = [plugin for plugin in description.plugins if plugin not in plugins and plugin not in sys.modules]
    if unnamed:
        raise InputError(
            f"{directory / MODEL_DESCRIPTION}: the model needs the Python module {unnamed[0]!r}, which was not named. If you "
            f"trust that module, allow it: `--plugin {unnamed[0]}`, or plugins=[{unnamed[0]!r}] from Python."
        )


def _built(params: Params, description: ModelDescription, directory: Path) -> Detector:
    """The network of a configuration, once that has been held against what a space file may say.

    Raises:
        InputError: an unknown parameter, or a value out of its range.
    """
    try:
        limits = {"num_parameters": max(description.num_parameters, MAX_PARAMETERS)}
        Space.from_dict({"fixed": dict(params), "limits": limits}, TrainVocabulary())
    except InputError as error:
        raise InputError(f"{directory / MODEL_DESCRIPTION}: its configuration cannot be used: {error}") from error
    settings = settings_from(params)
    return build(ModelSpec(backbone=settings.backbone, se_reduction=settings.se_reduction, image_px=settings.image_px))


def _decoded(
    paths: Sequence[str], px: int, num_workers: int, batch_size: int
) -> Iterator[tuple[list[int], Tensor, list[tuple[str, str]]]]:
    """Batches of (rows, uint8 pixels_bhwc, unreadable (path, reason)); the next one is decoded while one is scored."""

    def try_to_decode(path: str) -> NDArray[np.uint8] | str:
        try:
            return decode(path, px)
        except UnreadableImageError as error:
            return error.reason

    # Threads suffice: Pillow decodes and resizes without holding Python's lock.
    with ThreadPoolExecutor(num_workers) as pool:
        batches = [range(first, min(first + batch_size, len(paths))) for first in range(0, len(paths), batch_size)]
        ahead: deque[tuple[range, list[Future[NDArray[np.uint8] | str]]]] = deque()
        for rows in batches:
            ahead.append((rows, [pool.submit(try_to_decode, paths[row]) for row in rows]))
            if len(ahead) > BATCHES_AHEAD:
                yield _batch(paths, *ahead.popleft())
        while ahead:
            yield _batch(paths, *ahead.popleft())


def _batch(
    paths: Sequence[str], rows: range, futures: list[Future[NDArray[np.uint8] | str]]
) -> tuple[list[int], Tensor, list[tuple[str, str]]]:
    good, failed = [], []
    for row, future in zip(rows, futures, strict=True):
        result = future.result()
        if isinstance(result, str):
            failed.append((paths[row], result))
        else:
            good.append((row, result))
    pixels_bhwc = torch.from_numpy(np.stack([pixels_hwc for _, pixels_hwc in good])) if good else torch.empty(0)
    return [row for row, _ in good], pixels_bhwc, failed
