"""What the preflight says of nodes that do not fit; nodes that do are asked in the tests on Ray."""

from dataclasses import replace
from pathlib import Path

import pytest

from hpsearch.errors import ClusterError, StorageError
from hpsearch.execute import preflight
from hpsearch.execute.node_probe import NodeProbe, own_versions
from hpsearch.execute.preflight import check_storage, some_of


def probe(name: str, problem: str = "", complaints: tuple[str, ...] = (), **versions: str) -> NodeProbe:
    return NodeProbe(name=name, versions=replace(own_versions(), **versions), problem=problem, complaints=complaints)


def test_run_directory_is_made_and_left_empty(tmp_path: Path) -> None:
    check_storage(tmp_path / "runs" / "a")
    assert list((tmp_path / "runs" / "a").iterdir()) == []


def test_run_directory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    with pytest.raises(StorageError, match=r"a file: cannot be written .*Give another --out"):
        check_storage(tmp_path / "a file")


def test_node_without_the_run_directory_is_named_with_its_reason() -> None:
    with pytest.raises(StorageError, match=r"(?s)not the same directory on every node.*10\.0\.0\.2: No such file"):
        preflight._check_problems(Path("/runs/a"), [probe("10.0.0.1"), probe("10.0.0.2", "No such file or directory")], [])


def test_node_with_a_directory_of_its_own_is_named() -> None:
    with pytest.raises(StorageError, match=r"10\.0\.0\.2: what it writes there is not seen here"):
        preflight._check_problems(Path("/runs/a"), [probe("10.0.0.1"), probe("10.0.0.2")], ["10.0.0.2"])


def test_node_that_joins_later_is_refused_with_all_its_reasons() -> None:
    assert preflight.objections(probe("10.0.0.2"), is_seen=True) == []
    here = own_versions()
    found = preflight.objections(probe("10.0.0.2", complaints=("no disk.",), torch="1.0"), is_seen=False)
    assert found == [
        "the run directory is not the same there (what it writes is not seen here); mount it at the same path.",
        f"torch is 1.0 there and {here.torch} here; install the same ones everywhere.",
        "no disk.",
    ]


def test_versions_that_differ_are_shown_as_a_table() -> None:
    with pytest.raises(ClusterError) as caught:
        preflight._check_versions([probe("10.0.0.1"), probe("10.0.0.2", torch="2.11.0")])
    lines = str(caught.value).splitlines()
    assert lines[0] == "versions differ between nodes:"
    assert lines[1].split() == ["node", "python", "ray", "torch", "hpsearch", "images", "cache", "GPUs"]
    assert lines[4].split()[0] == "10.0.0.2"
    assert lines[4].split()[3] == "2.11.0"


def test_same_versions_everywhere_pass() -> None:
    preflight._check_versions([probe("10.0.0.1"), probe("10.0.0.2")])


def test_node_that_cannot_train_is_named_with_its_reason_and_the_table() -> None:
    with pytest.raises(ClusterError, match=r"(?s)10\.0\.0\.2: no images\. Mount them\..*node .*this driver") as caught:
        preflight._check_complaints([probe("10.0.0.1"), probe("10.0.0.2", complaints=("no images. Mount them.",))])
    assert caught.value.exit_code == 4
    assert "10.0.0.1: " not in str(caught.value)


@pytest.mark.parametrize("count", [0, 1, 2, 15, 16, 17, 1_000])
def test_some_images_are_looked_for_the_first_and_the_last_among_them(count: int) -> None:
    paths = [f"{number}.jpg" for number in range(count)]
    some = some_of(paths)
    assert len(some) == len(set(some)) == min(16, count)
    assert set(paths[:1] + paths[-1:]) <= set(some)
