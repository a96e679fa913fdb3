from pathlib import Path

import pytest

from hpsearch.config import DataConfig, RunConfig
from hpsearch.errors import InputError
from hpsearch.job.inputs import cache_directory, configured, read_inputs, split_overrides
from tests.small_set import SPACE, make_competition


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    root = tmp_path_factory.mktemp("inputs")
    (root / "space.yaml").write_text(SPACE)
    return RunConfig(data=DataConfig(source=str(make_competition(root / "data"))), space=str(root / "space.yaml"))


def test_fixed_parameters_are_told_from_settings() -> None:
    assert split_overrides(["seed=3", "fixed.image_px=64"]) == (["seed=3"], {"image_px": 64})


def test_a_parameter_without_fixed_says_how_to_write_it() -> None:
    with pytest.raises(InputError, match=r"image_px is a parameter of a trial; write --set fixed\.image_px=64"):
        configured(RunConfig(), ["image_px=64"])


def test_the_full_budget_follows_the_space(config: RunConfig) -> None:
    assert read_inputs(config, {}).rungs == (8, 24, 72)
    assert read_inputs(config, {"images_per_trial": "none", "epochs": 3}).images_per_trial == 3 * 48


def test_images_are_stored_with_room_for_the_largest_crop_of_the_space(config: RunConfig) -> None:
    inputs = read_inputs(config, {"augment.crop.mode": "ratio", "augment.crop.ratio": 1.25})
    assert inputs.stored_px_by_size() == {32: 40}
    assert read_inputs(config, {}).stored_px_by_size() == {32: 32}


def test_the_sample_set_is_made_where_no_data_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory(DataConfig()) == tmp_path / "hpsearch"
    inputs = read_inputs(RunConfig(), {})
    assert len(inputs.dataset.train) == 1600
    assert inputs.dataset.template is not None
