"""Ray's token authentication: always on, the token in a private file, never in an environment that trials inherit."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path
from typing import Any

from ray import _raylet

from hpsearch.errors import ClusterError


def private_token_file() -> Path:
    """Where hpsearch keeps its own token: below `$XDG_CONFIG_HOME`, else `~/.config`."""
    config = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(config) / "hpsearch" / "ray_token"


def prepare_local_token(tune_dir: Path) -> Path:
    """Sets the environment for a Ray of our own, with a token made if needed; returns its file.

    Where the home directory cannot be written, the token lies in `tune_dir`.
    """
    token = _take_from_environment()
    given = os.environ.get("RAY_AUTH_TOKEN_PATH")
    if given and token is None and Path(given).is_file():
        file = Path(given)
    else:
        try:
            file = _written(private_token_file(), token)
        except OSError:
            file = _written(tune_dir / "ray_token", token)
    _use(file)
    return file


def prepare_cluster_token(address: str) -> Path | None:
    """Sets the environment for a cluster that somebody else started; returns the token's file, None where it has none.

    Raises:
        ClusterError: the cluster's token is not to be found; the message says where to put it.
    """
    if os.environ.get("RAY_AUTH_MODE", "token") != "token":
        return None  # chosen by the user, in so many words
    token = _take_from_environment()
    if token is not None:
        file = _written(private_token_file(), token)
    else:
        given = os.environ.get("RAY_AUTH_TOKEN_PATH")
        candidates = [Path(given)] if given else [private_token_file(), Path.home() / ".ray" / "auth_token"]
        found = next((candidate for candidate in candidates if candidate.is_file()), None)
        if found is None:
            raise ClusterError(
                f"--address {address}: no authentication token at {' or '.join(map(str, candidates))}. Copy the cluster's "
                "token there with mode 600, or name its file in RAY_AUTH_TOKEN_PATH."
            )
        file = found
    _use(file)
    return file


def forget_token() -> None:
    """Takes the token out of this worker's environment, which a trial and its children see.

    Ray itself has read it by then. It stands there where a cluster hands it out so, as KubeRay does.
    """
    _take_from_environment()


def _take_from_environment() -> str | None:
    return os.environ.pop("RAY_AUTH_TOKEN", None)


def _written(file: Path, token: str | None) -> Path:
    """`file`, holding `token`, or whatever it holds already, or a new token."""
    is_there = file.is_file()
    if token is None and is_there and file.stat().st_size > 0:
        file.chmod(stat.S_IRUSR | stat.S_IWUSR)
        return file
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(token or secrets.token_hex(32))
        if token is None and not is_there:
            _put_first(partial, file)
        else:
            partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    return file


def _put_first(partial: Path, file: Path) -> None:
    """Gives `partial` the name `file`, unless another start has made its own token meanwhile, which its Ray uses by now."""
    try:
        os.link(partial, file)
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        partial.replace(file)


def _use(file: Path) -> None:
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(file)
    # Ray read its environment when it was imported; this is how it reads it again.
    raylet: Any = _raylet
    raylet.Config.initialize("")
    raylet.AuthenticationTokenLoader.instance().reset_cache()
