import pytest
import torch
from PIL import Image

from hpsearch.bench.augmentation import FULL_RECIPE, SEED_RECIPE, compare_augmentation, torchvision_pipeline


@pytest.mark.parametrize("recipe", [SEED_RECIPE, FULL_RECIPE], ids=["seed", "full"])
def test_the_torchvision_counterpart_gives_images_of_the_same_size(recipe: dict[str, dict[str, float]]) -> None:
    large = Image.effect_mandelbrot((90, 90), (-2, -1, 1, 1), 50).convert("RGB")
    torch.manual_seed(0)
    outputs = [torchvision_pipeline(recipe, 32, resize=True)(large) for _ in range(10)]
    outputs += [torchvision_pipeline(recipe, 32, resize=False)(large.resize((40, 40))) for _ in range(10)]
    assert {output.shape for output in outputs} == {torch.Size([3, 32, 32])}
    assert all(output.min() >= 0 and output.max() <= 1 for output in outputs)


def test_every_step_of_the_full_recipe_has_a_counterpart() -> None:
    steps = torchvision_pipeline(FULL_RECIPE, 32, resize=False).transforms  # type: ignore[attr-defined]
    assert len(steps) == len(FULL_RECIPE) + 2  # and the conversion to a tensor and to floats


def test_a_comparison_measures_both_and_restores_the_threads() -> None:
    num_threads = torch.get_num_threads()
    speed = compare_augmentation(FULL_RECIPE, 32, source_px=64, batch_size=16, repeats=3)
    assert speed.image_px == 32
    assert speed.ratio > 1
    assert torch.get_num_threads() == num_threads
