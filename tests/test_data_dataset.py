"""Image sets keep names, paths, labels and groups together."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from hpsearch.data.dataset import ImageSet, Template, fingerprint

IMAGES = ImageSet(names=("a", "b", "c"), paths=("/a", "/b", "/c"), labels_n=np.array([0, 1, 1]), groups=("x", "y", "z"))


def test_taking_images_takes_all_that_belongs_to_them() -> None:
    taken = IMAGES.take([2, 0])
    assert (taken.names, taken.paths, taken.labels_n.tolist(), taken.groups) == (("c", "a"), ("/c", "/a"), [1, 0], ("z", "x"))
    assert (len(taken), taken.num_deepfakes) == (2, 1)
    assert replace(IMAGES, groups=None).take([1]).groups is None


def test_the_fingerprint_is_that_of_names_labels_groups_and_splits_but_not_of_paths() -> None:
    same = fingerprint(IMAGES, IMAGES, None)
    assert fingerprint(replace(IMAGES, paths=("/1", "/2", "/3")), IMAGES, None) == same
    changed = [
        replace(IMAGES, names=("a", "b", "d")),
        replace(IMAGES, labels_n=np.array([1, 1, 0])),
        replace(IMAGES, groups=None),
        IMAGES.take([0, 1]),
    ]
    assert len({same, *(fingerprint(other, IMAGES, None) for other in changed)}) == 5
    assert fingerprint(IMAGES, changed[3], None) != fingerprint(changed[3], IMAGES, None)


def test_the_fingerprint_of_a_study_that_exists_stays() -> None:
    images = ImageSet(
        names=("a", "b\udcff", "ü"), paths=("/a", "/b", "/c"), labels_n=np.array([0, 1, 1]), groups=("x", "y", "")
    )
    val = replace(images.take([2, 0]), parts=("seen", "shift"))
    template = Template(file=Path("t.csv"), names=("t1", "t2"), paths=("/t1", "/t2"))
    assert fingerprint(images, val, template, images.take([1, 2])) == "fe906a7badf3cee2e73010afd24cfacb"
    assert fingerprint(images, val, None) == "a7873260472dceed6b8ad85fdbbe80dd"
