"""Images for the tests of the judge: kinds that differ in colour and noise, each with real ones and deepfakes."""

from pathlib import Path

import numpy as np
from PIL import Image

from hpsearch.data.dataset import Dataset, ImageSet, fingerprint


def picture(random: np.random.Generator, kind: int = 0, px: int = 64) -> np.ndarray:
    """A smooth random picture; kinds differ in tint and in noise."""
    coarse = Image.fromarray(random.integers(40, 200, (6, 6, 3), dtype=np.uint8)).resize((px, px), Image.Resampling.BICUBIC)
    tint = np.array([(0, 0, 0), (50, -20, -30), (-40, 30, 10), (0, -40, 60)][kind % 4])
    noise = random.normal(0, (1, 3, 9, 20)[kind % 4], (px, px, 3))
    return (np.asarray(coarse) + tint + noise).clip(0, 255).astype(np.uint8)


def save(directory: Path, name: str, pixels: np.ndarray, *, quality: int = 90) -> str:
    """Writes a JPEG and returns its path."""
    directory.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(directory / name, quality=quality)
    return str(directory / name)


def image_set(directory: Path, prefix: str, count: int, *, seed: int, groups: bool = False, fake_quality: int = 90) -> ImageSet:
    """`count` images of all kinds, every other one a deepfake; groups of eight where asked for."""
    random = np.random.default_rng(seed)
    names = tuple(f"{prefix}{number:03}.jpg" for number in range(count))
    labels_n = np.arange(count) % 2
    paths = [
        save(directory, name, picture(random, number // 2), quality=fake_quality if number % 2 else 90)
        for number, name in enumerate(names)
    ]
    known = tuple(f"{prefix}g{number // 8}" for number in range(count)) if groups else None
    return ImageSet(names=names, paths=tuple(paths), labels_n=labels_n.astype(np.int64), groups=known)


def dataset_of(train: ImageSet, val: ImageSet, **more: object) -> Dataset:
    """A data set without a template."""
    return Dataset(
        source="test", train=train, val=val, template=None, notes=(), fingerprint=fingerprint(train, val, None), **more
    )
