"""Batches hold the images that the order names, and their thread ends with them."""

import gc
import threading
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from hpsearch.data import batches as module
from hpsearch.data.batches import evaluation_batches, fits_on_gpu, training_batches
from hpsearch.data.training_data import LabelledImages

PX = 8


def labelled_images(count: int = 40, rows: int = 50, px: int = PX) -> LabelledImages:
    """Every pixel of an image is its row, and every third row is a deepfake."""
    images_nhwc = np.broadcast_to(np.arange(rows, dtype=np.uint8)[:, None, None, None], (rows, px, px, 3)).copy()
    indices_n = np.random.default_rng(0).permutation(rows)[:count]
    return LabelledImages(images_nhwc=images_nhwc, labels_n=(indices_n % 3 == 0).astype(np.int64), indices_n=indices_n)


def rows_of(images_bchw: torch.Tensor) -> list[int]:
    return images_bchw[:, 0, 0, 0].tolist()


@pytest.fixture
def threads() -> Callable[[], int]:
    """How many threads gather batches that did not before the test."""
    before = set(threading.enumerate())
    return lambda: sum(thread.name == "hpsearch-batches" for thread in set(threading.enumerate()) - before)


def train(
    images: LabelledImages, *, start: int = 0, seed: int = 0, balance: float = 0.0, batch_size: int = 7, device: str = "cpu"
):
    return training_batches(images, batch_size=batch_size, seed=seed, balance=balance, start_images=start, device=device)


def test_a_batch_is_uint8_in_channels_last_memory_with_its_labels() -> None:
    images_bchw, labels_b, first = next(train(labelled_images()))
    assert images_bchw.shape == (7, 3, PX, PX)
    assert images_bchw.dtype == torch.uint8
    assert images_bchw.is_contiguous(memory_format=torch.channels_last)
    assert labels_b.dtype == torch.int64
    assert first == 0
    assert [row % 3 == 0 for row in rows_of(images_bchw)] == labels_b.bool().tolist()


def test_one_pass_shows_every_image_of_the_set_once_and_no_other_row() -> None:
    images = labelled_images()
    seen = [row for batch, _, _ in islice(train(images, batch_size=8), 5) for row in rows_of(batch)]
    assert sorted(seen) == sorted(images.indices_n.tolist())


@pytest.mark.parametrize("balance", [0.0, 1.0])
def test_batches_that_start_later_are_those_that_would_have_come(balance: float) -> None:
    images = labelled_images()
    whole = [(first, rows_of(batch)) for batch, _, first in islice(train(images, balance=balance), 30)]
    resumed = [(first, rows_of(batch)) for batch, _, first in islice(train(images, balance=balance, start=70), 20)]
    assert resumed == whole[10:]


def test_balancing_evens_the_classes_out() -> None:
    labels = torch.cat([labels_b for _, labels_b, _ in islice(train(labelled_images(), balance=1.0, batch_size=64), 32)])
    assert labels.double().mean().item() == pytest.approx(0.5, abs=0.01)


def test_a_batch_that_is_kept_stays_as_it_was() -> None:
    kept = list(islice(train(labelled_images()), 12))
    again = list(islice(train(labelled_images()), 12))
    assert all(torch.equal(one[0], other[0]) for one, other in zip(kept, again, strict=True))


def test_evaluation_goes_through_the_set_in_order(threads: Callable[[], int]) -> None:
    images = labelled_images()
    batches = list(evaluation_batches(images, batch_size=16, device="cpu"))
    assert [len(labels_b) for _, labels_b in batches] == [16, 16, 8]
    assert [row for images_bchw, _ in batches for row in rows_of(images_bchw)] == images.indices_n.tolist()
    assert torch.cat([labels_b for _, labels_b in batches]).tolist() == images.labels_n.tolist()
    assert threads() == 0


def test_batches_are_gathered_ahead() -> None:
    images = labelled_images()
    batches = train(images)
    next(batches)
    time.sleep(1)
    images.images_nhwc[:] = 255
    assert rows_of(next(batches)[0]) != [255] * 7
    batches.close()


def test_the_thread_ends_when_the_batches_are_closed(threads: Callable[[], int]) -> None:
    batches = train(labelled_images())
    next(batches)
    assert threads() == 1
    batches.close()
    assert threads() == 0


def test_the_thread_ends_when_the_batches_are_forgotten(threads: Callable[[], int]) -> None:
    batches = train(labelled_images())
    next(batches)
    del batches
    gc.collect()
    assert threads() == 0


def test_an_error_while_gathering_reaches_the_consumer(threads: Callable[[], int]) -> None:
    images = labelled_images()
    beyond = LabelledImages(images_nhwc=images.images_nhwc, labels_n=images.labels_n, indices_n=images.indices_n + 1000)
    with pytest.raises(IndexError, match="out of bounds"):
        next(train(beyond))
    assert threads() == 0


def test_half_a_million_images_take_memory_by_the_batch_and_not_by_the_set(tmp_path: Path) -> None:
    count, px = 500_000, 16
    with (tmp_path / "pixels.u8").open("wb") as file:
        file.truncate(count * px * px * 3)  # sparse: 384 MB that the disk does not hold
    images_nhwc = np.memmap(tmp_path / "pixels.u8", np.uint8, "r", shape=(count, px, px, 3))
    rows_n = np.arange(count)
    images = LabelledImages(images_nhwc=images_nhwc, labels_n=rows_n % 2, indices_n=rows_n)
    before = own_memory()
    batches = train(images, balance=0.5, batch_size=256)
    for _ in islice(batches, 20):
        pass
    assert own_memory() - before < 64e6
    batches.close()


def own_memory() -> int:
    """Bytes of this process that no file on the disk stands for."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


GIB = 2**30


@pytest.mark.parametrize(
    ("num", "kept", "limit", "reserved", "free", "fits"),
    [
        (8.0, 0.0, 80.0, 1.0, 79.0, True),
        (8.1, 0.0, 80.0, 1.0, 79.0, False),  # more than a tenth of what the process may take
        (8.0, 0.0, 20.0, 1.0, 79.0, False),  # of a share of the GPU, a tenth of that
        (2.0, 0.0, 20.0, 1.0, 79.0, True),
        (2.0, 0.1, 20.0, 1.0, 79.0, False),  # with what is kept already, too much
        (2.0, 0.0, 20.0, 13.0, 79.0, False),  # more than a quarter of what is left of the share
        (2.0, 0.0, 20.0, 1.0, 7.0, False),  # or of the GPU
    ],
)
def test_a_set_stays_on_the_gpu_where_it_leaves_room_for_training(
    num: float, kept: float, limit: float, reserved: float, free: float, fits: bool
) -> None:
    kept, limit, reserved, free = (int(gib * GIB) for gib in (kept, limit, reserved, free))
    found = fits_on_gpu(int(num * GIB), kept_bytes=kept, limit_bytes=limit, reserved_bytes=reserved, free_bytes=free)
    assert found is fits


@pytest.fixture
def as_gpu(monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """The processor, which says of itself what an empty GPU of 1 GiB would."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (GIB, GIB))
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda device: 1.0)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 0)
    return torch.device("cpu")


def test_a_set_of_another_size_takes_the_place_of_those_on_the_gpu(as_gpu: torch.device) -> None:
    train_images, val_images, larger = labelled_images(), labelled_images(count=10), labelled_images(px=2 * PX)
    for images in (train_images, val_images):
        on_gpu = module._on_gpu(images, as_gpu)
        assert on_gpu is not None
        assert on_gpu[:, 0, 0, 0].tolist() == images.indices_n.tolist()
        assert module._on_gpu(images, as_gpu) is on_gpu
    assert {train_images, val_images} <= set(module._resident)
    assert module._on_gpu(larger, as_gpu) is not None
    assert list(module._resident) == [larger]


def test_a_set_is_copied_by_the_batch_where_a_process_may_take_little_or_memory_is_gone(
    as_gpu: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*shape: object, **options: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    images = labelled_images()
    with monkeypatch.context() as patched:
        patched.setattr(torch, "empty", refuse)
        assert module._on_gpu(images, as_gpu) is None
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda device: 1e-6)
    assert module._on_gpu(images, as_gpu) is None


@pytest.mark.gpu
@pytest.mark.parametrize("resident", [True, False])
def test_a_gpu_gets_the_same_batches(monkeypatch: pytest.MonkeyPatch, resident: bool) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    if not resident:
        monkeypatch.setattr("hpsearch.data.batches._RESIDENT_SHARE_OF_LIMIT", 0.0)
    images = labelled_images()
    on_cpu = list(islice(train(images, batch_size=16), 20))
    on_gpu = list(islice(train(images, batch_size=16, device="cuda"), 20))
    for (cpu_bchw, cpu_labels_b, _), (gpu_bchw, gpu_labels_b, _) in zip(on_cpu, on_gpu, strict=True):
        assert gpu_bchw.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(cpu_bchw, gpu_bchw.cpu())
        assert torch.equal(cpu_labels_b, gpu_labels_b.cpu())
