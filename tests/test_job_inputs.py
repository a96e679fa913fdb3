import contextlib
import dataclasses
from pathlib import Path

import pytest

from hpsearch.config import DataConfig, RunConfig
from hpsearch.errors import InputError
from hpsearch.job.inputs import cache_directory, configured, read_inputs, split_overrides
from hpsearch.search.engine import Engine
from hpsearch.search.journal import Journal
from hpsearch.search.space import Space
from hpsearch.search.types import EngineConfig
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
    inputs = read_inputs(config, {"augment.crop.mode": "random_resized", "augment.crop.scale_min": 0.08})
    assert inputs.stored_px_by_size() == {32: 48}
    assert read_inputs(config, {}).stored_px_by_size() == {32: 32}


def test_a_warm_start_from_what_is_no_run_is_refused(config: RunConfig, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is no run directory: it has no journal\.jsonl"):
        read_inputs(dataclasses.replace(config, warm_start=(str(tmp_path),)), {})


def test_a_warm_start_from_the_run_itself_is_refused(config: RunConfig) -> None:
    with pytest.raises(InputError, match="this is the run itself"):
        read_inputs(dataclasses.replace(config, name="mine", warm_start=("runs/mine",)), {})


def test_a_warm_start_from_a_study_of_other_parameters_is_refused(config: RunConfig, tmp_path: Path) -> None:
    other = Space.from_dict({"temperature": {"low": 0, "high": 1}})
    with contextlib.closing(Journal(tmp_path / "journal.jsonl")) as journal:
        Engine.open(other, EngineConfig(rungs=(1,), num_trials=1), journal).next(0)
    with pytest.raises(InputError, match=r"--warm-start .*: none of its trials has a parameter that this space searches"):
        read_inputs(dataclasses.replace(config, warm_start=(str(tmp_path),)), {})


def test_the_sample_set_is_made_where_no_data_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory(DataConfig()) == tmp_path / "hpsearch"
    inputs = read_inputs(RunConfig(), {})
    assert len(inputs.dataset.train) == 1600
    assert inputs.dataset.template is not None


def test_an_autoscaler_is_only_asked_for_what_is_known() -> None:
    with pytest.raises(InputError, match=r"resources\.autoscale=true .*cpus_per_trial=N resources\.max_slots=N$"):
        configured(RunConfig(), ["resources.autoscale=true", "resources.gpus_per_trial=1"])
    options = [f"resources.{key}" for key in ("autoscale=true", "gpus_per_trial=1", "cpus_per_trial=8", "max_slots=16")]
    assert configured(RunConfig(), options)[0].resources.max_slots == 16


def test_missing_data_are_named_before_the_space_is_read(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text("wrong: 1")
    with pytest.raises(InputError, match="--data nowhere: there is no 'nowhere'"):
        read_inputs(RunConfig(data=DataConfig(source="nowhere"), space=str(tmp_path / "space.yaml")), {})


def test_what_of_the_space_is_not_used_is_told_with_what_was_found(config: RunConfig) -> None:
    notes = read_inputs(config, {"backbone": "test_efficientnet"}).notes
    assert any("trainset_label.txt: names from column" in note for note in notes)
    assert any("start point 0 without its se_reduction" in note for note in notes)
