"""Folders as people have them: every kind of bad file and odd name among good images, from the folder to decoded images."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpsearch.data.find import find_dataset
from hpsearch.data.training_data import TrainingData, open_training_data
from hpsearch.errors import InputError
from tests.faults.ledger import ledger

NUM_GOOD = 30
"""Good images of each class beside the others."""


def pixels(seed: int, side: int = 24) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=kind, **options)  # type: ignore[arg-type]
    return stream.getvalue()


def bomb() -> bytes:
    """A PNG of a few kilobytes that says it has 20,000 × 20,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(60_001) * 100)) + chunk(b"IEND", b"")
    )


GOOD = {
    "one pixel.png": encoded(pixels(1, 1), "PNG"),
    "cmyk.jpg": encoded(pixels(2).convert("CMYK"), "JPEG"),
    "sixteen.png": encoded(Image.fromarray(np.arange(576, dtype=np.uint16).reshape(24, 24) * 100), "PNG"),
    "animated.gif": encoded(pixels(3), "GIF", save_all=True, append_images=[pixels(4)]),
    "png called.jpg": encoded(pixels(5), "PNG"),
    "ünïcode 人.jpg": encoded(pixels(6), "JPEG"),
    "new\nline.jpg": encoded(pixels(7), "JPEG"),
    "<script>alert(1)</script>.jpg".replace("/", "_"): encoded(pixels(8), "JPEG"),
    "-rf.jpg": encoded(pixels(9), "JPEG"),
    'comma,quote".jpg': encoded(pixels(10), "JPEG"),
}
BAD = {
    "empty.jpg": b"",
    "text.jpg": b"not an image",
    "truncated.jpg": encoded(pixels(11), "JPEG")[:-200],
    "bomb.png": bomb(),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for label, kind in enumerate(("real", "fake")):
        (tmp_path / "data" / kind).mkdir(parents=True)
        for number in range(NUM_GOOD):
            pixels(100 * label + number).save(tmp_path / "data" / kind / f"{number:03d}.jpg")
    for name, content in GOOD.items():
        (tmp_path / "data" / "fake" / name).write_bytes(content)
    outside = tmp_path / "outside.jpg"
    pixels(12).save(outside)
    (tmp_path / "data" / "real" / "linked.jpg").symlink_to(outside)
    return tmp_path / "data"


def opened(folder: Path, allowed: float) -> TrainingData:
    dataset = find_dataset(folder, val_fraction=0.2, seed=0)
    cache = folder.parent / "cache"
    return open_training_data(dataset, px=16, cache_dir=cache, num_workers=1, max_unreadable_fraction=allowed)


def test_odd_but_whole_images_under_odd_names_are_all_used(folder: Path) -> None:
    data = opened(folder, 0.0)
    assert len(data.train) + len(data.val) == 2 * NUM_GOOD + len(GOOD) + 1
    assert data.unreadable == ()


def test_broken_images_are_listed_with_their_reasons_and_the_others_used(folder: Path) -> None:
    for name, content in BAD.items():
        (folder / "real" / name).write_bytes(content)
    data = opened(folder, 0.1)
    for _ in BAD:
        ledger.tried("a broken image among good ones")
    reasons = {Path(path).name: reason for path, reason in data.unreadable}
    assert set(reasons) == set(BAD)
    assert "empty" in reasons["empty.jpg"]
    assert reasons["bomb.png"] == "too many pixels; at most 100,000,000 are accepted"
    assert len(data.train) + len(data.val) == 2 * NUM_GOOD + len(GOOD) + 1


def test_too_many_broken_images_are_refused_by_name(folder: Path) -> None:
    for name, content in BAD.items():
        (folder / "real" / name).write_bytes(content)
    with pytest.raises(InputError, match=r"truncated\.jpg"):
        opened(folder, 0.01)


def test_a_label_file_cannot_name_its_way_to_a_secret(folder: Path) -> None:
    secret = folder.parent / "secret.txt"
    secret.write_text("a password, long enough to be told from an image\n" * 9)
    rows = "".join(f"{kind}/{number:03d}.jpg,{label}\n" for label, kind in enumerate(("real", "fake")) for number in range(30))
    (folder / "labels.csv").write_text(f"path,label\n{rows}../secret.txt,1\n")
    dataset = find_dataset(folder / "labels.csv", val_fraction=0.2, seed=0)
    with pytest.raises(InputError, match=r"secret\.txt") as caught:
        open_training_data(dataset, px=16, cache_dir=folder.parent / "cache", num_workers=1, max_unreadable_fraction=0.0)
    assert "password" not in str(caught.value)
