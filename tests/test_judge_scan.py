"""What is known of image files is found again."""

from pathlib import Path

import numpy as np

from hpsearch.judge.scan import scan
from tests.judge_images import image_set


def test_files_are_opened_once_whatever_their_order(tmp_path: Path) -> None:
    paths = list(image_set(tmp_path / "images", "i", 6, seed=0).paths)
    first = scan(paths[::-1], cache_dir=tmp_path, num_workers=1)
    opened: list[int] = []
    again = scan([*paths, paths[0]], cache_dir=tmp_path, num_workers=1, progress=lambda done, total: opened.append(done))
    assert opened == []
    np.testing.assert_array_equal(again.digest_n, first.digest_n[[5, 4, 3, 2, 1, 0, 5]])
    assert len(np.unique(first.digest_n)) == 6
