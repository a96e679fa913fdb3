"""What nodes are asked for before anything trains."""

import os
from pathlib import Path

from hpsearch.data.cache_files import PIXELS
from hpsearch.data.find import find_dataset
from hpsearch.data.training_data import open_training_data
from hpsearch.job.check_cluster import _cache_bytes
from tests.small_set import make_competition


def test_nodes_are_asked_for_the_caches_that_training_opens_whatever_the_times_of_their_files(tmp_path: Path) -> None:
    dataset = find_dataset(make_competition(tmp_path / "data"), val_fraction=0.2, seed=0)
    cache_dir = tmp_path / "cache"
    open_training_data(dataset, px=16, cache_dir=cache_dir, num_workers=1, max_unreadable_fraction=0)
    os.utime(dataset.train.paths[0], (0, 0))
    ((name, num_bytes),) = _cache_bytes(dataset, [16, 16]).items()
    (cache,) = cache_dir.glob(f"{name}*/")
    assert (cache / PIXELS).stat().st_size == num_bytes
