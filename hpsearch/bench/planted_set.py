"""A planted image set whose holdout shows forgeries from places that nobody has trained on.

Each image comes from a studio, which has a background, a camera (blur and noise) and a tool that forges; the tool leaves noise
on a forgery that is stronger than the camera's in some studios and weaker in others. So noise tells real from forged in studios
that were trained on, and says nothing of a new one. All forgeries also have a faint seam around the face, as blending leaves.

Drawn in worker processes, so importing this brings no torch.
"""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from hpsearch.data.dataset import DEEPFAKE, REAL, Dataset, ImageSet, fingerprint
from hpsearch.data.processes import map_in_processes
from hpsearch.data.sample_scene import Source, draw_scene
from hpsearch.files import replacing

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIGMAS_PX = (0.4, 0.9, 1.6, 2.6)
"""Gaussian blurs of the cameras."""
NOISES = (1.0, 3.0, 8.0, 20.0)
"""Their noise: standard deviation, of 255."""
TRACE = 1.8
"""Factor, or divisor, of the noise in a forgery."""
NUM_HELD = 4
"""Studios that only the holdout has, of one for each blur and noise."""
NUM_IMAGES = {"train": 1000, "val": 240, "holdout": 400}
"""Images of each part, half of them forged."""
SEAM = 0.09
"""How much darker the seam is that all forgeries share, of a brightness from 0 to 1."""
SEAM_WIDTH = 0.15
"""Its half width, in half faces."""
PX = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Studio:
    """Where images come from: a background, a camera, and a tool that forges."""

    number: int
    """Its place on the grid of blurs and noises."""
    background_2c: NDArray[np.float64]
    """Two colours that the background goes between."""
    roughness: float
    """Exponent of the background's spectrum."""
    sigma_px: float
    """Blur of the camera."""
    noise: float
    """Its noise, of 255."""
    trace: float
    """Factor by which forging changes the noise."""

    @classmethod
    def draw(cls, seed: int, rng: np.random.Generator, *, is_held: bool) -> Studio:
        """One of those of the planted set `seed`: of the holdout, or of all else."""
        grid = list(itertools.product(SIGMAS_PX, NOISES))
        order = np.random.default_rng((seed, 2**31)).permutation(len(grid))
        number = int(rng.choice(order[:NUM_HELD] if is_held else order[NUM_HELD:]))
        own = np.random.default_rng((seed, 2**31, number))
        background = Source.draw(own)
        sigma_px, noise = grid[number]
        return cls(
            number=number,
            background_2c=background.background_2c,
            roughness=background.roughness,
            sigma_px=sigma_px,
            noise=noise,
            trace=TRACE if own.random() < 0.5 else 1 / TRACE,
        )


def planted_set(directory: Path, seed: int, *, num_workers: int) -> Dataset:
    """The planted set of `seed`, drawn into `directory` unless it is there.

    No person is shown twice; the holdout has studios of its own.
    """
    directory.mkdir(parents=True, exist_ok=True)
    parts: dict[str, ImageSet] = {}
    tasks: list[tuple[str, int, int, bool]] = []
    first = 0
    for part, count in NUM_IMAGES.items():
        numbers = range(first, first + count)
        names = tuple(f"{part}-{number}.png" for number in numbers)
        paths = tuple(str(directory / name) for name in names)
        labels_n = np.array([_label(number) for number in numbers])
        tasks += [(path, seed, number, part == "holdout") for path, number in zip(paths, numbers, strict=True)]
        parts[part] = ImageSet(names=names, paths=paths, labels_n=labels_n, groups=None)
        first += count
    for _ in map_in_processes(draw, [task for task in tasks if not Path(task[0]).exists()], num_workers=num_workers):
        pass
    return Dataset(
        source=str(directory),
        train=parts["train"],
        val=parts["val"],
        holdout=parts["holdout"],
        template=None,
        notes=(),
        fingerprint=fingerprint(parts["train"], parts["val"], None, parts["holdout"]),
    )


def draw(path: str, seed: int, number: int, is_held: bool) -> None:
    """Draws one image of the planted set, in a worker process."""
    from PIL import Image

    rng = np.random.default_rng((seed, number))
    is_forged = _label(number) == DEEPFAKE
    studio = Studio.draw(seed, rng, is_held=is_held)
    person = dataclasses.replace(Source.draw(rng), background_2c=studio.background_2c, roughness=studio.roughness)
    scene_hwc, y_hw, x_hw = draw_scene(person, rng)
    if is_forged:
        radius = rng.uniform(0.6, 0.95)
        seam_hw = np.exp(-(((np.hypot(y_hw, x_hw) - radius) / SEAM_WIDTH) ** 2))
        scene_hwc = (scene_hwc - SEAM * seam_hw[..., None]).astype(np.float32)
    small_hwc = ndimage.zoom(scene_hwc, (PX / len(scene_hwc), PX / len(scene_hwc), 1), order=1)
    blurred_hwc = ndimage.gaussian_filter(small_hwc, (studio.sigma_px, studio.sigma_px, 0))
    deviation = studio.noise * (studio.trace if is_forged else 1.0)
    noisy_hwc = 255 * blurred_hwc + deviation * rng.standard_normal(small_hwc.shape)
    with replacing(Path(path)) as partial:
        Image.fromarray(np.rint(np.clip(noisy_hwc, 0, 255)).astype(np.uint8)).save(partial, "PNG")


def _label(number: int) -> int:
    return DEEPFAKE if number % 2 else REAL
