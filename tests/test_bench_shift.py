from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpsearch.bench import planted_set, planted_shift
from hpsearch.bench.__main__ import main
from hpsearch.bench.planted_set import Studio
from hpsearch.bench.planted_shift import Tried, as_text


@pytest.fixture
def few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planted_set, "NUM_IMAGES", {"train": 160, "val": 40, "holdout": 24})


def _studios(*, is_held: bool) -> list[Studio]:
    return [Studio.draw(3, np.random.default_rng(number), is_held=is_held) for number in range(200)]


def test_studios_of_the_holdout_are_all_new_and_all_others_train() -> None:
    held, others = ({studio.number for studio in _studios(is_held=is_held)} for is_held in (True, False))
    assert len(held) == planted_set.NUM_HELD
    assert held | others == set(range(16))
    assert not held & others


def test_a_studio_is_the_same_each_time_and_forges_by_more_noise_or_less() -> None:
    studios = _studios(is_held=False)
    looks = {(studio.number, studio.roughness, studio.sigma_px, studio.noise, studio.trace) for studio in studios}
    assert len(looks) == 16 - planted_set.NUM_HELD
    assert {studio.trace > 1 for studio in studios} == {True, False}


def test_a_set_is_drawn_once(few_images: None, tmp_path: Path) -> None:
    first = planted_set.planted_set(tmp_path, 0, num_workers=2)
    written = Path(first.train.paths[0]).stat().st_mtime_ns
    again = planted_set.planted_set(tmp_path, 0, num_workers=2)
    assert Path(again.train.paths[0]).stat().st_mtime_ns == written
    assert again.fingerprint == first.fingerprint
    assert Image.open(first.train.paths[0]).size == (planted_set.PX, planted_set.PX)


def test_the_text_gives_the_paired_gain_and_its_error() -> None:
    def tried(plain: float, shift: float) -> list[Tried]:
        return [
            Tried(strength=0.0, values={"auc": 0.9, "shift_auc": 0.6}, holdouts={"auc": plain, "shift_auc": 0.1}),
            Tried(strength=1.0, values={"auc": 0.8, "shift_auc": 0.7}, holdouts={"auc": shift, "shift_auc": shift - 0.05}),
        ]

    text = as_text({0: tried(0.5, 0.7), 1: tried(0.6, 0.7)})
    assert text.splitlines()[1].split() == ["0", "auc", "0", "0.900", "0.500", "0.500"]
    assert text.splitlines()[2].split() == ["0", "shift_auc", "1", "0.700", "0.700", "0.650"]
    assert text.splitlines()[-2].endswith("both trained on all training images: +0.150 ± 0.050 (standard error, 2 seeds)")
    assert text.splitlines()[-1] == "each trained as its search has it: +0.100 ± 0.050 (standard error, 2 seeds)"


def test_the_command_compares_both_objectives(
    few_images: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(planted_shift, "EPOCHS", 1)
    monkeypatch.setattr(planted_shift, "STRENGTHS", (0.0, 1.0))
    assert main(["shift", "--seeds", "1", "--first-seed", "3", "--dir", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert [line.split()[:2] for line in shown.splitlines()[1:3]] == [["3", "auc"], ["3", "shift_auc"]]
    assert "(standard error, 1 seeds)" in shown


def test_no_seeds_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shift", "--seeds", "0"]) == 2
    assert "must be at least 1" in capsys.readouterr().err
