"""What can be said of a connection before there is one; a Ray is started in test_execute_on_ray.py."""

import fcntl
import socket
import tempfile
import time
from pathlib import Path

import pytest

import hpsearch
from hpsearch.errors import ClusterError
from hpsearch.execute import connect as module
from hpsearch.execute.connect import connect


def test_address_where_nothing_answers_fails_within_seconds(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    start = time.perf_counter()
    with pytest.raises(ClusterError, match=rf"--address 127.0.0.1:{port}: nothing answers there"):
        connect(f"127.0.0.1:{port}", tune_dir=tmp_path)
    assert time.perf_counter() - start < 30  # Ray itself waits for minutes


@pytest.mark.parametrize("address", ["cluster", "10.0.0.1", "ray://head", "10.0.0.1:http"])
def test_address_of_another_form_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(ClusterError, match="expected auto, HOST:PORT or ray://HOST:PORT"):
        connect(address, tune_dir=tmp_path)


def test_ray_of_its_own_starts_also_where_the_environment_names_a_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with module.connect("", tune_dir=tmp_path) as cluster:
        assert len(cluster.nodes()) == 1


def test_code_travels_as_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR", raising=False)
    assert module._code_to_ship([]) == {"py_modules": [str(Path(hpsearch.__file__).parent)]}


def test_inside_a_job_nothing_travels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    assert module._code_to_ship(["yaml"]) == {}


def test_plugins_travel_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "one_file_plugin.py").touch()
    (tmp_path / "folder_plugin").mkdir()
    (tmp_path / "folder_plugin" / "__init__.py").touch()
    shipped = module._code_to_ship(["one_file_plugin", "folder_plugin.part"])["py_modules"]
    assert shipped[1:] == [str(tmp_path / "one_file_plugin.py"), str(tmp_path / "folder_plugin")]


def test_plugin_that_is_nowhere_is_refused() -> None:
    with pytest.raises(ClusterError, match="plugins=no_such_plugin: no such Python module"):
        module._code_to_ship(["no_such_plugin"])


def test_directories_of_killed_runs_are_removed_and_those_of_living_ones_are_not(tmp_path: Path) -> None:
    for name in ("killed", "alive", "half-removed"):
        (tmp_path / f"hpsearch-ray-{name}").mkdir()
    for name in ("killed", "alive"):
        (tmp_path / f"hpsearch-ray-{name}" / "owner.lock").touch()
    with (tmp_path / "hpsearch-ray-alive" / "owner.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        module._remove_left_behind(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["hpsearch-ray-alive"]


def test_runs_beside_this_one_are_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setattr(module, "MAX_TEMP_DIR_CHARS", 1000)
    said: list[str] = []
    module.tell_of_other_runs(said.append)
    with module._session_dir(), module._session_dir():
        module.tell_of_other_runs(said.append)
    module.tell_of_other_runs(said.append)
    assert [line.partition(":")[0] for line in said] == ["2 other runs of hpsearch on this machine"]


def test_session_directory_is_locked_while_it_is_used_and_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as parent:
        monkeypatch.setenv("RAY_TMPDIR", parent)
        with module._session_dir() as directory:
            assert directory.parent == Path(parent)
            module._remove_left_behind(directory.parent)
            assert directory.is_dir()
            assert len(str(directory)) <= module.MAX_TEMP_DIR_CHARS
        assert list(Path(parent).iterdir()) == []


def test_object_store_stays_small() -> None:
    least, most = module.OBJECT_STORE_BYTES
    assert least <= module._object_store_bytes() <= most
