"""Several calls at a time on a real Ray inside this machine."""

import os
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from hpsearch.errors import DivergedError, InputError
from hpsearch.execute.connect import Cluster, connect
from hpsearch.execute.resources import TrialResources
from hpsearch.execute.worker_pool import Call, call_in_pool

TWO_SLOTS = TrialResources(cpus=1, gpus=0, slots=2, max_slots=2)


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
    patch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))  # workers load functions of the tests by name
    with patch.context(), connect("", tune_dir=tmp_path_factory.mktemp("tune")) as cluster:
        yield cluster


def work(kind: str, directory: Path) -> Generator[dict[str, Any], None, tuple[float, float]]:
    began = time.time()
    yield {"kind": kind}
    if kind == "diverges":
        raise DivergedError("the loss is not finite")
    if kind == "is wrong":
        raise InputError("no such weights")
    if kind == "dies once" and not (directory / "died").exists():
        (directory / "died").touch()
        os._exit(1)
    time.sleep(0.5)
    return began, time.time()


def run_pool(directory: Path, *kinds: str) -> tuple[dict[str, tuple[float, float]], dict[str, Exception], list[Any]]:
    waiting = [Call(key=kind, kwargs={"kind": kind, "directory": directory}) for kind in kinds]
    results: dict[str, tuple[float, float]] = {}
    failures: dict[str, Exception] = {}
    progress: list[Any] = []
    call_in_pool(
        work,
        lambda: waiting.pop(0) if waiting else None,
        resources=TWO_SLOTS,
        on_result=results.__setitem__,
        on_failure=failures.__setitem__,
        on_progress=lambda key, said: progress.append((key, said)),
    )
    return results, failures, progress


def test_calls_run_two_at_a_time_and_answer_by_their_key(tmp_path: Path) -> None:
    results, failures, progress = run_pool(tmp_path, "first", "second", "third")
    assert set(results) == {"first", "second", "third"}
    assert not failures
    assert sorted(progress) == [(kind, {"kind": kind}) for kind in ("first", "second", "third")]
    starts = sorted(began for began, _ in results.values())
    assert starts[2] >= min(ended for _, ended in results.values())


def test_a_configuration_that_diverges_leaves_the_others_alone(tmp_path: Path) -> None:
    results, failures, _ = run_pool(tmp_path, "diverges", "good")
    assert set(results) == {"good"}
    assert isinstance(failures["diverges"], DivergedError)


def test_a_lost_worker_s_call_is_done_again(tmp_path: Path) -> None:
    results, _, _ = run_pool(tmp_path, "dies once", "good")
    assert set(results) == {"dies once", "good"}


def test_any_other_error_ends_the_pool(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such weights"):
        run_pool(tmp_path, "is wrong", "good")
