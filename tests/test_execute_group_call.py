"""Workers that train together: the result of one worker, also after one of them was lost."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hpsearch.errors import StorageError
from hpsearch.execute.connect import Cluster, connect
from hpsearch.execute.group_call import call_on_group
from hpsearch.execute.resources import TrialResources
from hpsearch.execute.worker_call import call_on_worker
from tests.group_functions import POINTS, count_differently, train_together

pytestmark = pytest.mark.slow
ONE_CORE = TrialResources(cpus=0.5, gpus=0, slots=2)
WITHOUT_STATISTICS = "test_convnext"
"""No layer keeps statistics of the batch, so that parts of it give the whole batch's gradient."""


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
    patch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    with patch.context(), connect("", tune_dir=tmp_path_factory.mktemp("tune")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[float]]:
    """What one worker comes to."""
    kwargs = {"root": str(tmp_path_factory.mktemp("alone")), "backbone": WITHOUT_STATISTICS}
    answers: dict[int, list[float]] = call_on_worker(train_together, kwargs, resources=ONE_CORE)
    return answers


def together(root: Path, backbone: str, **more: int) -> tuple[dict[int, list[float]], list[int]]:
    seen: list[int] = []
    answers: dict[int, list[float]] = call_on_group(
        train_together,
        {"root": str(root), "backbone": backbone, **more},
        num_workers=2,
        resources=ONE_CORE,
        on_progress=lambda progress: seen.append(progress["images"]),
    )
    return answers, seen


def test_two_workers_come_to_what_one_does(tmp_path: Path, alone: dict[int, list[float]]) -> None:
    answers, seen = together(tmp_path, WITHOUT_STATISTICS)
    assert seen == [0, *POINTS]
    for images in POINTS:
        np.testing.assert_allclose(answers[images], alone[images], atol=1e-4)


def test_batch_statistics_of_parts_train_as_well(tmp_path: Path) -> None:
    answers, _ = together(tmp_path, "test_resnet")
    assert np.isfinite(answers[POINTS[-1]]).all()


def test_lost_worker_is_replaced_and_all_go_on_from_the_checkpoint(tmp_path: Path, alone: dict[int, list[float]]) -> None:
    answers, seen = together(tmp_path, WITHOUT_STATISTICS, die_at=POINTS[0])
    assert (tmp_path / "died").exists()
    assert seen[0] == 0
    assert seen[-2:] == list(POINTS)
    assert seen.count(POINTS[-1]) == 1
    np.testing.assert_allclose(answers[POINTS[-1]], alone[POINTS[-1]], atol=1e-4)


def test_workers_that_see_different_checkpoints_are_refused() -> None:
    with pytest.raises(StorageError, match=r"images trained: [01] in process [01], and from 0 to 1 in all"):
        call_on_group(count_differently, {}, num_workers=2, resources=ONE_CORE)
