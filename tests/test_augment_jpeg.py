import io

import numpy as np
import pytest
import torch
from PIL import Image

from hpsearch.train.augment import build_augmentation
from hpsearch.train.augment.jpeg import _tables, compressed, jpeg
from tests.augment_images import pictures, same_picture


def by_pillow(images_bchw: torch.Tensor, quality: int) -> torch.Tensor:
    decoded = []
    for image_chw in images_bchw:
        with io.BytesIO() as stream:
            Image.fromarray(image_chw.permute(1, 2, 0).numpy()).save(stream, "JPEG", quality=quality)
            decoded.append(np.array(Image.open(stream)))
    return torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2)


@pytest.mark.parametrize("quality", [10, 30, 50, 75, 95])
def test_pixels_equal_pillows_up_to_its_integer_arithmetic(quality: int) -> None:
    images_bchw = pictures(8, 64)
    ours = compressed(images_bchw.float().contiguous() / 255, torch.full((8,), quality)) * 255
    theirs = by_pillow(images_bchw, quality).float()
    effect, difference = (images_bchw - theirs).abs().mean(), ours - theirs
    assert difference.abs().mean() < effect / 8
    assert difference.mean(dim=(0, 2, 3)).abs().max() < 0.02
    assert 10 * torch.log10(255**2 / difference.square().mean()) > 47


def test_sides_that_are_no_multiple_of_16_equal_pillows_up_to_the_last_blocks() -> None:
    images_bchw = pictures(8, 40)
    ours = compressed(images_bchw.float().contiguous() / 255, torch.full((8,), 30)) * 255
    difference = (ours - by_pillow(images_bchw, 30)).abs()
    assert ours.shape == images_bchw.shape
    assert difference[..., :32, :32].mean() < 0.3
    assert difference.mean() < 1.0


def test_tables_equal_those_that_pillow_writes() -> None:
    image = Image.fromarray(np.zeros((16, 16, 3), dtype=np.uint8))
    tables_q264 = _tables(torch.device("cpu"))
    zigzag_free = []
    for quality in (1, 10, 30, 49, 50, 75, 95, 100):
        with io.BytesIO() as stream:
            image.save(stream, "JPEG", quality=quality)
            written = Image.open(stream).quantization  # type: ignore[attr-defined]
        for table in (0, 1):
            zigzag_free.append(sorted(written[table]) == sorted(tables_q264[quality, table].int().tolist()))
    assert all(zigzag_free)


def test_each_image_gets_its_own_quality() -> None:
    images_bchw = same_picture(3, 32).float().contiguous() / 255
    mixed = compressed(images_bchw, torch.tensor([10, 50, 90]))
    alone = [compressed(images_bchw[:1], torch.tensor([quality]))[0] for quality in (10, 50, 90)]
    torch.testing.assert_close(mixed, torch.stack(alone), atol=1e-6, rtol=0)
    errors = (mixed - images_bchw).abs().mean(dim=(1, 2, 3))
    assert errors[0] > errors[1] > errors[2] > 0


def test_qualities_are_whole_and_fill_the_range_up_to_95() -> None:
    image = pictures(1, 16).float().contiguous() / 255
    possible = torch.cat([compressed(image, torch.tensor([quality])) for quality in range(90, 97)])
    uniforms_bu = torch.linspace(0, 0.999, 60)[:, None]
    drawn = jpeg(image.expand(60, -1, -1, -1), uniforms_bu, quality_min=90)
    matches = [(possible == image_chw).flatten(1).all(dim=1) for image_chw in drawn]
    counts = torch.stack(matches).sum(0)
    assert (counts[:6] >= 8).all()
    assert counts[6] == 0


def test_output_has_eight_bits() -> None:
    output_bchw = build_augmentation({"jpeg": {"p": 1.0}}, 32)(pictures(2, 32), 0, 0) * 255
    torch.testing.assert_close(output_bchw, output_bchw.round(), atol=1e-4, rtol=0)
