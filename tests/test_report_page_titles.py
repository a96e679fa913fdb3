"""What a searched parameter is called on an axis."""

from pathlib import Path

import pytest

from hpsearch.layout import RunLayout
from hpsearch.report.facts import SearchedParameter
from hpsearch.report.page.effects import effect_figures
from hpsearch.report.page.parallel import parallel_figure
from hpsearch.report.page.parameter_titles import TITLES, UNITS, axis_title, column_title
from hpsearch.report.rebuild import content_of
from hpsearch.train.augment import known_augmentations
from hpsearch.train.augment.registry import unit_of
from hpsearch.train.settings import known_parameters


@pytest.mark.parametrize(
    ("name", "log", "title"),
    [
        ("lr", True, "Peak learning rate, lr (logarithmic)"),
        ("se_reduction", False, "SE reduction ratio r, se_reduction"),
        ("image_px", False, "Image side, image_px (px)"),
        ("weight_decay", True, "Weight decay (logarithmic)"),
        ("augment.blur.sigma_max", False, "augment.blur.sigma_max (px)"),
        ("augment.noise.std_max", True, "augment.noise.std_max (of 255, logarithmic)"),
        ("augment.rotate.degrees", False, "augment.rotate.degrees (°)"),
        ("augment.mine.unknown", False, "augment.mine.unknown"),
    ],
)
def test_a_title_has_words_name_unit_and_scale(name: str, log: bool, title: str) -> None:
    assert axis_title(SearchedParameter(name=name, low=0.1, high=1.0, log=log)) == title


def test_choices_are_no_logarithmic_axis() -> None:
    assert axis_title(SearchedParameter(name="lr", log=True, choices=(0.1, 1.0))) == "Peak learning rate, lr"


def test_titles_of_columns_are_folded_where_names_end() -> None:
    assert column_title("label_smoothing") == ["label_", "smoothing"]
    assert column_title("image_px") == ["image_px", "(px)"]
    assert column_title("augment.erase.p") == ["augment.", "erase.", "p", "(share of", "images)"]
    assert column_title("__x..y") == ["x.", "y"]


def test_every_parameter_of_a_trial_has_a_title() -> None:
    assert set(TITLES) == set(known_parameters())
    assert set(UNITS) < set(TITLES)


def test_units_of_the_catalogue_stand_on_every_axis_that_has_one(tmp_path: Path) -> None:
    """A study that searches every number of the catalogue."""
    rules = {f"augment.{name}.{key}": rule for name, keys in known_augmentations().items() for key, rule in keys.items()}
    numbers = {name: rule for name, rule in rules.items() if rule.kind != "text"}
    dimensions = {name: {"name": name, "low": rule.low, "high": rule.high} for name, rule in numbers.items()}
    header = {"event": "study", "version": 1, "space": {"dimensions": dimensions}, "rungs": [100], "eta": 3.0}
    params = {name: rule.high for name, rule in numbers.items()}
    content = content_of(
        RunLayout(tmp_path),
        [
            header,
            {"event": "suggested", "trial": 0, "params": params, "origin": "random"},
            {"event": "started", "trial": 0, "slot": 0, "from_images": 0, "to_images": 100},
            {"event": "rung", "trial": 0, "images": 100, "value": 0.6, "seconds": 1.0, "metrics": {}},
        ],
    )
    effects = {figure.layout["xaxis"]["title"]["text"] for figure in effect_figures(content)}
    assert effects == {f"{name} ({unit_of(name)})" if unit_of(name) else name for name in numbers}
    parallel = parallel_figure(content)
    assert parallel is not None
    columns = dict(zip(numbers, parallel.layout["xaxis"]["ticktext"], strict=False))
    shown = {name: column.replace("<br>", " ") for name, column in columns.items()}
    assert [name for name in numbers if unit_of(name) and not shown[name].endswith(f" ({unit_of(name)})")] == []
    assert columns["augment.blur.sigma_max"] == "augment.<br>blur.<br>sigma_max<br>(px)"
