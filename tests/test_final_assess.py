"""What the finals' judgement looks at."""

import numpy as np

from hpsearch.data.training_data import LabelledImages
from hpsearch.final.assess import drawn


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
