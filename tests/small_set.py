"""A tiny data set in the competition's layout: deepfakes carry a faint pattern, so that a network can learn it."""

from pathlib import Path

import numpy as np
from PIL import Image

SPACE = """
backbone: {choices: [test_resnet, test_efficientnet]}
se_reduction: {choices: [none, 4], when: {backbone: [test_resnet]}}
lr:
  cnn: {low: 1.0e-3, high: 1.0e-2, log: true}
augment:
  jpeg: {p: {low: 0.0, high: 0.3}}
fixed: {image_px: 32, batch_size: 8, images_per_trial: 72, augment.hflip.p: 0.5}
start: [{backbone: test_resnet, se_reduction: 4, lr: 3.0e-3}]
limits: {num_parameters: 200_000_000}
"""


def make_competition(root: Path, *, num_train: int = 48, num_val: int = 24, num_test: int = 6, px: int = 40) -> Path:
    """Writes `phase1` and `phase2` below `root` and returns it."""
    random = np.random.default_rng(0)
    for split, count in (("train", num_train), ("val", num_val)):
        names = write_images(root / "phase1" / f"{split}set", count, px, random)
        lines = [f"{name},{number % 2}" for number, name in enumerate(names)]
        (root / "phase1" / f"{split}set_label.txt").write_text("\n".join(["img_name,target", *lines]))
    names = write_images(root / "phase2" / "testset1_seen", num_test, px, random)
    (root / "phase2" / "testset1_seen_nolabel.txt").write_text("\n".join(["img_name", *names]) + "\n")
    return root


def write_images(folder: Path, count: int, px: int, random: np.random.Generator) -> list[str]:
    """Real (even) and deepfake (odd) images; returns their names."""
    folder.mkdir(parents=True)
    names = []
    for number in range(count):
        pixels_hwc = random.normal(128, 30, (px, px, 3))
        pixels_hwc[::4] += 25 * (number % 2)
        names.append(f"{number:032x}.jpg")
        Image.fromarray(pixels_hwc.clip(0, 255).astype(np.uint8)).save(folder / names[-1], quality=92)
    return names
