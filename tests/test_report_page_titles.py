"""What a searched parameter is called on an axis."""

from pathlib import Path

import pytest

from hpsearch.layout import RunLayout
from hpsearch.report.facts import SearchedParameter
from hpsearch.report.page.content import PageContent
from hpsearch.report.page.effects import _scale, effect_figures
from hpsearch.report.page.parallel import parallel_figure
from hpsearch.report.page.parameter_titles import TITLES, UNITS, axis_title, column_title
from hpsearch.report.page.render import render_page
from hpsearch.report.rebuild import content_of
from hpsearch.train.augment import known_augmentations
from hpsearch.train.augment.registry import unit_of
from hpsearch.train.settings import known_parameters
from tests.keyboard import installed_chromium, keyboard


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


@pytest.fixture
def everything(tmp_path: Path) -> PageContent:
    """A study that searches every number of the catalogue."""
    rules = {f"augment.{name}.{key}": rule for name, keys in known_augmentations().items() for key, rule in keys.items()}
    numbers = {name: rule for name, rule in rules.items() if rule.kind != "text"}
    dimensions = {name: {"name": name, "low": rule.low, "high": rule.high} for name, rule in numbers.items()}
    params = {name: rule.high for name, rule in numbers.items()}
    events = [
        {"event": "study", "version": 1, "space": {"dimensions": dimensions}, "rungs": [100], "eta": 3.0, "seed": 0},
        {"event": "suggested", "trial": 0, "params": params, "origin": "random"},
        {"event": "started", "trial": 0, "slot": 0, "from_images": 0, "to_images": 100},
        {"event": "rung", "trial": 0, "images": 100, "value": 0.6, "seconds": 1.0, "metrics": {}},
    ]
    return content_of(RunLayout(tmp_path), events)


def test_units_of_the_catalogue_stand_on_every_axis_that_has_one(everything: PageContent) -> None:
    numbers = list(everything.searched)
    effects = {figure.layout["xaxis"]["title"]["text"] for figure in effect_figures(everything)}
    assert effects == {f"{name} ({unit_of(name)})" if unit_of(name) else name for name in numbers}
    parallel = parallel_figure(everything)
    assert parallel is not None
    columns = dict(zip(numbers, parallel.layout["xaxis"]["ticktext"], strict=False))
    shown = {name: column.replace("<br>", " ") for name, column in columns.items()}
    assert [name for name in numbers if unit_of(name) and not shown[name].endswith(f" ({unit_of(name)})")] == []
    assert columns["augment.blur.sigma_max"] == "augment.<br>blur.<br>sigma_max<br>(px)"


def test_names_of_many_columns_stand_upright_on_paper_alone(everything: PageContent, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(render_page(everything))
    axis = "document.querySelector('[data-figure=parallel]').layout.xaxis"
    with keyboard(installed_chromium(), page, tmp_path / "profile", "--window-size=1200,900") as keys:
        assert keys.look(f"{axis}.tickangle") == 0
        keys.look("dispatchEvent(new Event('beforeprint'))")
        assert keys.look(f"{axis}.tickangle") == -90
        assert "augment.blur.sigma_max (px)" in keys.look(f"{axis}.ticktext")
        keys.look("dispatchEvent(new Event('afterprint'))")
        assert keys.look(f"{axis}.tickangle") == 0


def test_names_of_choices_stand_upright_where_they_have_no_room_side_by_side() -> None:
    few, many = (
        SearchedParameter(name="backbone", choices=choices)
        for choices in (("resnet18", "resnet50", "convnext_tiny"), ("resnet18", "caformer_b36.sail_in22k"))
    )
    assert "tickangle" not in _scale(few)
    assert _scale(many)["tickangle"] == -90
