"""Every kind of image file comes out as the same upright RGB square, and broken ones never come out half."""

import io
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpsearch.data.decode import MAX_PIXELS, UnreadableImageError, decode

RED, GREEN, BLUE, YELLOW = (200, 30, 30), (30, 160, 30), (30, 30, 200), (200, 200, 30)
CLOSE = 12
"""Difference of 255 that JPEG and conversions may make to a plain colour."""


def quadrants(width: int = 64, height: int = 64) -> Image.Image:
    """Red, green over blue, yellow."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(GREEN, (width // 2, 0, width, height // 2))
    image.paste(BLUE, (0, height // 2, width // 2, height))
    image.paste(YELLOW, (width // 2, height // 2, width, height))
    return image


def corners(pixels_hwc: np.ndarray) -> list[tuple[int, ...]]:
    """Colours in the middle of the four quadrants."""
    px = len(pixels_hwc)
    return [tuple(map(int, pixels_hwc[y, x])) for y in (px // 4, 3 * px // 4) for x in (px // 4, 3 * px // 4)]


def assert_colours(found: list[tuple[int, ...]], expected: list[tuple[int, ...]]) -> None:
    assert np.abs(np.array(found) - np.array(expected)).max() <= CLOSE, f"{found} is not {expected}"


def saved(path: Path, image: Image.Image, **options: object) -> str:
    image.save(path, **options)
    return str(path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tiff"])
def test_formats_decode_alike(tmp_path: Path, suffix: str) -> None:
    pixels = decode(saved(tmp_path / f"a.{suffix}", quadrants()), 32)
    assert pixels.shape == (32, 32, 3)
    assert pixels.dtype == np.uint8
    assert_colours(corners(pixels), [RED, GREEN, BLUE, YELLOW])


def test_the_suffix_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "really-a-png.jpg"
    quadrants().save(path, format="PNG")
    assert_colours(corners(decode(str(path), 32)), [RED, GREEN, BLUE, YELLOW])


def test_an_image_of_the_right_size_is_untouched(tmp_path: Path) -> None:
    random_hwc = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    pixels = decode(saved(tmp_path / "a.png", Image.fromarray(random_hwc)), 48)
    assert np.array_equal(pixels, random_hwc)


def test_the_shorter_side_is_resized_and_the_centre_cropped(tmp_path: Path) -> None:
    image = Image.new("RGB", (120, 40), RED)
    image.paste(GREEN, (40, 0, 80, 40))
    pixels = decode(saved(tmp_path / "a.png", image), 20)
    assert_colours(corners(pixels), [GREEN] * 4)


def test_downscaling_is_antialiased(tmp_path: Path) -> None:
    stripes_hw = np.zeros((256, 256), dtype=np.uint8)
    stripes_hw[:, ::2] = 255
    pixels = decode(saved(tmp_path / "a.png", Image.fromarray(stripes_hw)), 50)
    assert pixels.std() < 20


def test_a_large_jpeg_decoded_at_a_dct_scale_equals_its_full_decoding(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", quadrants(1024, 768), quality=95)
    full = np.asarray(Image.open(path).convert("RGB").resize((64, 64), Image.Resampling.BICUBIC, box=(128, 0, 896, 768)))
    assert np.abs(decode(path, 64).astype(int) - full).mean() < 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(tmp_path: Path, orientation: int) -> None:
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = quadrants() if orientation == 1 else quadrants().transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = decode(saved(tmp_path / "a.jpg", stored, exif=exif), 32)
    assert_colours(corners(pixels), [RED, GREEN, BLUE, YELLOW])


def test_a_broken_exif_block_does_not_matter(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", quadrants(), exif=b"Exif\0\0this is no TIFF header")
    assert_colours(corners(decode(path, 32)), [RED, GREEN, BLUE, YELLOW])


def test_tiff_rotation_is_applied_once(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path / "a.tiff", quadrants().transpose(Image.Transpose.ROTATE_90), exif=exif)
    assert_colours(corners(decode(path, 32)), [RED, GREEN, BLUE, YELLOW])


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "YCbCr", "LA", "RGBA"])
def test_other_colour_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    grey = Image.new("L", (40, 40), 255)
    grey.paste(0, (0, 0, 40, 20))
    suffix = "tiff" if mode in ("CMYK", "YCbCr") else "png"
    pixels = decode(saved(tmp_path / f"a.{suffix}", grey.convert("RGB").convert(mode)), 20)
    assert_colours(corners(pixels), [(0, 0, 0)] * 2 + [(255, 255, 255)] * 2)


def test_cmyk_jpeg_keeps_its_colours(tmp_path: Path) -> None:
    plain = decode(saved(tmp_path / "rgb.png", quadrants().convert("CMYK").convert("RGB")), 32)
    cmyk = decode(saved(tmp_path / "cmyk.jpg", quadrants().convert("CMYK"), quality=95), 32)
    assert_colours(corners(cmyk), corners(plain))


def test_sixteen_bits_are_cut_to_eight(tmp_path: Path) -> None:
    ramp_hw = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    pixels = decode(saved(tmp_path / "a.png", Image.fromarray(ramp_hw)), 64)
    assert np.array_equal(pixels[..., 0], ramp_hw >> 8)


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    image = quadrants().convert("RGBA")
    image.putalpha(0)
    assert_colours(corners(decode(saved(tmp_path / "a.png", image), 32)), [(255, 255, 255)] * 4)


def test_a_transparent_palette_colour_is_laid_on_white(tmp_path: Path) -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([10, 20, 30] * 256)
    assert_colours(corners(decode(saved(tmp_path / "a.png", image, transparency=0), 8)), [(255, 255, 255)] * 4)


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_the_first_frame_of_an_animation_is_taken(tmp_path: Path, suffix: str) -> None:
    later = Image.new("RGB", (64, 64), (255, 255, 255))
    path = saved(tmp_path / f"a.{suffix}", quadrants(), save_all=True, append_images=[later])
    assert_colours(corners(decode(path, 32)), [RED, GREEN, BLUE, YELLOW])


def test_one_pixel_is_an_image(tmp_path: Path) -> None:
    assert_colours(corners(decode(saved(tmp_path / "a.png", Image.new("RGB", (1, 1), RED)), 16)), [RED] * 4)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_truncated_jpeg_is_refused(tmp_path: Path, progressive: bool) -> None:
    content = io.BytesIO()
    quadrants(256, 256).save(content, "JPEG", progressive=progressive)
    for name, broken in {
        "cut": content.getvalue()[:-200],
        "cut-and-filled": content.getvalue()[:-200] + bytes(200),
        "last-bytes": content.getvalue()[:-2],
    }.items():
        (tmp_path / name).write_bytes(broken)
        with pytest.raises(UnreadableImageError, match="truncated"):
            decode(str(tmp_path / name), 32)


@pytest.mark.parametrize("suffix", ["png", "webp", "bmp", "tiff", "gif"])
def test_other_truncated_formats_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    noise_hwc = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise_hwc).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UnreadableImageError):
        decode(str(path), 32)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_decompression_bomb_is_refused_without_decoding(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.new("1", (MAX_PIXELS // 10_000 + 1, 10_000)))
    with pytest.raises(UnreadableImageError, match=r"10001 × 10000 pixels; at most 100,000,000"):
        decode(path, 32)


def test_floating_point_pixels_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.tiff", Image.new("F", (8, 8), 0.5))
    with pytest.raises(UnreadableImageError, match="floating-point"):
        decode(path, 8)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "the file is empty"), (b"hello", "not an image in a known format"), (None, "No such file"), ("dir", "directory")],
)
def test_what_is_no_image_is_refused_with_the_reason(tmp_path: Path, content: bytes | str | None, reason: str) -> None:
    path = tmp_path / "a.jpg"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "dir":
        path.mkdir()
    with pytest.raises(UnreadableImageError, match=reason) as caught:
        decode(str(path), 32)
    assert str(path) in str(caught.value)


def test_the_error_survives_the_way_from_another_process() -> None:
    error = pickle.loads(pickle.dumps(UnreadableImageError("a.jpg", "the file is empty")))
    assert (error.path, error.reason) == ("a.jpg", "the file is empty")


def test_decoding_imports_neither_torch_nor_pandas() -> None:
    code = "import sys, hpsearch.data.decode; assert not {'torch', 'pandas', 'ray'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
