"""The sample set: drawn faces and self-blended forgeries of them in the competition's layout, made in seconds.

Real images and forgeries go through the same camera and the same range of JPEG qualities, so that only the traces of the
blending tell them apart; no source (person, background, camera) is in two splits.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from hpsearch.data.dataset import DEEPFAKE, REAL
from hpsearch.data.processes import map_in_processes
from hpsearch.errors import InputError, StorageError

NUM_SOURCES = {"train": 200, "val": 75, "test": 25}
"""Sources of each split; each gives `NUM_VIEWS` real images and a forgery of each."""

NUM_VIEWS = 4

_MAX_WORKERS = 8  # more would wait for each other's imports
_VERSION = 2  # of the pixels; another one is made again
_MARKER = "sample_set.json"
_FOLDERS = {"train": "phase1/trainset", "val": "phase1/valset", "test": "phase2/testset1_seen"}
_QUALITIES = (75, 96)
_STRENGTHS = (0.45, 1.1)


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleImage:
    """One image of the sample set."""

    split: str
    """`train`, `val` or `test`."""
    name: str
    """File name."""
    label: int
    """1 = deepfake, 0 = real; that of test images stands in no file."""
    source: int
    """Number of its source; sources of different splits differ."""
    view: int
    """Which view of the source; a real image and its forgery share it."""


def sample_images(seed: int) -> list[SampleImage]:
    """Every image of the sample set of `seed`, also the labels that the set itself does not tell."""
    images = []
    first = 0
    for split, count in NUM_SOURCES.items():
        for source in range(first, first + count):
            for view in range(NUM_VIEWS):
                for label in (REAL, DEEPFAKE):
                    name = hashlib.blake2b(f"{seed} {source} {view} {label}".encode(), digest_size=16).hexdigest() + ".jpg"
                    images.append(SampleImage(split=split, name=name, label=label, source=source, view=view))
        first += count
    return sorted(images, key=lambda image: image.name)


def make_sample_set(directory: Path, *, seed: int) -> Path:
    """Makes the sample set in `directory`, unless it is already there.

    Args:
        directory: New, empty, or with the sample set of the same seed.
        seed: Another seed gives other images.

    Returns:
        `directory`, in the competition's layout with `phase1/groups.csv` and the template of `phase2`.

    Raises:
        InputError: something else is in `directory`.
        StorageError: it cannot be written.
    """
    if _is_there(directory, seed):
        return directory
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f"{directory.name}.") as temporary:
            made = Path(temporary) / directory.name
            _write(made, seed)
            _put_in_place(made, directory, seed)
    except OSError as error:
        raise StorageError(
            f"{directory}: the sample set cannot be written there ({error.strerror}). Free some disk."
        ) from error
    return directory


def draw_source(directory: Path, seed: int, images: list[SampleImage]) -> None:
    """Draws the images of one source into their folders below `directory`, in a worker process."""
    import numpy as np
    from PIL import Image

    from hpsearch.data.sample_scene import Source, draw_scene, expose, forge

    source = Source.draw(np.random.default_rng((seed, images[0].source)))
    scenes = {view: draw_scene(source, np.random.default_rng((seed, images[0].source, view))) for view in range(NUM_VIEWS)}
    for image in images:
        scene_hwc, y_hw, x_hw = scenes[image.view]
        rng = np.random.default_rng((seed, image.source, image.view, image.label))
        if image.label == DEEPFAKE:
            scene_hwc = forge(scene_hwc, y_hw, x_hw, rng.uniform(*_STRENGTHS), rng)
        pixels = Image.fromarray(expose(scene_hwc, source, rng))
        pixels.save(directory / _FOLDERS[image.split] / image.name, quality=int(rng.integers(*_QUALITIES)))


def _is_there(directory: Path, seed: int) -> bool:
    if not directory.exists() or not any(directory.iterdir()):
        return False
    try:
        marker = json.loads((directory / _MARKER).read_text())
    except (OSError, ValueError):
        marker = None
    if not isinstance(marker, dict) or marker.get("seed") != seed:
        raise InputError(
            f"{directory}: is not the sample set of seed {seed}, and is left alone. Move it or name another place."
        )
    if marker.get("version") != _VERSION:
        shutil.rmtree(directory)
        return False
    return True


def _write(directory: Path, seed: int) -> None:
    images = sample_images(seed)
    for folder in _FOLDERS.values():
        (directory / folder).mkdir(parents=True)
    by_source: dict[int, list[SampleImage]] = {}
    for image in images:
        by_source.setdefault(image.source, []).append(image)
    tasks = ((directory, seed, group) for group in by_source.values())
    with closing(map_in_processes(draw_source, tasks, num_workers=min(_MAX_WORKERS, os.cpu_count() or 1))) as drawn:
        for _ in drawn:
            pass
    labelled = [image for image in images if image.split != "test"]
    for split in ("train", "val"):
        rows = (f"{image.name},{image.label}" for image in labelled if image.split == split)
        _write_csv(directory / f"{_FOLDERS[split]}_label.txt", "img_name,target", rows)
    _write_csv(directory / "phase1/groups.csv", "img_name,group", (f"{image.name},s{image.source:03}" for image in labelled))
    names = (image.name for image in images if image.split == "test")
    _write_csv(directory / f"{_FOLDERS['test']}_nolabel.txt", "img_name", names)
    (directory / _MARKER).write_text(json.dumps({"version": _VERSION, "seed": seed}))


def _write_csv(file: Path, header: str, rows: Iterable[str]) -> None:
    file.write_text("\n".join([header, *rows]) + "\n")


def _put_in_place(made: Path, directory: Path, seed: int) -> None:
    try:
        made.rename(directory)
    except OSError:
        if not _is_there(directory, seed):  # else another process was faster, with the same images
            raise
