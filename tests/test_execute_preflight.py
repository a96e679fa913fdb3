"""What the preflight says of nodes that do not fit; nodes that do are asked in the tests on Ray."""

from dataclasses import replace
from pathlib import Path

import pytest

from hpsearch.errors import ClusterError, StorageError
from hpsearch.execute import preflight
from hpsearch.execute.preflight import NodeProbe, check_storage, own_versions


def probe(name: str, problem: str = "", **versions: str) -> NodeProbe:
    return NodeProbe(name=name, versions=replace(own_versions(), **versions), problem=problem)


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


def test_node_answers_whether_it_sees_what_the_driver_wrote(tmp_path: Path) -> None:
    (tmp_path / "driver").write_text("secret")
    assert preflight._probe("a", str(tmp_path), "secret").problem == ""
    assert (tmp_path / "node-a").is_file()
    assert preflight._probe("a", str(tmp_path), "another secret").problem == "reads something else there"
    assert "No such file" in preflight._probe("a", str(tmp_path / "not mounted"), "secret").problem


def test_versions_that_differ_are_shown_as_a_table() -> None:
    with pytest.raises(ClusterError) as caught:
        preflight._check_versions([probe("10.0.0.1"), probe("10.0.0.2", torch="2.11.0")])
    lines = str(caught.value).splitlines()
    assert lines[0] == "versions differ between nodes:"
    assert lines[1].split() == ["node", "python", "ray", "torch", "hpsearch"]
    assert lines[4].split()[0] == "10.0.0.2"
    assert lines[4].split()[3] == "2.11.0"


def test_same_versions_everywhere_pass() -> None:
    preflight._check_versions([probe("10.0.0.1"), probe("10.0.0.2")])
