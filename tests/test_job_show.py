from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hpsearch.data.batches import training_batches
from hpsearch.data.training_data import LabelledImages
from hpsearch.errors import InputError
from hpsearch.job.show import Shown, first_batch, write_grid
from hpsearch.job.single_trial import NUM_DRAWN
from hpsearch.train.augment import build_augmentation, build_labelled
from hpsearch.train.settings import TrialSettings
from hpsearch.trial import command
from tests.augment_images import pictures
from tests.small_set import SPACE, make_competition

AUGMENT = {"selfblend": {"p": 0.5}, "hflip": {"p": 0.5}, "jpeg": {"p": 0.5}}
SETTINGS = TrialSettings(image_px=48, batch_size=12, augment=AUGMENT)


def images() -> LabelledImages:
    pixels_nhwc = pictures(20, 48).permute(0, 2, 3, 1).contiguous().numpy()
    return LabelledImages(images_nhwc=pixels_nhwc, labels_n=np.arange(20) % 2, indices_n=np.arange(20))


def test_what_is_shown_is_what_the_first_step_trains_on() -> None:
    shown = first_batch(images(), SETTINGS, 5)
    batch = next(training_batches(images(), batch_size=12, seed=5, balance=0.0, start_images=0, device="cpu"))
    seen_bchw, targets_b = build_labelled(AUGMENT, build_augmentation(AUGMENT, 48))(*batch, 5)
    assert torch.equal(shown.seen_bchw, seen_bchw)
    assert shown.targets_b.tolist() == targets_b.tolist()
    assert (shown.targets_b > shown.labels_b).any()
    assert torch.equal((shown.plain_bchw * 255).round().to(torch.uint8), batch[0])


@pytest.mark.parametrize(("side_px", "enlarged_px"), [(32, 96), (160, 160)])
def test_a_pair_is_drawn_pixel_for_pixel_in_the_colour_of_its_target(side_px: int, enlarged_px: int, tmp_path: Path) -> None:
    plain_bchw, seen_bchw = torch.zeros(3, 3, side_px, side_px), torch.ones(3, 3, side_px, side_px) * 0.2
    shown = Shown(
        plain_bchw=plain_bchw,
        seen_bchw=seen_bchw,
        labels_b=np.array([0, 1, 0]),
        targets_b=np.array([0.0, 1.0, 1.0], dtype=np.float32),
    )
    write_grid([(shown, "resnet18 at 32 px")], tmp_path / "new" / "grid.png")
    with Image.open(tmp_path / "new" / "grid.png") as page:
        counts = {colour: count for count, colour in page.getcolors(1 << 20) or []}
    assert counts[0, 0, 0] >= 3 * enlarged_px**2
    assert counts[51, 51, 51] - 3 * enlarged_px**2 in range(50)  # letters have such pixels too
    frames = [counts[46, 125, 50], counts[198, 40, 40]]
    assert frames[1] > 1.5 * frames[0] > 0


def test_the_command_writes_a_picture_and_trains_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    data = make_competition(tmp_path / "data")
    picture = tmp_path / "look.png"
    code = command(["--data", str(data), "--space", str(tmp_path / "space.yaml"), "--show", str(picture)])
    assert code == 0
    assert f"Written to {picture}" in capsys.readouterr().out
    with Image.open(picture) as page:
        assert page.format == "PNG"


def test_without_a_start_point_several_drawn_configurations_of_one_size_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = SPACE.replace("image_px: 32, ", "") + "image_px: {choices: [32, 64, 96]}\n"
    (tmp_path / "space.yaml").write_text(sizes)
    words = ["--data", str(make_competition(tmp_path / "data")), "--space", str(tmp_path / "space.yaml"), "--show"]
    assert command([*words, str(tmp_path / "drawn.png")]) == 0
    told = capsys.readouterr().out
    strengths = {line for line in told.splitlines() if line.startswith("  augment.jpeg.p = ")}
    assert len(strengths) == NUM_DRAWN
    assert len({line for line in told.splitlines() if line.startswith("  image_px = ")}) == 1
    assert command([*words, str(tmp_path / "start.png"), "--start", "0"]) == 0
    assert capsys.readouterr().out.count("augment.jpeg.p") == 1


def test_nothing_is_exported_of_what_is_not_trained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--show trains nothing, so there is nothing to --export"):
        command(["--show", str(tmp_path / "look.png"), "--export", str(tmp_path / "model")])


def test_a_configuration_is_drawn_where_the_space_has_no_start_point(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "space.yaml").write_text(SPACE.partition("start:")[0])
    words = ["--data", str(make_competition(tmp_path / "data")), "--space", str(tmp_path / "space.yaml")]
    assert command([*words, "--show", str(tmp_path / "look.png")]) == 0
    assert "  lr = " in capsys.readouterr().out
    with pytest.raises(InputError, match="--start 0: there is no such start point in the space; it has none"):
        command([*words, "--start", "0"])
