"""Ray's token lies in a private file and never in an environment that trials inherit."""

import os
import stat
from pathlib import Path

import pytest
import ray

from hpsearch.errors import ClusterError
from hpsearch.execute.auth import prepare_cluster_token, prepare_local_token, private_token_file


@pytest.fixture(autouse=True)
def own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not ray.is_initialized()
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.setenv(name, "to be put back")  # so that it is, whatever the code below sets
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_token_is_made_once_in_a_private_file(tmp_path: Path) -> None:
    file = prepare_local_token(tmp_path)
    assert file == private_token_file() == tmp_path / "config" / "hpsearch" / "ray_token"
    assert mode(file) == 0o600
    assert mode(file.parent) == 0o700
    token = file.read_text()
    assert len(token) == 64
    assert prepare_local_token(tmp_path).read_text() == token


def test_environment_names_the_file_and_holds_no_token(tmp_path: Path) -> None:
    file = prepare_local_token(tmp_path)
    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert os.environ["RAY_AUTH_TOKEN_PATH"] == str(file)
    assert file.read_text() not in os.environ.values()


def test_token_given_in_the_environment_moves_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    assert prepare_local_token(tmp_path).read_text() == "secret"
    assert "RAY_AUTH_TOKEN" not in os.environ


def test_token_that_another_start_makes_at_the_same_time_is_kept_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def open_after_the_other(path: Path, *how: int) -> int:
        private_token_file().write_text("of the other")
        return opened(path, *how)

    monkeypatch.setattr("os.open", open_after_the_other)
    file = prepare_local_token(tmp_path)
    assert file.read_text() == "of the other"
    assert list(file.parent.iterdir()) == [file]


def test_file_that_others_could_read_is_made_private(tmp_path: Path) -> None:
    private_token_file().parent.mkdir(parents=True)
    private_token_file().write_text("secret")
    private_token_file().chmod(0o644)
    assert mode(prepare_local_token(tmp_path)) == 0o600


def test_without_a_writable_home_the_token_lies_in_the_run_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a file").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "a file"))
    file = prepare_local_token(tmp_path / "tune")
    assert file == tmp_path / "tune" / "ray_token"
    assert mode(file) == 0o600


def test_token_file_of_the_user_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").write_text("secret")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "mine"))
    assert prepare_local_token(tmp_path) == tmp_path / "mine"
    assert prepare_cluster_token("10.0.0.1:6379") == tmp_path / "mine"


def test_cluster_without_a_known_token_is_refused_with_where_to_put_it() -> None:
    with pytest.raises(ClusterError, match=r"no authentication token at .*hpsearch/ray_token or .*\.ray/auth_token"):
        prepare_cluster_token("10.0.0.1:6379")


def test_token_that_ray_itself_keeps_is_found(tmp_path: Path) -> None:
    (tmp_path / "home" / ".ray").mkdir(parents=True)
    (tmp_path / "home" / ".ray" / "auth_token").write_text("secret")
    assert prepare_cluster_token("10.0.0.1:6379") == tmp_path / "home" / ".ray" / "auth_token"


def test_cluster_without_authentication_has_to_be_named_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert prepare_cluster_token("10.0.0.1:6379") is None
    assert "RAY_AUTH_TOKEN_PATH" not in os.environ
