"""Batches on the device, gathered by index while the network works on the one before.

A batch leaves as uint8 `images_bchw` in channels_last memory, just as the rows lie in the cache, and int64 `labels_b`, which
stay on the host: augmentation needs to know there what an image is.
On a CPU it is gathered by a background thread; for a GPU that thread gathers into pinned memory and copies on a stream of
its own, or, where the whole set fits, the set stays on the GPU and batches are gathered there.

Axis legend: `n` images of the set, `b` images of the batch, `c`, `h`, `w` channel, height and width.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from hpsearch.data.matching import matching_of
from hpsearch.data.order import ImageOrder, MatchedOrder
from hpsearch.data.training_data import LabelledImages

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T")
Positions = tuple[int, "NDArray[np.int64]"]
"""Number of the first image of a batch, and the positions of its images in the set."""

_QUEUED_BATCHES = 2
_COPY_CHUNK = 4096
_RESIDENT_SHARE_OF_LIMIT = 0.1  # of what this process may take of its GPU, all its sets together: the rest is for training
_RESIDENT_SHARE_OF_FREE = 0.25

_resident: WeakKeyDictionary[LabelledImages, Tensor] = WeakKeyDictionary()
"""Sets of one size that this process keeps on its GPU, from trial to trial, as long as anybody holds the set."""


def training_batches(
    images: LabelledImages,
    *,
    batch_size: int,
    seed: int,
    balance: float,
    start_images: int,
    device: torch.device | str,
    matched: bool = False,
) -> Generator[tuple[Tensor, Tensor, int]]:
    """Batches without end, in an order that depends on the seed and the images seen and on nothing else.

    Args:
        images: The set.
        batch_size: Images of every batch.
        seed: Of the order, see `ImageOrder`.
        balance: Class balancing exponent in [0, 1].
        start_images: Number of the first image; a resumed trial gives the images that it has seen.
        device: Where batches go.
        matched: Whether deepfakes come beside the real image that they resemble most, see `MatchedOrder`.

    Yields:
        uint8 `images_bchw` (channels_last), int64 `labels_b` on the host, and the number of the batch's first image.
    """
    order: ImageOrder | MatchedOrder = (
        MatchedOrder(images.labels_n, matching_of(images), seed=seed, balance=balance)
        if matched
        else ImageOrder(images.labels_n, seed=seed, balance=balance)
    )
    starts = itertools.count(start_images, batch_size)
    wanted = ((first, order.positions(first, batch_size)) for first in starts)
    yield from _batches(images, wanted, batch_size, torch.device(device))


def evaluation_batches(
    images: LabelledImages, *, batch_size: int, device: torch.device | str
) -> Generator[tuple[Tensor, Tensor]]:
    """Every image once, in the order of the set; the last batch may be smaller.

    Yields:
        uint8 `images_bchw` (channels_last) and int64 `labels_b` on the host.
    """
    positions_n = np.arange(len(images))
    wanted = ((first, positions_n[first : first + batch_size]) for first in range(0, len(images), batch_size))
    with contextlib.closing(_batches(images, wanted, batch_size, torch.device(device))) as batches:
        for images_bchw, labels_b, _ in batches:
            yield images_bchw, labels_b


def _batches(
    images: LabelledImages, wanted: Iterator[Positions], batch_size: int, device: torch.device
) -> Generator[tuple[Tensor, Tensor, int]]:
    if device.type != "cuda":
        yield from _in_background(_gathered(images, positions) for positions in wanted)
    elif (images_nhwc := _on_gpu(images, device)) is not None:
        for first, positions_b in wanted:
            chosen_b = torch.from_numpy(positions_b).to(device, non_blocking=True)
            yield images_nhwc[chosen_b].permute(0, 3, 1, 2), torch.from_numpy(images.labels_n[positions_b]), first
    else:
        copier = _Copier(images, batch_size, device)
        for copied in _in_background(copier.copied(positions) for positions in wanted):
            yield copied.received()


def _gathered(images: LabelledImages, positions: Positions) -> tuple[Tensor, Tensor, int]:
    first, positions_b = positions
    images_bhwc = np.take(np.asarray(images.images_nhwc), images.indices_n[positions_b], axis=0)
    return torch.from_numpy(images_bhwc).permute(0, 3, 1, 2), torch.from_numpy(images.labels_n[positions_b]), first


def _on_gpu(images: LabelledImages, device: torch.device) -> Tensor | None:
    """The pixels of the whole set on the GPU where it fits."""
    known = _resident.get(images)
    if known is not None and known.device == torch.empty(0, device=device).device:
        return known
    _drop_other_sizes(images.px)
    free_bytes, total_bytes = torch.cuda.mem_get_info(device)
    fits = fits_on_gpu(
        len(images) * images.images_nhwc[0].nbytes,
        kept_bytes=sum(kept.nbytes for kept in _resident.values()),
        limit_bytes=torch.cuda.get_per_process_memory_fraction(device) * total_bytes,
        reserved_bytes=torch.cuda.memory_reserved(device),
        free_bytes=free_bytes,
    )
    if not fits:
        return None
    try:
        images_nhwc = torch.empty((len(images), *images.images_nhwc.shape[1:]), dtype=torch.uint8, device=device)
    except torch.OutOfMemoryError:  # another process was faster
        return None
    for start in range(0, len(images), _COPY_CHUNK):
        rows = images.indices_n[start : start + _COPY_CHUNK]
        images_nhwc[start : start + len(rows)] = torch.from_numpy(np.take(np.asarray(images.images_nhwc), rows, axis=0))
    _resident[images] = images_nhwc
    return images_nhwc


def _drop_other_sizes(px: int) -> None:
    """Frees sets of another size: a worker holds all sizes that it has trained on, and a trial needs one."""
    others = [images for images in _resident if images.px != px]
    for images in others:
        del _resident[images]
    if others:
        torch.cuda.empty_cache()


def fits_on_gpu(num_bytes: int, *, kept_bytes: int, limit_bytes: float, reserved_bytes: int, free_bytes: int) -> bool:
    """Whether a set should stay on the GPU.

    Args:
        num_bytes: Size of the set.
        kept_bytes: Of the sets that this process keeps there already.
        limit_bytes: What this process may take, a share of the GPU's memory.
        reserved_bytes: What it has taken of that.
        free_bytes: What no process has taken; it may belong to others that share the GPU.
    """
    within_share = num_bytes + kept_bytes <= _RESIDENT_SHARE_OF_LIMIT * limit_bytes
    return within_share and num_bytes <= _RESIDENT_SHARE_OF_FREE * min(free_bytes, limit_bytes - reserved_bytes)


@dataclass(frozen=True, slots=True)
class _Copied:
    """A batch whose copy to the GPU has been asked for on another stream."""

    images_bhwc: Tensor
    labels_b: Tensor
    first: int
    done: torch.cuda.Event

    def received(self) -> tuple[Tensor, Tensor, int]:
        """The batch, safe to use on the current stream; the host does not wait."""
        stream = torch.cuda.current_stream(self.images_bhwc.device)
        stream.wait_event(self.done)
        self.images_bhwc.record_stream(stream)
        return self.images_bhwc.permute(0, 3, 1, 2), self.labels_b, self.first


class _Copier:
    """Gathers batches into two pinned buffers in turn, and copies each to the GPU while the other is filled."""

    def __init__(self, images: LabelledImages, batch_size: int, device: torch.device) -> None:
        self._images = images
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch gives it no types
        self._buffers = itertools.cycle([_pinned_buffer(images, batch_size), _pinned_buffer(images, batch_size)])

    def copied(self, positions: Positions) -> _Copied:
        """Gathers the batch at `positions` and starts its copy."""
        first, positions_b = positions
        size = len(positions_b)
        images_bhwc, buffer_free = next(self._buffers)
        buffer_free.synchronize()
        rows = self._images.indices_n[positions_b]
        np.take(np.asarray(self._images.images_nhwc), rows, axis=0, out=images_bhwc.numpy()[:size], mode="clip")
        done = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch gives it no types
        with torch.cuda.stream(self._stream):
            on_gpu = images_bhwc[:size].to(self._device, non_blocking=True)
            buffer_free.record(self._stream)
            done.record(self._stream)
        return _Copied(on_gpu, torch.from_numpy(self._images.labels_n[positions_b]), first, done)


def _pinned_buffer(images: LabelledImages, batch_size: int) -> tuple[Tensor, torch.cuda.Event]:
    images_bhwc = torch.empty((batch_size, *images.images_nhwc.shape[1:]), dtype=torch.uint8, pin_memory=True)
    return images_bhwc, torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch gives it no types


def _in_background(source: Iterable[T]) -> Generator[T]:
    """The items of `source`, made by a thread that keeps a few ahead, ends with this generator and passes errors on."""
    made: queue.Queue[T | _End] = queue.Queue(_QUEUED_BATCHES)
    stop = threading.Event()
    thread = threading.Thread(target=_make, args=(source, made, stop), daemon=True, name="hpsearch-batches")
    thread.start()
    try:
        while not isinstance(item := made.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stop.set()
        while thread.is_alive():
            with contextlib.suppress(queue.Empty):  # it may be waiting for a place in the queue
                made.get(timeout=0.01)


def _make(source: Iterable[T], made: queue.Queue[T | _End], stop: threading.Event) -> None:
    try:
        for item in source:
            made.put(item)
            if stop.is_set():
                return
        made.put(_End(None))
    except BaseException as error:  # all of them, or the consumer would wait for ever
        made.put(_End(error))


@dataclass(frozen=True, slots=True)
class _End:
    """Comes after the last item of a background thread."""

    error: BaseException | None
