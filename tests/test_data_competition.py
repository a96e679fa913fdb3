"""The competition's layout is found by itself, with the names that its files have in the wild."""

from pathlib import Path

import pytest

from hpsearch.data.dataset import Dataset
from hpsearch.data.find import find_dataset, read_template
from hpsearch.errors import InputError


def write_split(root: Path, split: str, labels: list[int], *, header: str = "img_name,target", file: str = "") -> None:
    folder = root / f"{split}set"
    folder.mkdir(parents=True)
    names = [f"{split}{number}.jpg" for number in range(len(labels))]
    for name in names:
        (folder / name).touch()
    rows = [f"{name},{label}" for name, label in zip(names, labels, strict=True)]
    (root / (file or f"{split}set_label.txt")).write_text("\n".join([header, *rows]))


def write_template(root: Path, names: list[str], header: str = "img_name") -> Path:
    folder = root / "phase2" / "testset1_seen"
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()
    file = root / "phase2" / "testset1_seen_nolabel.txt"
    file.write_text("\n".join([header, *names]))
    return file


def found(source: Path, seed: int = 0) -> Dataset:
    return find_dataset(source, val_fraction=0.25, seed=seed)


@pytest.fixture
def competition(tmp_path: Path) -> Path:
    write_split(tmp_path / "phase1", "train", [1, 0, 1])
    write_split(tmp_path / "phase1", "val", [0, 1])
    write_template(tmp_path, ["t2.jpg", "t1.jpg"])
    return tmp_path


def test_labels_images_and_template_are_found(competition: Path) -> None:
    data = found(competition)
    assert data.train.names == ("train0.jpg", "train1.jpg", "train2.jpg")
    assert data.train.paths[2] == str(competition / "phase1" / "trainset" / "train2.jpg")
    assert data.train.labels_n.tolist() == [1, 0, 1]
    assert data.val.labels_n.tolist() == [0, 1]
    assert data.template is not None
    assert data.template.names == ("t2.jpg", "t1.jpg")
    assert data.template.paths[0] == str(competition / "phase2" / "testset1_seen" / "t2.jpg")


def test_the_phase1_folder_itself_may_be_given(competition: Path) -> None:
    data = found(competition / "phase1")
    assert len(data.train) == 3
    assert data.template is not None


def test_data_without_phases_is_found(tmp_path: Path) -> None:
    write_split(tmp_path, "train", [1, 0])
    write_split(tmp_path, "val", [1, 0])
    data = found(tmp_path)
    assert (len(data.train), len(data.val), data.template) == (2, 2, None)


def test_other_names_of_label_files_and_columns_are_taken_and_noted(tmp_path: Path) -> None:
    write_split(tmp_path, "train", [1, 0], header="img_path,target", file="train_label.txt")
    write_split(tmp_path, "val", [1, 0], file="val_label.txt")
    assert "train_label.txt: names from column `img_path`, labels from column `target`; 2 rows" in found(tmp_path).notes


def test_a_set_without_validation_images_is_split(tmp_path: Path) -> None:
    write_split(tmp_path, "train", [0, 1] * 20)
    data = found(tmp_path)
    assert (len(data.train), len(data.val)) == (30, 10)
    assert any("10 were split off the training images, by image, seed 0" in note for note in data.notes)


def test_groups_are_read_and_an_overlap_is_noted(competition: Path) -> None:
    rows = ["img_name,group", "train0.jpg,a", "train1.jpg,b", "val0.jpg,a", "val1.jpg,c"]
    (competition / "phase1" / "groups.csv").write_text("\n".join(rows))
    data = found(competition)
    assert data.train.groups == ("a", "b", "train2.jpg")
    assert data.val.groups == ("a", "c")
    assert "1 images have no group in groups.csv; each counts as its own" in data.notes
    assert any(note.startswith("1 groups are in training and in validation alike") for note in data.notes)


def test_an_image_without_label_is_noted(competition: Path) -> None:
    (competition / "phase1" / "trainset" / "extra.png").touch()
    assert "1 images have no label and are left out (in trainset)" in found(competition).notes


def test_a_label_without_image_is_an_error(competition: Path) -> None:
    (competition / "phase1" / "trainset" / "train1.jpg").unlink()
    with pytest.raises(InputError, match=r"trainset_label\.txt, line 3: no image 'train1\.jpg' in .*trainset"):
        found(competition)


def test_a_missing_label_file_is_an_error_that_says_what_was_looked_for(competition: Path) -> None:
    (competition / "phase1" / "trainset_label.txt").unlink()
    with pytest.raises(InputError, match=r"phase1: no label file; looked for trainset_label\.txt, train_label\.txt"):
        found(competition)


def test_a_missing_label_file_of_validation_images_is_an_error(competition: Path) -> None:
    (competition / "phase1" / "valset_label.txt").unlink()
    with pytest.raises(InputError, match=r"no label file; looked for valset_label\.txt"):
        found(competition)


def test_a_missing_image_folder_is_an_error(competition: Path) -> None:
    (competition / "phase1" / "valset").rename(competition / "phase1" / "elsewhere")
    with pytest.raises(InputError, match=r"no folder with the images of valset_label\.txt; looked for valset, val"):
        found(competition)


def test_one_class_only_is_an_error(tmp_path: Path) -> None:
    write_split(tmp_path, "train", [1, 1, 1])
    with pytest.raises(InputError, match=r"trainset_label\.txt: all 3 images are deepfakes \(label 1\)"):
        found(tmp_path)


def test_a_template_image_that_is_missing_is_an_error(competition: Path) -> None:
    (competition / "phase2" / "testset1_seen" / "t1.jpg").unlink()
    with pytest.raises(InputError, match=r"testset1_seen_nolabel\.txt, line 3: no image 't1\.jpg'"):
        found(competition)


def test_a_template_without_its_images_is_left_out_and_noted(competition: Path) -> None:
    (competition / "phase2" / "testset1_seen").rename(competition / "phase2" / "elsewhere")
    data = found(competition)
    assert data.template is None
    assert "testset1_seen_nolabel.txt: left out, since the folder of its images is missing" in data.notes


def test_of_several_templates_the_first_is_taken_and_the_others_are_named(competition: Path) -> None:
    phase2 = competition / "phase2"
    for name in ("testset2_unseen", "testset0_lost"):
        (phase2 / f"{name}_nolabel.txt").write_text("img_name\nu.jpg\n")
    (phase2 / "testset2_unseen").mkdir()
    data = found(competition)
    assert data.template is not None
    assert data.template.file.name == "testset1_seen_nolabel.txt"
    notes = "\n".join(data.notes)
    assert "testset0_lost_nolabel.txt: left out, since the folder of its images is missing\n" in notes
    assert "testset1_seen_nolabel.txt: template of a submission, 2 images\n" in notes
    assert "testset2_unseen_nolabel.txt: not scored by this run, which takes the first template by name; " in notes


def test_a_template_may_have_other_columns(tmp_path: Path) -> None:
    file = write_template(tmp_path, ["a.jpg"], header="image")
    file.write_text("image,y_pred\na.jpg,0.5\n")
    template = read_template(file, tmp_path / "phase2" / "testset1_seen")
    assert (template.names, len(template)) == (("a.jpg",), 1)


@pytest.mark.parametrize(("file", "images", "what"), [("no.txt", "", "--template"), ("", "no", "--images")])
def test_a_missing_template_or_image_folder_is_an_error(tmp_path: Path, file: str, images: str, what: str) -> None:
    template = write_template(tmp_path, ["a.jpg"])
    with pytest.raises(InputError, match=f"{what} .*: there is no 'no"):
        read_template(tmp_path / file if file else template, tmp_path / images if images else tmp_path / "phase2/testset1_seen")


def test_the_fingerprint_follows_names_labels_and_groups_and_not_the_place(competition: Path, tmp_path: Path) -> None:
    before = found(competition).fingerprint
    moved = competition.rename(tmp_path.with_name(f"{tmp_path.name}-moved"))
    assert found(moved).fingerprint == before
    (moved / "phase1" / "groups.csv").write_text("img_name,group\ntrain0.jpg,a\n")
    with_groups = found(moved).fingerprint
    (moved / "phase1" / "valset_label.txt").write_text("img_name,target\nval0.jpg,1\nval1.jpg,0\n")
    assert len({before, with_groups, found(moved).fingerprint}) == 3


def test_the_faces_set_is_found_whole(faces: Path) -> None:
    data = find_dataset(faces, val_fraction=0.2, seed=0)
    assert data.template is not None
    assert (len(data.train), len(data.val), len(data.template)) == (4092, 1000, 806)
    assert (data.train.num_deepfakes, data.val.num_deepfakes) == (2046, 500)
    assert data.train.groups is not None
    assert data.val.groups is not None
    assert (len(set(data.train.groups)), len(set(data.val.groups))) == (297, 81)
    assert not any("alike" in note or "left out" in note for note in data.notes)
