"""The checkpoint of a trial: written whole or not at all, read without running code in it.

It lies in a directory of its own, whose parent the driver has made. Where that parent is not there, neither is the disk: then
nothing is made in its place, which would be hidden when the disk returns, and no trial begins anew for want of its checkpoint.
"""

from __future__ import annotations

import errno
import logging
import pickle
import struct
from pathlib import Path
from typing import Any

import torch

from hpsearch.errors import StorageError
from hpsearch.files import replacing
from hpsearch.train.result import RungResult, unpacked

log = logging.getLogger(__name__)

FORMAT = 1
DAMAGED = (RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError, struct.error)
"""What torch raises for a file that is cut short, changed, or of another program."""


def write_checkpoint(file: Path, identity: str, state: dict[str, Any]) -> None:
    """Writes `state` of the trial that `identity` describes; a reader sees the old file or the new one.

    Raises:
        OSError: the disk is full; the old file is still there.
        StorageError: the disk is gone.
    """
    _check_there(file)
    with replacing(file) as partial, partial.open("wb") as stream:
        try:
            torch.save({"format": FORMAT, "identity": identity, "state": state}, stream)
        except RuntimeError as error:
            # After a write that failed torch still closes its archive, and complains of that in place of the disk.
            raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None


def read_checkpoint(file: Path, identity: str) -> dict[str, Any] | None:
    """The state in `file`, on the CPU; None where there is none, or none of this trial, so that it begins anew.

    Raises:
        StorageError: the disk is gone.
    """
    if not file.is_file():
        _check_there(file)
        return None
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
        if content["format"] == FORMAT and content["identity"] == identity:
            state: dict[str, Any] = content["state"]
            return state
        reason = "it belongs to another configuration, seed or version"
    except (OSError, *DAMAGED) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # that is how torch reads on before a cut file's begin
            raise
        reason = f"it is damaged: {str(error).strip().partition(chr(10))[0][:200]}"
    log.warning("checkpoint %s is not used, the trial begins anew: %s", file, reason)
    return None


def read_last_result(file: Path) -> RungResult | None:
    """What the last evaluation before `file` was written has found; None where that cannot be read. Weights are not."""
    try:
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        last = content["state"]["last"]
        return unpacked({**last, "probabilities_n": last["probabilities_n"].clone()})  # no part of the mapped file any more
    except (OSError, TypeError, *DAMAGED):
        return None


def _check_there(file: Path) -> None:
    directory = file.parent.parent
    if not directory.is_dir():
        raise StorageError(f"{directory} is not there any more. Mount its disk again, then run the same command again.")
