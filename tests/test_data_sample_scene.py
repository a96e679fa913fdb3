"""A forgery changes the face and nothing else, and the camera treats both alike."""

import numpy as np
import pytest

from hpsearch.data.sample_scene import PX, Source, draw_scene, expose, forge

SOURCE = Source.draw(np.random.default_rng(0))
SCENE_HWC, Y_HW, X_HW = draw_scene(SOURCE, np.random.default_rng(1))


def changes(strength: float, seed: int) -> np.ndarray:
    forged_hwc = forge(SCENE_HWC, Y_HW, X_HW, strength, np.random.default_rng(seed))
    return np.abs(forged_hwc - SCENE_HWC).max(axis=2)


def test_a_scene_is_an_image() -> None:
    assert SCENE_HWC.shape == (PX, PX, 3)
    assert SCENE_HWC.dtype == np.float32
    assert SCENE_HWC.min() >= 0
    assert SCENE_HWC.max() <= 1


@pytest.mark.parametrize("seed", range(5))
def test_a_forgery_changes_the_face_and_leaves_the_background(seed: int) -> None:
    changed_hw = changes(1.0, seed)
    radius_hw = np.hypot(X_HW, Y_HW)
    assert changed_hw[radius_hw < 0.4].mean() > 0.01
    assert changed_hw[radius_hw > 2].max() < 1e-3


def test_a_forgery_without_strength_changes_nothing_to_speak_of() -> None:
    assert changes(0.0, 0).max() < 1e-3


def test_stronger_forgeries_change_more() -> None:
    weak, strong = (np.mean([changes(strength, seed).mean() for seed in range(5)]) for strength in (0.3, 1.0))
    assert strong > 2 * weak


def test_the_camera_adds_the_noise_of_its_source() -> None:
    flat_hwc = np.full((PX, PX, 3), 0.5, np.float32)
    taken_hwc = expose(flat_hwc, SOURCE, np.random.default_rng(0))
    assert taken_hwc.dtype == np.uint8
    expected = 255 * np.sqrt(SOURCE.read_noise**2 + SOURCE.shot_noise * 0.5)
    assert taken_hwc.std() == pytest.approx(expected, rel=0.05)
