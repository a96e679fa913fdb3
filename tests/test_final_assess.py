"""What the finals' judgement looks at."""

import numpy as np
import pytest

from hpsearch.config import TestViews
from hpsearch.data.training_data import LabelledImages
from hpsearch.final.assess import drawn, num_judged
from hpsearch.judge.robustness import DEGRADATIONS


def test_images_that_are_drawn_keep_their_labels_and_parts() -> None:
    labels_n = np.arange(200) % 2
    images = LabelledImages(
        images_nhwc=np.zeros((200, 2, 2, 3), dtype=np.uint8),
        labels_n=labels_n,
        indices_n=np.arange(200),
        parts=[f"part {number}" for number in range(200)],
    )
    few = drawn(images, 50)
    assert len(few) == 50
    assert list(few.parts or ()) == [f"part {number}" for number in few.indices_n]
    np.testing.assert_array_equal(few.labels_n, labels_n[few.indices_n])


@pytest.mark.parametrize(
    ("views", "num_members", "passes"), [("none", 1, 1), ("flip", 1, 2), ("none", 3, 3), ("auto", 1, 10), ("auto", 6, 12)]
)
def test_judging_is_counted_in_images_that_networks_see(views: TestViews, num_members: int, passes: int) -> None:
    degraded = (1 + len(DEGRADATIONS)) * 1_000
    assert num_judged(1_000, 0, 0, "cpu", num_members, views) == passes * 1_000 + degraded
    assert num_judged(1_000, 200, 50_000, "cpu", num_members, views) == passes * 51_200 + degraded
    assert num_judged(1_500, 0, 0, "cpu", num_members, views) == passes * 2_500 + degraded
