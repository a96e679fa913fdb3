"""`hpsearch.load`: a detector in two lines, from a run or its export."""

from pathlib import Path

import numpy as np
import pytest

import hpsearch
from hpsearch.errors import InputError
from tests.exported import make_export
from tests.small_set import write_images


def test_a_run_directory_and_its_export_give_the_same_detector(tmp_path: Path) -> None:
    make_export(tmp_path / "run" / "best")
    (name,) = write_images(tmp_path / "images", 1, 40, np.random.default_rng(0))
    image = tmp_path / "images" / name
    probability = hpsearch.load(tmp_path / "run").score(image)
    assert 0 < probability < 1
    assert hpsearch.load(str(tmp_path / "run" / "best")).score(str(image)) == probability


def test_a_folder_without_an_export_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no model\.json there"):
        hpsearch.load(tmp_path)
