"""Images that are the same file, or the same picture after another encoding or size.

Two pictures count as the same where their 64-bit perceptual hashes agree in one of twelve bands of 16 bits and differ in at
most `MAX_BITS`, and their grey pictures of 16 px correlate by `MIN_CORRELATION`. Comparing within bands only takes n log n
instead of n² steps. The bands are the bits in quarters, in three arrangements: of 600 pictures reduced from 64 to 56 px and
saved at quality 70, the first one alone finds 544, all of them 594.

Axis legend: `n` images, `p` pairs.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.judge.scan import THUMB_PX

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.judge.scan import ImageScan

MAX_BITS = 8
"""Bits in which hashes of the same picture may differ."""
MIN_CORRELATION = 0.99
"""Of the grey pictures, Pearson's."""
_BIT = np.arange(64)
_BANDS = (_BIT // 16, _BIT // 8 % 2 * 2 + _BIT % 8 // 4, _BIT // 2 % 4)
"""Which of four bands each bit belongs to: two rows of frequencies, two by two blocks of 4 × 4, and pairs of columns."""
MAX_NEIGHBOURS = 64
"""Images of one band that each is compared with at most; thousands of blank pictures would otherwise take n² steps."""
_MIN_SPREAD = 1.0
_END_BYTES = 512
_CHUNK, _THREADS = 256, 16


def same_files(paths: Sequence[str]) -> NDArray[np.int64]:
    """Pairs of rows whose files have the same bytes, shape (p, 2): each with the first of its kind; empty files are not told.

    Files are opened only where others have the same size, and read whole only where others have the same end besides.
    """
    alike = [list(range(len(paths)))]
    for fact in (_size, _end, _digest):
        found: dict[tuple[int, object], list[int]] = {}
        numbers = [number for number, rows in enumerate(alike) for _ in rows]
        candidates = [row for rows in alike for row in rows]
        for number, row, value in zip(numbers, candidates, _told_by(fact, paths, candidates), strict=True):
            if value:
                found.setdefault((number, value), []).append(row)
        alike = [rows for rows in found.values() if len(rows) > 1]
    pairs = [(rows[0], row) for rows in alike for row in rows[1:]]
    return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)


def _told_by(fact: Callable[[str], object], paths: Sequence[str], rows: Sequence[int]) -> Iterator[object]:
    """`fact` of each path, nothing where it cannot be read, as the scan says; threads hide the latency of disks."""

    def told(path: str) -> object:
        try:
            return fact(path)
        except (OSError, ValueError):
            return None

    chunks = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
    with ThreadPoolExecutor(_THREADS) as threads:
        for facts in threads.map(lambda chunk: [told(paths[row]) for row in chunk], chunks):
            yield from facts


def _size(path: str) -> int:
    return os.stat(path).st_size  # noqa: PTH116 - a Path for each of 500,000 files costs seconds


def _end(path: str) -> bytes:
    with Path(path).open("rb") as file:
        file.seek(-min(_END_BYTES, file.seek(0, os.SEEK_END)), os.SEEK_END)
        return file.read()


def _digest(path: str) -> bytes:
    return hashlib.blake2b(Path(path).read_bytes(), digest_size=16).digest()


def near_duplicates(scan: ImageScan, min_correlation: float = MIN_CORRELATION) -> NDArray[np.int64]:
    """Pairs of rows that show the same picture, shape (p, 2), the smaller row first; exact duplicates among them."""
    found = [np.empty((0, 2), dtype=np.int64)]
    bits_nk = np.unpackbits(scan.hash_n.astype(">u8").view(np.uint8).reshape(-1, 8), axis=1)
    for bands in _BANDS:
        for band in range(4):
            bytes_n2 = np.ascontiguousarray(np.packbits(bits_nk[:, bands == band], axis=1))
            found += _pairs_in_band(scan, bytes_n2.view(np.uint16)[:, 0], min_correlation)
    return np.unique(np.concatenate(found), axis=0)


def _pairs_in_band(scan: ImageScan, band_n: NDArray[np.uint16], min_correlation: float) -> list[NDArray[np.int64]]:
    order_n = np.lexsort((scan.hash_n, band_n))
    order_n = order_n[scan.readable_n[order_n]]
    found = []
    for distance in range(1, MAX_NEIGHBOURS + 1):
        left_p, right_p = order_n[:-distance], order_n[distance:]
        same_p = band_n[left_p] == band_n[right_p]
        if not same_p.any():
            break
        pairs_p2 = np.sort(np.column_stack([left_p[same_p], right_p[same_p]]), axis=1)
        found.append(pairs_p2[_show_the_same(scan, pairs_p2, min_correlation)])
    return found


def _show_the_same(scan: ImageScan, pairs_p2: NDArray[np.int64], min_correlation: float) -> NDArray[np.bool_]:
    left_p, right_p = pairs_p2.T
    near_p: NDArray[np.bool_] = np.bitwise_count(scan.hash_n[left_p] ^ scan.hash_n[right_p]) <= MAX_BITS
    near_p[near_p] = _correlation(scan.thumbs_nyx[left_p[near_p]], scan.thumbs_nyx[right_p[near_p]]) >= min_correlation
    return near_p


def _correlation(left_pyx: NDArray[np.uint8], right_pyx: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Pearson's correlation; blank pictures (spread below `_MIN_SPREAD` levels) are like nothing."""
    left_pz, right_pz = (thumbs.reshape(-1, THUMB_PX**2).astype(np.float64) for thumbs in (left_pyx, right_pyx))
    left_pz -= left_pz.mean(axis=1, keepdims=True)
    right_pz -= right_pz.mean(axis=1, keepdims=True)
    spread_p = np.sqrt((left_pz**2).mean(axis=1) * (right_pz**2).mean(axis=1))
    together_p = (left_pz * right_pz).mean(axis=1)
    return np.where(spread_p < _MIN_SPREAD, 0.0, together_p / np.maximum(spread_p, _MIN_SPREAD))


def components(pairs_p2: NDArray[np.int64], num_images: int) -> NDArray[np.int64]:
    """Number of the connected component of each image, shape (n,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ones_p = np.ones(len(pairs_p2), dtype=np.int8)
    graph = coo_array((ones_p, (pairs_p2[:, 0], pairs_p2[:, 1])), shape=(num_images, num_images))
    labels_n: NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    return labels_n
