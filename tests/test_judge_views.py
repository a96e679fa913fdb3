import numpy as np
import pytest
import torch

from hpsearch.judge.robustness import DEGRADATIONS
from hpsearch.judge.views import ALL_VIEWS, SINGLE_VIEWS, averaged, chosen_views, view

IMAGES_BCHW = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LABELS_N = np.arange(400) % 2


def noisy(spread: float, seed: int) -> np.ndarray:
    return np.clip(0.5 + 0.2 * (LABELS_N - 0.5) + np.random.default_rng(seed).normal(0, spread, 400), 0, 1)


def test_views_are_the_image_its_mirror_image_and_its_corners() -> None:
    assert torch.equal(view(IMAGES_BCHW, "whole"), IMAGES_BCHW)
    assert torch.equal(view(IMAGES_BCHW, "mirrored"), IMAGES_BCHW.flip(3))
    assert torch.equal(view(IMAGES_BCHW, "corner01"), IMAGES_BCHW[:, :, :28, 4:])
    assert torch.equal(view(IMAGES_BCHW, "mirrored corner10"), IMAGES_BCHW[:, :, 4:, :28].flip(3))
    assert len(ALL_VIEWS) == 10


def test_views_that_average_independent_noise_are_chosen() -> None:
    answers = {name: noisy(0.3, seed) for seed, name in enumerate(ALL_VIEWS)}
    assert chosen_views(LABELS_N, answers) == "flip_crops"


def test_views_that_gain_nothing_beyond_noise_are_not_chosen() -> None:
    plain_n = noisy(0.2, 0)
    answers = {name: plain_n + 1e-4 * noisy(0.2, seed) for seed, name in enumerate(ALL_VIEWS, start=1)}
    answers["whole"] = plain_n
    assert chosen_views(LABELS_N, answers) == "none"


def test_views_that_help_the_seen_part_alone_are_not_chosen_under_a_shift_split() -> None:
    is_shift_n = np.arange(400) < 200
    answers = {name: np.where(is_shift_n, noisy(0.3, 0), noisy(0.3, seed)) for seed, name in enumerate(ALL_VIEWS)}
    parts = np.where(is_shift_n, "shift", "seen").tolist()
    assert chosen_views(LABELS_N, answers) == "flip_crops"
    assert chosen_views(LABELS_N, answers, "shift_auc", parts) == "none"


def test_probabilities_are_averaged_over_the_views_of_a_kind() -> None:
    answers = {name: np.array([float(number)]) for number, name in enumerate(ALL_VIEWS)}
    assert averaged(answers, "flip") == pytest.approx(np.array([0.5]))
    assert all(name in answers for names in SINGLE_VIEWS.values() for name in names)


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_each_degradation_changes_images_alike_each_time(name: str) -> None:
    once, again = DEGRADATIONS[name](IMAGES_BCHW), DEGRADATIONS[name](IMAGES_BCHW)
    assert torch.equal(once, again)
    assert once.shape == IMAGES_BCHW.shape
    assert 0 <= float(once.min()) <= float(once.max()) <= 1
    assert float((once - IMAGES_BCHW / 255).abs().mean()) > 0.005


@pytest.mark.parametrize("kind", ["jpeg", "blur", "noise", "resize"])
def test_stronger_degradations_change_more(kind: str) -> None:
    smooth = torch.nn.functional.interpolate(IMAGES_BCHW[:, :, :8, :8].float(), (32, 32), mode="bicubic").clamp(0, 255)
    images_bchw = smooth.to(torch.uint8)
    changes = [
        float((change(images_bchw) - images_bchw / 255).abs().mean())
        for name, change in DEGRADATIONS.items()
        if name.startswith(kind)
    ]
    assert changes == sorted(changes)


def test_views_that_were_not_tried_are_not_chosen() -> None:
    answers = {name: noisy(0.3, seed) for seed, name in enumerate(SINGLE_VIEWS["flip"])}
    assert chosen_views(LABELS_N, answers) == "flip"
