"""One image file to square uint8 pixels: the one resize rule of training, evaluation and prediction.

Pillow reads the file; a JPEG is decoded at the smallest DCT scale (1/1, 1/2, 1/4, 1/8) that is not below the target; the
centre square is resized to the target with antialiased bicubic. Pillow's own libjpeg-turbo takes 0.25 ms for a 224 px
JPEG, the resize to 128 px 0.5 ms (one core of the test machine), so a second JPEG library would save 15 %.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from hpsearch.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESIZE_RULE = "centre square, DCT scale, bicubic, 1"
"""Names what `decode` does; a change of the pixels changes this text, and with it the address of every cache."""

MAX_PIXELS = 100_000_000
"""Larger images are refused, since they are decompression bombs or mistakes; a 24-megapixel camera stays far below."""

_END_OF_IMAGE = b"\xff\xd9"
_START_OF_SCAN = b"\xff\xda"
_ORIENTATION_TAG = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation → what sets the pixels upright."""


class UnreadableImageError(InputError):
    """An image file cannot be decoded as a whole; `reason` says why without the path."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}. Replace the file or remove it from its label file.")
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type[UnreadableImageError], tuple[str, str]]:
        return type(self), (self.path, self.reason)


def decode(path: str, px: int) -> NDArray[np.uint8]:
    """Decodes the image at `path`: shorter side resized to `px`, centre-cropped square, upright, RGB.

    EXIF rotation is applied, transparency laid on white, 16 bits cut to 8, and of an animation the first frame is taken.

    Args:
        path: Any format that Pillow reads, whatever the file's suffix.
        px: Side of the result.

    Returns:
        uint8 of shape (px, px, 3), values 0–255.

    Raises:
        UnreadableImageError: missing, empty, not an image, truncated, or over `MAX_PIXELS`.
    """
    try:
        content = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise UnreadableImageError(path, f"cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if not content:
        raise UnreadableImageError(path, "the file is empty")
    try:
        return _decode(content, px)
    except UnidentifiedImageError as error:
        raise UnreadableImageError(path, "not an image in a known format") from error
    except Image.DecompressionBombError as error:  # before the size can be asked for
        raise UnreadableImageError(path, f"too many pixels; at most {MAX_PIXELS:,} are accepted") from error
    except Exception as error:  # Pillow's parsers raise OSError, SyntaxError, ValueError, struct.error, … on broken files
        raise UnreadableImageError(path, str(error) or type(error).__name__) from error


def readable_images(paths: Iterable[str], px: int, most: int) -> Iterator[NDArray[np.uint8]]:
    """The first `most` images of `paths` that can be decoded, as `decode` gives them; the others are passed over."""
    for path in paths:
        if most == 0:
            return
        try:
            yield decode(path, px)
        except UnreadableImageError:
            continue
        most -= 1


def _decode(content: bytes, px: int) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(content)) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise ValueError(f"{width} × {height} pixels; at most {MAX_PIXELS:,} are accepted")
        if image.format in ("JPEG", "MPO"):
            _check_jpeg_end(content)
            image.draft(None, (px, px))
        image.load()
        turn = _TURNS.get(_orientation(image))
        square = _centre_square(_to_rgb(image), px)
    return np.asarray(square if turn is None else square.transpose(turn))


def _check_jpeg_end(content: bytes) -> None:
    """A file that was cut, or cut and filled with zeros, has no end marker after its last scan; libjpeg may fill in grey."""
    if content.rfind(_END_OF_IMAGE) < content.rfind(_START_OF_SCAN):
        raise ValueError("truncated: the JPEG end marker is missing")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # a broken EXIF block raises what broken files raise, and its pixels are still good
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range; save it with 8 bits a channel")
    if image.mode == "I" or image.mode.startswith("I;16"):
        values_hw = np.asarray(image).astype(np.int64).clip(0, 65535) >> 8
        image = Image.fromarray(values_hw.astype(np.uint8))
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return image.convert("RGB")


def _centre_square(image: Image.Image, px: int) -> Image.Image:
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return image.resize((px, px), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
