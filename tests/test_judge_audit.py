"""Each planted fault is found and named; a clean set passes."""

import dataclasses
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from hpsearch.audit import command
from hpsearch.data.dataset import Dataset, ImageSet
from hpsearch.judge.audit import Audit, audit
from hpsearch.judge.audit_page import as_html, as_text
from hpsearch.judge.duplicates import near_duplicates, same_files
from hpsearch.judge.scan import ImageScan, scan
from tests.judge_images import dataset_of, image_set, save


def found_in(dataset: Dataset, cache: Path, *, thorough: bool = False) -> Audit:
    def scan_them(paths: Sequence[str]) -> ImageScan:
        return scan(paths, cache_dir=cache, num_workers=1)

    return audit(dataset, scan_them, thorough=thorough)


def kinds(found: Audit, severity: str) -> list[str]:
    return [finding.kind for finding in found.findings if finding.severity == severity]


@pytest.fixture
def clean(tmp_path: Path) -> Dataset:
    train = image_set(tmp_path / "train", "t", 120, seed=0, groups=True)
    return dataset_of(train, image_set(tmp_path / "val", "v", 60, seed=1, groups=True))


def replaced(images: ImageSet, **changes: object) -> ImageSet:
    return dataclasses.replace(images, **changes)  # type: ignore[arg-type]


def test_a_clean_set_passes(clean: Dataset, tmp_path: Path) -> None:
    found = found_in(clean, tmp_path)
    assert found.passed
    assert found.num_looked_at == found.num_images == 180
    assert all(cue.low < 0.6 for cue in found.cues)


def test_fakes_saved_at_another_jpeg_quality_are_a_shortcut(tmp_path: Path) -> None:
    train = image_set(tmp_path / "train", "t", 120, seed=0, fake_quality=80)
    found = found_in(dataset_of(train, image_set(tmp_path / "val", "v", 60, seed=1)), tmp_path)
    assert "shortcut: format and quantisation tables" in kinds(found, "problem")
    assert max(cue.auc for cue in found.cues if cue.split == "train") == pytest.approx(1.0)


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + bytes(4000))


def larger(path: Path) -> None:
    with Image.open(path) as image:
        image.resize((72, 72)).save(path, quality=90)


def brighter(path: Path) -> None:
    with Image.open(path) as image:
        ImageEnhance.Brightness(image).enhance(1.8).save(path, quality=90)


def softer(path: Path) -> None:
    with Image.open(path) as image:
        image.filter(ImageFilter.GaussianBlur(2)).save(path, quality=90)


@pytest.mark.parametrize(
    ("cue", "change"), [("file size", longer), ("resolution", larger), ("brightness", brighter), ("sharpness", softer)]
)
def test_each_cue_of_the_deepfakes_is_a_shortcut(
    cue: str, change: Callable[[Path], None], clean: Dataset, tmp_path: Path
) -> None:
    assert f"shortcut: {cue}" not in kinds(found_in(clean, tmp_path / "before"), "problem")
    for images in (clean.train, clean.val):
        for row in np.flatnonzero(images.labels_n).tolist():
            change(Path(images.paths[row]))
    assert f"shortcut: {cue}" in kinds(found_in(clean, tmp_path / "after"), "problem")


def test_a_rare_class_is_said(clean: Dataset, tmp_path: Path) -> None:
    rows = [row for row in range(120) if not clean.train.labels_n[row] or row < 6]
    found = found_in(dataclasses.replace(clean, train=clean.train.take(rows)), tmp_path)
    assert "rare class" in kinds(found, "warning")
    assert "rare class" not in kinds(found_in(clean, tmp_path), "warning")


def test_a_copy_within_a_split_is_worth_a_look(clean: Dataset, tmp_path: Path) -> None:
    shutil.copy(clean.train.paths[4], clean.train.paths[6])
    found = found_in(clean, tmp_path)
    assert "duplicate" in kinds(found, "warning")
    assert found.passed
    assert any("t004.jpg (train) = t006.jpg (train)" in one for finding in found.findings for one in finding.examples)


def test_a_file_in_two_splits_is_found(clean: Dataset, tmp_path: Path) -> None:
    shutil.copy(clean.train.paths[4], clean.val.paths[8])
    found = found_in(clean, tmp_path)
    assert "duplicate across splits" in kinds(found, "problem")
    assert any("t004.jpg (train) = v008.jpg (val)" in one for finding in found.findings for one in finding.examples)


def test_copies_are_found_among_all_files_where_only_some_images_are_opened(
    clean: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpsearch.judge.audit.QUICK_IMAGES", 10)
    shutil.copy(clean.train.paths[4], clean.val.paths[8])
    found = found_in(clean, tmp_path)
    assert found.num_looked_at == 10
    assert "duplicate across splits" in kinds(found, "problem")


def test_files_of_the_same_size_and_end_are_told_apart_by_their_bytes(tmp_path: Path) -> None:
    contents = [b"a" + bytes(5000), b"b" + bytes(5000), b"a" + bytes(5000), b"", b"", bytes(5000) + b"a"]
    for number, content in enumerate(contents):
        (tmp_path / str(number)).write_bytes(content)
    paths = [str(tmp_path / str(number)) for number in range(len(contents))]
    assert same_files([*paths, str(tmp_path / "none")]).tolist() == [[0, 2]]


def test_labels_that_were_not_checked_are_said(clean: Dataset, tmp_path: Path) -> None:
    def said(*, of: Dataset, thorough: bool) -> list[str]:
        return [one.text for one in found_in(of, tmp_path, thorough=thorough).findings if one.kind == "labels"]

    assert said(of=clean, thorough=False) == ["labels not checked: the quick form does not; python -m hpsearch.audit does."]
    assert "with a cross-validated AUC of 0." in said(of=clean, thorough=True)[0]
    few = dataclasses.replace(clean, train=clean.train.take(range(16)), val=clean.val.take(range(16)))
    assert "a class has fewer than 50 readable images" in said(of=few, thorough=True)[0]


def test_a_picture_saved_again_smaller_in_another_split_is_found(clean: Dataset, tmp_path: Path) -> None:
    with Image.open(clean.train.paths[5]) as image:
        image.resize((56, 56), Image.Resampling.LANCZOS).save(clean.val.paths[3], quality=70)
    assert "near-duplicate across splits" in kinds(found_in(clean, tmp_path), "problem")


def test_a_group_in_two_splits_is_found(clean: Dataset, tmp_path: Path) -> None:
    assert clean.train.groups
    assert clean.val.groups
    val = replaced(clean.val, groups=(clean.train.groups[0], *clean.val.groups[1:]))
    found = found_in(dataclasses.replace(clean, val=val), tmp_path)
    assert kinds(found, "problem") == ["group in two splits"]


def test_the_same_bytes_with_two_labels_contradict_each_other(clean: Dataset, tmp_path: Path) -> None:
    shutil.copy(clean.train.paths[0], clean.train.paths[1])
    assert "contradiction" in kinds(found_in(clean, tmp_path), "problem")


def test_unreadable_files_are_named(clean: Dataset, tmp_path: Path) -> None:
    Path(clean.train.paths[7]).write_bytes(b"\xff\xd8 not really")
    found = found_in(clean, tmp_path)
    assert kinds(found, "warning") == ["unreadable"]
    assert found.findings[0].examples == ("t007.jpg",)


def test_shifted_class_shares_are_said(clean: Dataset, tmp_path: Path) -> None:
    rows = [row for row in range(60) if clean.val.labels_n[row] or row < 12]
    found = found_in(dataclasses.replace(clean, val=clean.val.take(rows)), tmp_path)
    assert "class shares" in kinds(found, "warning")


def test_wrong_labels_are_suspicious_where_statistics_know_the_classes(tmp_path: Path) -> None:
    train = image_set(tmp_path / "train", "t", 240, seed=0, fake_quality=40)
    labels_n = train.labels_n.copy()
    labels_n[[3, 10]] = 1 - labels_n[[3, 10]]
    dataset = dataset_of(replaced(train, labels_n=labels_n), image_set(tmp_path / "val", "v", 60, seed=1, fake_quality=40))
    found = found_in(dataset, tmp_path, thorough=True)
    suspicious = next(finding for finding in found.findings if finding.kind == "suspicious labels")
    assert {"t003.jpg (label 0)", "t010.jpg (label 1)"} <= set(suspicious.examples)


def test_text_and_page_tell_the_same_and_escape_names(clean: Dataset, tmp_path: Path) -> None:
    found = dataclasses.replace(found_in(clean, tmp_path), source="<b>faces</b>")
    assert "no problem found" in as_text(found)
    assert "&lt;b&gt;faces&lt;/b&gt;" in as_html(found)
    assert "<b>faces" not in as_html(found)


def test_the_command_ends_with_1_where_there_is_a_problem(
    clean: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split, images in (("train", clean.train), ("val", clean.val)):
        rows = [f"{split}/{name},{label},{split}" for name, label in zip(images.names, images.labels_n, strict=True)]
        mode = "w" if split == "train" else "a"
        with (tmp_path / "all.csv").open(mode) as file:
            file.write("\n".join(["img_name,target,split"] * (mode == "w") + rows) + "\n")
    options = ["--data", str(tmp_path / "all.csv"), "--set", f"data.cache_dir={tmp_path / 'cache'}"]
    assert command(options) == 0
    shutil.copy(clean.train.paths[4], clean.val.paths[8])
    assert command([*options, "--html", str(tmp_path / "audit.html")]) == 1
    assert "duplicate across splits" in capsys.readouterr().out
    assert "duplicate across splits" in (tmp_path / "audit.html").read_text()


@pytest.mark.slow
def test_the_faces_pass(faces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["--data", str(faces)]) == 0
    assert "no problem found" in capsys.readouterr().out


@pytest.fixture
def some_faces(faces: Path, tmp_path: Path) -> Path:
    """A copy of whole groups of the faces, about 400 images that train and 200 that validate."""
    source, copy = faces / "phase1", tmp_path / "some faces" / "phase1"
    groups = pd.read_csv(source / "groups.csv")
    copy.mkdir(parents=True)
    kept = []
    for split, count in (("trainset", 400), ("valset", 200)):
        labels = pd.read_csv(source / f"{split}_label.txt").merge(groups, on="img_name").sort_values("group", kind="stable")
        last_group = labels["group"].iloc[count]
        labels = labels[labels["group"] <= last_group]
        labels[["img_name", "target"]].to_csv(copy / f"{split}_label.txt", index=False)
        (copy / split).mkdir()
        for name in labels["img_name"]:
            shutil.copy(source / split / name, copy / split / name)
        kept.append(labels[["img_name", "group"]])
    pd.concat(kept).to_csv(copy / "groups.csv", index=False)
    return copy.parent


def label_table(root: Path, split: str) -> pd.DataFrame:
    return pd.read_csv(root / "phase1" / f"{split}_label.txt")


def save_fakes_at_another_quality(root: Path) -> None:
    for split in ("trainset", "valset"):
        table = label_table(root, split)
        for name in table["img_name"][table["target"] == 1]:
            with Image.open(root / "phase1" / split / name) as image:
                image.save(root / "phase1" / split / name, quality=88)


def copy_into_the_other_split(root: Path) -> None:
    train, val = (label_table(root, split) for split in ("trainset", "valset"))
    names = [table["img_name"][table["target"] == 0].iloc[0] for table in (train, val)]
    shutil.copy(root / "phase1" / "trainset" / names[0], root / "phase1" / "valset" / names[1])


def leak_a_group(root: Path) -> None:
    groups = pd.read_csv(root / "phase1" / "groups.csv")
    groups.loc[groups.index[-1], "group"] = groups["group"].iloc[0]
    groups.to_csv(root / "phase1" / "groups.csv", index=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plant", "kinds_found"),
    [
        (lambda root: None, set()),
        (
            save_fakes_at_another_quality,
            {"shortcut: format and quantisation tables", "shortcut: JPEG quality (mean of the tables)"},
        ),
        # The deepfake of the copied image stays behind, so that is a version of it in the other split.
        (copy_into_the_other_split, {"duplicate across splits", "near-duplicate across splits"}),
        (leak_a_group, {"group in two splits"}),
    ],
    ids=["nothing", "quality", "duplicate", "group"],
)
def test_each_fault_that_is_planted_in_the_faces_is_found_and_nothing_else(
    plant: Callable[[Path], None], kinds_found: set[str], some_faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(some_faces)
    code = command(["--data", str(some_faces), "--set", f"data.cache_dir={tmp_path / 'cache'}"])
    said = capsys.readouterr().out
    assert code == (1 if kinds_found else 0)
    assert set(re.findall(r"^PROBLEM  (.*)$", said, re.MULTILINE)) == kinds_found


def test_nearly_all_smaller_copies_are_found(tmp_path: Path) -> None:
    images = image_set(tmp_path, "a", 200, seed=0)
    copies = []
    for path in images.paths:
        with Image.open(path) as image:
            smaller = np.asarray(image.resize((56, 56), Image.Resampling.LANCZOS))
        copies.append(save(tmp_path / "copies", Path(path).name, smaller, quality=70))
    pairs = near_duplicates(scan([*images.paths, *copies], cache_dir=tmp_path, num_workers=1))
    assert {200} == set(np.diff(pairs).ravel().tolist())  # each image with its own copy
    assert len(pairs) >= 196


def test_near_duplicates_of_blank_pictures_do_not_count(tmp_path: Path) -> None:
    paths = [save(tmp_path, f"{number}.jpg", np.full((64, 64, 3), 100 + number, dtype=np.uint8)) for number in range(4)]
    assert len(near_duplicates(scan(paths, cache_dir=tmp_path, num_workers=1))) == 0
