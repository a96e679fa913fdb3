"""What a small ImageNet network sees in an image; clusters of such features held the competition's winners' splits together.

Features are those before the classifier, scaled to length 1 and projected at random to `NUM_FEATURES` dimensions, which keeps
their distances (Johnson and Lindenstrauss 1984) and makes half a million images fit into memory.

Axis legend: `n` images of all, `b` of a batch, `h`, `w`, `c` rows, columns and colours, `f` features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.data.cache import Progress, address
from hpsearch.data.decode import UnreadableImageError, decode
from hpsearch.data.kept import keeping
from hpsearch.data.processes import map_in_processes
from hpsearch.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.model.detector import Detector
    from hpsearch.model.weight_sources import WeightsSource

BACKBONE = "mobilenetv2_100"
"""The smallest one whose ImageNet-1k weights come inside a package."""
PX = 160
NUM_FEATURES = 128
RULE = f"{BACKBONE} {PX} px, {NUM_FEATURES} projected features 1"
"""Names what is computed, up to the weights; a change of it changes the address of all that is kept."""
_IMAGES_PER_BATCH = 64


def network_features(
    paths: Sequence[str], *, cache_dir: Path, num_workers: int, progress: Progress = lambda done, total: None
) -> NDArray[np.float32]:
    """Features of the image files, shape (n, f), all zero where one cannot be read; kept in `cache_dir`.

    Args:
        paths: Image files.
        cache_dir: Where features of the same files by the same weights are looked for and kept.
        num_workers: Processes that decode.
        progress: Told how many images of how many are done.

    Raises:
        InputError: this machine has no weights of the network and no way to them.
        StorageError: `cache_dir` cannot be written.
    """
    source = _weights()
    file = cache_dir / f"features-{address(paths, f'{RULE} {source.tag}')}.npy"
    if file.is_file():
        return np.asarray(np.load(file), dtype=np.float32)
    features_nf = np.zeros((len(paths), NUM_FEATURES), dtype=np.float32)
    network = _network(source)
    done = 0
    for rows, images_bhwc in _decoded(paths, num_workers):
        if len(images_bhwc):
            features_nf[rows] = _features(network, images_bhwc)
        done += _IMAGES_PER_BATCH
        progress(min(done, len(paths)), len(paths))
    with keeping(file) as stream:
        np.save(stream, features_nf)
    return features_nf


def _weights() -> WeightsSource:
    from hpsearch.model.weight_sources import fetch_weights

    try:
        return fetch_weights(BACKBONE, "in1k")
    except InputError as error:
        raise InputError(
            f"judge.clusters=network needs the weights of {BACKBONE}: {error} Or leave it at judge.clusters=statistics."
        ) from error


def _network(source: WeightsSource) -> Detector:
    from hpsearch.model.backbones import ModelSpec, build
    from hpsearch.model.weights import load_weights

    spec = ModelSpec(backbone=BACKBONE, se_reduction=None, image_px=PX)
    model = build(spec)
    load_weights(model, spec, "in1k", source)
    return model.eval()


def _features(model: Detector, images_bhwc: NDArray[np.uint8]) -> NDArray[np.float32]:
    import torch

    network: Any = model.network
    with torch.inference_mode():
        images_bchw = torch.from_numpy(images_bhwc).permute(0, 3, 1, 2).float() / 255
        normalised_bchw = (images_bchw - model.mean_c) / model.std_c
        seen_bf = network.forward_head(network.forward_features(normalised_bchw), pre_logits=True)
        seen_bf = torch.nn.functional.normalize(seen_bf)
    projection_ff = np.random.default_rng(0).standard_normal((seen_bf.shape[1], NUM_FEATURES), dtype=np.float32)
    return np.asarray(seen_bf.numpy() @ projection_ff / np.sqrt(NUM_FEATURES), dtype=np.float32)


def _decoded(paths: Sequence[str], num_workers: int) -> Iterator[tuple[list[int], NDArray[np.uint8]]]:
    """Rows and pixels of the readable images, batch by batch, in any order."""
    starts = range(0, len(paths), _IMAGES_PER_BATCH)
    tasks = [(first, list(paths[first : first + _IMAGES_PER_BATCH])) for first in starts]
    with closing(map_in_processes(decode_files, tasks, num_workers=min(num_workers, len(tasks)))) as batches:
        yield from batches


def decode_files(first: int, paths: list[str]) -> tuple[list[int], NDArray[np.uint8]]:
    """Rows, counted from `first`, and pixels of those files that can be read; runs in a child process."""
    rows, images = [], []
    for row, path in enumerate(paths, start=first):
        try:
            images.append(decode(path, PX))
        except UnreadableImageError:  # the cache says which and why
            continue
        rows.append(row)
    return rows, np.stack(images) if images else np.empty((0, PX, PX, 3), dtype=np.uint8)
