"""Pictures of the worst answers: which, what is kept, and what a changed index cannot do."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hpsearch
from hpsearch.errors import InputError
from hpsearch.layout import RunLayout
from hpsearch.report.mistakes import overlaid, read_mistakes, worst, write_mistakes
from hpsearch.report.tables import Predictions
from tests.exported import make_export
from tests.small_set import write_images


def answers(labels: list[int], probabilities: list[float], names: list[str] | None = None) -> Predictions:
    shown = tuple(names or map(str, range(len(labels))))
    return Predictions(names=shown, labels_n=np.array(labels), probabilities_n=np.array(probabilities))


def test_the_worst_of_each_class_come_first() -> None:
    predictions = answers([0, 1, 0, 1, 1], [0.2, 0.9, 0.7, 0.1, 0.4])
    assert worst(predictions, 0) == [2, 0]
    assert worst(predictions, 1) == [3, 4, 1]


@pytest.fixture
def written(tmp_path: Path) -> RunLayout:
    layout = RunLayout(tmp_path / "run")
    make_export(layout.best, stored_px=40)
    names = write_images(tmp_path / "images", 4, 48, np.random.default_rng(0))
    (tmp_path / "images" / names[3]).write_bytes(b"")
    predictions = answers([0, 1, 0, 1], [0.9, 0.1, 0.4, 0.0], ["odd\rname.jpg", *names[1:]])
    write_mistakes(layout, hpsearch.load(layout.best, "cpu"), predictions, [str(tmp_path / "images" / one) for one in names])
    return layout


def test_pictures_and_heat_are_kept_and_an_unreadable_image_is_left_out(written: RunLayout) -> None:
    found = read_mistakes(written)
    assert found[0].name == "odd\rname.jpg"
    assert [(one.label, one.probability, one.is_wrong) for one in found] == [(0, 0.9, True), (0, 0.4, False), (1, 0.1, True)]
    for one in found:
        assert one.heat is not None
        with Image.open(one.picture) as picture, Image.open(one.heat) as heat:
            assert picture.size == heat.size == (160, 160)
            assert np.abs(np.asarray(picture, dtype=int) - np.asarray(heat, dtype=int)).mean() > 2


def test_the_picture_glows_only_where_there_is_heat() -> None:
    seen_hwc = np.full((2, 2, 3), 100.0)
    glowing_hwc = overlaid(seen_hwc, np.array([[0.0, 0.0], [0.0, 1.0]]))
    np.testing.assert_allclose(glowing_hwc[0, 0], 75.0)
    assert glowing_hwc[1, 1, 0] > glowing_hwc[1, 1, 2] + 80


@pytest.mark.parametrize("name", ["../best/model.json", "/etc/hostname", "absent.jpg"])
def test_a_picture_outside_its_folder_is_refused(written: RunLayout, name: str) -> None:
    index = written.mistakes / "index.csv"
    index.write_text(index.read_text().replace(",00.jpg", f",{name}", 1))
    with pytest.raises(InputError, match="is no picture of this folder"):
        read_mistakes(written)
