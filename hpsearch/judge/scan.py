"""What can be said of an image file without a network: its size, tables, light, sharpness, hashes and statistics.

One decoding answers all of it (3 ms for a 224 px JPEG on one core); what was found is kept beside the decoded images, so
that splits and audits of the same files, in whatever order, cost nothing the second time.

Axis legend: `n` images, `f` features, `y` and `x` pixels, `c` channels (luma first).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.data.cache import Progress, address
from hpsearch.data.kept import keeping
from hpsearch.data.processes import map_in_processes

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

RULE = "scan 1"
"""Names what is computed; a change of it changes the address of every kept scan."""
THUMB_PX = 16
"""Side of the grey picture that near-duplicates are compared by."""
MAX_PX = 512
"""Images are cut to their central square of this side first: sharpness and noise are of the pixels as they are stored."""
_HASH_PX = 32
_IMAGES_PER_TASK = 16


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ImageScan:
    """What was found, one row an image; all zero where it cannot be read."""

    readable_n: NDArray[np.bool_]
    """Whether the file could be decoded."""
    bytes_n: NDArray[np.int64]
    """Size of the file."""
    width_n: NDArray[np.int64]
    """Pixels of a row as stored."""
    height_n: NDArray[np.int64]
    """Rows as stored."""
    digest_n: NDArray[np.uint64]
    """Hash of the file's bytes."""
    tables_n: NDArray[np.uint64]
    """Hash of format and JPEG quantisation tables: another encoder or quality, another number."""
    table_mean_n: NDArray[np.float32]
    """Mean entry of the quantisation tables: the coarser, the larger; 0 for what is no JPEG."""
    brightness_n: NDArray[np.float32]
    """Mean luma, 0–255."""
    sharpness_n: NDArray[np.float32]
    """Logarithm of the mean absolute Laplacian of luma."""
    hash_n: NDArray[np.uint64]
    """Perceptual hash: signs of the 64 lowest cosine frequencies of the grey picture about their median."""
    thumbs_nyx: NDArray[np.uint8]
    """Grey pictures of `THUMB_PX`, 0–255."""
    features_nf: NDArray[np.float32]
    """Robust statistics for clustering: colour, layout and energy by frequency."""

    def __len__(self) -> int:
        return len(self.readable_n)

    def take(self, rows: Any) -> ImageScan:
        """The images at `rows`."""
        return ImageScan(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def scan(
    paths: Sequence[str], *, cache_dir: Path, num_workers: int, progress: Progress = lambda done, total: None
) -> ImageScan:
    """Scans the image files, or reads what an earlier scan of the same files, in any order, has kept in `cache_dir`.

    Raises:
        StorageError: `cache_dir` cannot be written.
    """
    ordered = sorted(set(paths))
    row_of = {path: row for row, path in enumerate(ordered)}
    found = _scan_in_order(ordered, cache_dir, num_workers, progress)
    return found.take([row_of[path] for path in paths])


def _scan_in_order(paths: Sequence[str], cache_dir: Path, num_workers: int, progress: Progress) -> ImageScan:
    file = cache_dir / f"scan-{address(paths, RULE)}.npz"
    if file.is_file():
        with np.load(file) as kept:
            return ImageScan(**{name: kept[name] for name in kept.files})
    rows: list[tuple[Any, ...]] = [()] * len(paths)
    tasks = [(first, list(paths[first : first + _IMAGES_PER_TASK])) for first in range(0, len(paths), _IMAGES_PER_TASK)]
    done = 0
    for first, found in map_in_processes(scan_files, tasks, num_workers=min(num_workers, len(tasks))):
        rows[first : first + len(found)] = found
        done += len(found)
        progress(done, len(paths))
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    result = ImageScan(**{field.name: column for field, column in zip(fields(ImageScan), columns, strict=True)})
    with keeping(file) as stream:
        np.savez(stream, **{field.name: getattr(result, field.name) for field in fields(result)})
    return result


def scan_files(first: int, paths: list[str]) -> tuple[int, list[tuple[Any, ...]]]:
    """`first`, and one row an image in the order of `ImageScan`'s fields; runs in a child process."""
    return first, [_scanned(path) for path in paths]


def _scanned(path: str) -> tuple[Any, ...]:
    from PIL import Image

    try:
        content = Path(path).read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            tables = getattr(image, "quantization", None) or {}
            kind = f"{image.format} {sorted(tables.items())}".encode()
            width, height = image.size
            luma_yx, chroma_yxc = _planes(image)
    except Exception:  # Pillow's parsers raise whatever broken files make them raise; `data.cache` says which and why
        return _unreadable()
    mean_entry = float(np.mean([np.mean(table) for table in tables.values()])) if tables else 0.0
    sharpness = float(np.log(np.abs(_laplacian(luma_yx)).mean() + 1e-3))
    small_yx = _small(luma_yx, _HASH_PX)
    thumb_yx = small_yx.reshape(THUMB_PX, 2, THUMB_PX, 2).mean(axis=(1, 3))
    return (
        True,
        len(content),
        width,
        height,
        _number(content),
        _number(kind),
        np.float32(mean_entry),
        np.float32(luma_yx.mean()),
        np.float32(sharpness),
        perceptual_hash(small_yx),
        thumb_yx.round().astype(np.uint8),
        _features(luma_yx, chroma_yxc, thumb_yx),
    )


def _unreadable() -> tuple[Any, ...]:
    zero = np.uint64(0)
    thumb_yx = np.zeros((THUMB_PX, THUMB_PX), dtype=np.uint8)
    none = np.float32(0)
    return False, 0, 0, 0, zero, zero, none, none, none, zero, thumb_yx, np.zeros(NUM_FEATURES, dtype=np.float32)


def _number(content: bytes) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little"))


def _planes(image: Image.Image) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Luma and two colour planes of the central square, at least 32 px."""
    width, height = image.size
    side = max(min(width, height, MAX_PX), 1)
    left, top = (width - side) // 2, (height - side) // 2
    square = image.convert("RGB").crop((left, top, left + side, top + side)).convert("YCbCr")
    if side < _HASH_PX:
        square = square.resize((_HASH_PX, _HASH_PX))
    planes_yxc = np.asarray(square, dtype=np.float32)
    return planes_yxc[..., 0], planes_yxc[..., 1:]


def _small(luma_yx: NDArray[np.float32], px: int) -> NDArray[np.float32]:
    """Area means over a grid of `px` × `px` cells."""
    edges = np.linspace(0, len(luma_yx), px + 1).round().astype(int)
    sums = np.add.reduceat(np.add.reduceat(luma_yx, edges[:-1], axis=0), edges[:-1], axis=1)
    sizes = np.diff(edges).astype(np.float32)
    return np.asarray(sums / (sizes[:, None] * sizes[None, :]), dtype=np.float32)


def _laplacian(plane_yx: NDArray[np.float32]) -> NDArray[np.float32]:
    return 4 * plane_yx[1:-1, 1:-1] - plane_yx[:-2, 1:-1] - plane_yx[2:, 1:-1] - plane_yx[1:-1, :-2] - plane_yx[1:-1, 2:]


def perceptual_hash(small_yx: NDArray[np.float32]) -> np.uint64:
    """64 signs of a 32 × 32 grey picture's lowest frequencies; re-encoding and scaling change a few of them at most."""
    from scipy.fft import dctn

    low = dctn(small_yx, norm="ortho")[:8, :8].ravel()
    low[0] = 0.0  # brightness
    bits = low > np.median(low[1:])
    return np.uint64(int.from_bytes(np.packbits(bits).tobytes(), "big"))


def _features(
    luma_yx: NDArray[np.float32], chroma_yxc: NDArray[np.float32], thumb_yx: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Colour (6), layout (16), energy of 8 × 8 blocks by diagonal of frequencies (14), noise of each plane (3)."""
    quartiles = [np.percentile(plane_yx[::4, ::4], (25, 50, 75)) for plane_yx in (luma_yx, *np.moveaxis(chroma_yxc, 2, 0))]
    colour = [value for low, middle, high in quartiles for value in (middle, high - low)]
    layout = thumb_yx.reshape(4, 4, 4, 4).mean(axis=(1, 3)).ravel() - thumb_yx.mean()
    planes = (luma_yx, *np.moveaxis(chroma_yxc, 2, 0))
    noise = [np.log(np.median(np.abs(_laplacian(plane_yx))) + 0.5) for plane_yx in planes]
    return np.concatenate([colour, layout, _block_energies(luma_yx), noise]).astype(np.float32)


def _block_energies(luma_yx: NDArray[np.float32]) -> NDArray[np.float64]:
    from scipy.fft import dctn

    num = len(luma_yx) // 8
    blocks_bkl = luma_yx[: 8 * num, : 8 * num].reshape(num, 8, num, 8).swapaxes(1, 2).reshape(-1, 8, 8)
    levels_kl = np.log(np.median(np.abs(dctn(blocks_bkl, axes=(1, 2), norm="ortho")), axis=0) + 0.1)
    diagonals = np.add.outer(np.arange(8), np.arange(8))
    return np.array([levels_kl[diagonals == diagonal].mean() for diagonal in range(1, 15)])


NUM_FEATURES = 6 + 16 + 14 + 3
"""Length of a row of `features_nf`."""
LAYOUT = slice(6, 6 + 16)
"""Where in it the layout is: what a picture shows, not how it was made."""
