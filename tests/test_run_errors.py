"""Every wrong input ends with exit code 2 and a message that names place, rule and remedy, before anything is started."""

import re
from pathlib import Path

import pytest

from hpsearch import run
from tests.small_set import SPACE, make_competition


@pytest.fixture(scope="module")
def good_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_competition(tmp_path_factory.mktemp("data"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_competition(tmp_path / "data")


def error_of(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, out: Path, *options: object) -> str:
    monkeypatch.setattr("sys.argv", ["run", "--out", str(out), "--name", "n", *map(str, options)])
    assert run.main() == 2
    assert not (out / "n" / "trials").exists()
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (("backbone:", "backbon:"), r"space\.yaml:2: unknown parameter 'backbon'; did you mean 'backbone'\?"),
        (
            ("test_efficientnet", "test_efficientnett"),
            r"space\.yaml:2: .*'test_efficientnett'.* mean 'test_efficientnet'\?",
        ),
        (("high: 1.0e-2", "high: 1.0e-4"), r"space\.yaml:5: .*lr.*empty"),
        (("lr: 3.0e-3", "lr: 3.0"), r"space\.yaml:9: .*lr.*3"),
    ],
    ids=["space key", "backbone", "empty range", "start point outside"],
)
def test_a_wrong_space_file_is_refused_with_its_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    good_data: Path,
    changed: tuple[str, str],
    message: str,
) -> None:
    space = tmp_path / "space.yaml"
    space.write_text(SPACE.replace(*changed))
    error = error_of(capsys, monkeypatch, tmp_path / "runs", "--data", good_data, "--space", space)
    assert re.search(message, error), error


def test_a_backbone_of_303_m_parameters_is_refused_with_the_limit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, good_data: Path
) -> None:
    space = tmp_path / "space.yaml"
    large = SPACE.replace("test_efficientnet", "vit_large_patch16_224").replace("image_px: 32", "image_px: 224")
    space.write_text(large.replace("lr:\n", "lr:\n  transformer: {low: 1.0e-5, high: 1.0e-4, log: true}\n"))
    error = error_of(capsys, monkeypatch, tmp_path / "runs", "--data", good_data, "--space", space)
    assert re.search(r"space\.yaml:2: .*vit_large_patch16_224.*303,\d+,\d+.*200,000,000", error), error


def test_a_mistyped_option_names_the_nearest(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    error = error_of(capsys, monkeypatch, tmp_path, "--trails", 3)
    assert "did you mean '--trials'?" in error


def test_a_missing_label_file_says_what_was_looked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: Path
) -> None:
    (data / "phase1" / "trainset_label.txt").unlink()
    assert "trainset_label.txt" in error_of(capsys, monkeypatch, tmp_path, "--data", data)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ((f"{3:032x}.jpg,1", f"{3:032x}.jpg,2"), r"trainset_label\.txt, line 5: .*2.*0.*1"),
        ((f"{3:032x}.jpg,1", "ffff.jpg,1"), r"trainset_label\.txt, line 5: .*ffff\.jpg"),
        ((f"{3:032x}.jpg,1", f"{1:032x}.jpg,1"), r"trainset_label\.txt, line 5: .*line 3"),
        ((",1", ",0"), r"trainset_label\.txt.*(one class|only|both)"),
    ],
    ids=["label 2", "row without image", "duplicate name", "one class only"],
)
def test_a_wrong_label_file_is_refused_with_its_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    data: Path,
    changed: tuple[str, str],
    message: str,
) -> None:
    labels = data / "phase1" / "trainset_label.txt"
    labels.write_text(labels.read_text().replace(*changed))
    error = error_of(capsys, monkeypatch, tmp_path, "--data", data)
    assert re.search(message, error), error


def test_an_empty_folder_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    assert "the folder is empty" in error_of(capsys, monkeypatch, tmp_path, "--data", tmp_path / "empty")


def test_more_than_one_percent_truncated_images_are_refused_by_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: Path
) -> None:
    broken = data / "phase1" / "trainset" / f"{5:032x}.jpg"
    broken.write_bytes(broken.read_bytes()[:400])
    space = tmp_path / "space.yaml"
    space.write_text(SPACE)
    error = error_of(capsys, monkeypatch, tmp_path, "--data", data, "--space", space, "--display", "quiet")
    assert broken.name in error
    assert re.search("(?i)truncated", error), error


def test_start_weights_that_no_hub_and_no_cache_has_are_refused_before_the_search(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, good_data: Path
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    space = tmp_path / "space.yaml"
    from_weights = SPACE.replace("test_resnet", "resnet18").replace("test_efficientnet", "resnet34")
    space.write_text(from_weights.replace("fixed: {", "fixed: {weights: in1k, "))
    error = error_of(capsys, monkeypatch, tmp_path, "--data", good_data, "--space", space, "--display", "quiet")
    assert "resnet18" in error
    assert "in1k" in error
