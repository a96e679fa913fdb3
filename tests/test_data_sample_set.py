"""The sample set is quickly made, always the same, free of leaks and of shortcuts, and can be learned."""

from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from hpsearch.data.batches import evaluation_batches, training_batches
from hpsearch.data.dataset import Dataset, ImageSet
from hpsearch.data.find import find_dataset
from hpsearch.data.sample_set import draw_source, make_sample_set, sample_images
from hpsearch.data.training_data import LabelledImages, open_training_data
from hpsearch.errors import InputError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sample_set(tmp_path_factory.mktemp("sample") / "set", seed=0)


@pytest.fixture(scope="module")
def data(made: Path) -> Dataset:
    return find_dataset(made, val_fraction=0.2, seed=0)


def labelled(data: Dataset) -> ImageSet:
    names, paths = data.train.names + data.val.names, data.train.paths + data.val.paths
    return ImageSet(names=names, paths=paths, labels_n=np.concatenate([data.train.labels_n, data.val.labels_n]), groups=None)


def test_it_has_the_competitions_layout(data: Dataset) -> None:
    assert data.template is not None
    assert (len(data.train), len(data.val), len(data.template)) == (1600, 600, 200)
    assert data.train.labels_n.mean() == data.val.labels_n.mean() == 0.5
    assert Image.open(data.train.paths[0]).format == "JPEG"


def test_no_source_is_in_two_splits(data: Dataset) -> None:
    assert data.train.groups is not None
    assert data.val.groups is not None
    assert not set(data.train.groups) & set(data.val.groups)
    assert {image.source for image in sample_images(0) if image.split == "test"}.isdisjoint(
        image.source for image in sample_images(0) if image.split != "test"
    )


def test_the_hidden_labels_can_be_told_from_the_seed(data: Dataset) -> None:
    hidden = {image.name: image.label for image in sample_images(0) if image.split == "test"}
    assert data.template is not None
    assert sorted(hidden) == sorted(data.template.names)
    told = {image.name: image.label for image in sample_images(0)}
    assert [told[name] for name in data.val.names] == data.val.labels_n.tolist()


@pytest.mark.parametrize("cue", ["file size", "brightness", "sharpness", "contrast"])
def test_no_single_cue_gives_the_forgeries_away(data: Dataset, cue: str) -> None:
    images = labelled(data)
    measure = {
        "file size": lambda path: Path(path).stat().st_size,
        "brightness": lambda path: np.asarray(Image.open(path)).mean(),
        "sharpness": lambda path: ndimage.laplace(np.asarray(Image.open(path).convert("L"), np.float32)).var(),
        "contrast": lambda path: np.asarray(Image.open(path)).std(),
    }[cue]
    assert 0.4 < roc_auc_score(images.labels_n, [measure(path) for path in images.paths]) < 0.6


def test_the_same_seed_draws_the_same_files_and_another_others(tmp_path: Path, made: Path) -> None:
    for directory, seed in (("same", 0), ("other", 1)):
        images = [image for image in sample_images(seed) if image.source == 0]
        (tmp_path / directory / "phase1" / "trainset").mkdir(parents=True)
        draw_source(tmp_path / directory, seed, images)
    for file in (tmp_path / "same" / "phase1" / "trainset").iterdir():
        assert file.read_bytes() == (made / "phase1" / "trainset" / file.name).read_bytes()
    assert not {file.name for file in (tmp_path / "other").rglob("*.jpg")} & {file.name for file in made.rglob("*.jpg")}


def test_a_finished_set_is_used_again(made: Path) -> None:
    before = (made / "phase1" / "groups.csv").stat().st_mtime_ns
    assert make_sample_set(made, seed=0) == made
    assert (made / "phase1" / "groups.csv").stat().st_mtime_ns == before


def test_nothing_else_is_overwritten(made: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not the sample set of seed 1, and is left alone"):
        make_sample_set(made, seed=1)
    (tmp_path / "thesis.txt").write_text("")
    with pytest.raises(InputError, match="is not the sample set of seed 0, and is left alone"):
        make_sample_set(tmp_path, seed=0)


def test_two_processes_may_make_it_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpsearch.data.sample_set.NUM_SOURCES", {"train": 1, "val": 1, "test": 1})
    with ThreadPoolExecutor(2) as both:
        made = list(both.map(lambda _: make_sample_set(tmp_path / "set", seed=0), range(2)))
    assert made == [tmp_path / "set"] * 2
    assert len(list((tmp_path / "set").rglob("*.jpg"))) == 24
    assert [entry.name for entry in tmp_path.iterdir()] == ["set"]


def test_a_set_that_an_older_version_drew_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpsearch.data.sample_set.NUM_SOURCES", {"train": 1, "val": 1, "test": 1})
    (tmp_path / "sample_set.json").write_text('{"version": 0, "seed": 0}')
    make_sample_set(tmp_path, seed=0)
    assert len(list(tmp_path.rglob("*.jpg"))) == 24


class SmallNetwork(torch.nn.Sequential):
    """A plain residual-free network of 100,000 parameters."""

    def __init__(self) -> None:
        layers: list[torch.nn.Module] = []
        for before, after, stride in ((3, 24, 2), (24, 48, 2), (48, 64, 1), (64, 64, 2), (64, 64, 1)):
            layers += [
                torch.nn.Conv2d(before, after, 3, stride, 1, bias=False),
                torch.nn.BatchNorm2d(after),
                torch.nn.ReLU(),
            ]
        super().__init__(*layers, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(64, 2))


def val_auc(model: torch.nn.Module, images: LabelledImages) -> float:
    model.eval()
    with torch.no_grad():
        batches = list(evaluation_batches(images, batch_size=200, device="cpu"))
        scores = torch.cat([model(images_bchw / 128 - 1).softmax(1)[:, 1] for images_bchw, _ in batches])
    return float(roc_auc_score(torch.cat([labels_b for _, labels_b in batches]), scores))


@pytest.mark.slow
def test_a_small_network_learns_it_but_not_perfectly(data: Dataset, tmp_path: Path) -> None:
    opened = open_training_data(data, px=64, cache_dir=tmp_path, num_workers=2, max_unreadable_fraction=0)
    torch.manual_seed(0)
    model = SmallNetwork().to(memory_format=torch.channels_last)
    steps = 400
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    batches = training_batches(opened.train, batch_size=64, seed=0, balance=0, start_images=0, device="cpu")
    for images_bchw, labels_b, first in islice(batches, steps):
        flipped_bchw = images_bchw.flip(3) if first // 64 % 2 else images_bchw
        loss = F.cross_entropy(model(flipped_bchw / 128 - 1), labels_b)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    assert 0.75 < val_auc(model, opened.val) < 0.98
