"""What every test shares: a private Ray token, the faces set where it is at hand, and no logged ERROR."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

FACES = Path(__file__).parents[2] / "shared" / "data" / "faces"


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
