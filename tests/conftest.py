"""What every test shares: a private Ray token, the faces set where it is at hand, and no logged ERROR."""

import atexit
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hpsearch.cli import skip_native_cleanup

CLIENT_PORT = 9001
"""Of the cluster that `machines` makes."""
FACES = Path(__file__).parents[2] / "shared" / "data" / "faces"


_sessions: list[pytest.Session] = []


def pytest_sessionstart(session: pytest.Session) -> None:
    """Keeps the session for its exit status."""
    _sessions.append(session)


@atexit.register  # before all others, so that it is called last
def _end_as_the_session_did() -> None:
    if _sessions and "ray" in sys.modules:
        skip_native_cleanup(int(_sessions[0].exitstatus))


@pytest.fixture
def faces() -> Path:
    """The real faces set, which is not part of the project."""
    if not FACES.is_dir():
        pytest.skip(f"no faces data set at {FACES}")
    return FACES


@pytest.fixture(autouse=True)
def no_logged_error(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A logged ERROR fails the test that caused it."""
    yield
    errors = [
        record.getMessage()
        for when in ("setup", "call")
        for record in caplog.get_records(when)
        if record.levelno >= logging.ERROR
    ]
    assert not errors, f"logged as ERROR: {errors}"


@pytest.fixture(scope="session", autouse=True)
def own_home_for_caches(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keeps the user's cache directory out of the tests."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Nodes of one Ray cluster on this machine: a head without trials, and one with two cores."""
    import ray.cluster_utils

    from hpsearch.execute.auth import prepare_local_token

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    prepare_local_token(tmp_path)
    machines = ray.cluster_utils.Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "num_gpus": 0, "include_dashboard": False, "ray_client_server_port": CLIENT_PORT},
    )
    machines.first_worker = machines.add_node(num_cpus=2, num_gpus=0)
    yield machines
    machines.shutdown()
