"""The checkpoint of a trial: written whole or not at all, read without running code in it."""

from __future__ import annotations

import logging
import pickle
import struct
from pathlib import Path
from typing import Any

import torch

from hpsearch.files import replacing

log = logging.getLogger(__name__)

FORMAT = 1
DAMAGED = (RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError, struct.error)
"""What torch raises for a file that is cut short, changed, or of another program."""


def write_checkpoint(file: Path, identity: str, state: dict[str, Any]) -> None:
    """Writes `state` of the trial that `identity` describes; a reader sees the old file or the new one.

    Raises:
        OSError: the disk is full or gone; the old file is still there.
    """
    with replacing(file) as partial, partial.open("wb") as stream:
        try:
            torch.save({"format": FORMAT, "identity": identity, "state": state}, stream)
        except RuntimeError as error:
            # After a write that failed torch still closes its archive, and complains of that in place of the disk.
            raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None


def read_checkpoint(file: Path, identity: str) -> dict[str, Any] | None:
    """The state in `file`, on the CPU; None where there is none, or none of this trial, so that it begins anew."""
    if not file.is_file():
        return None
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
        if content["format"] == FORMAT and content["identity"] == identity:
            state: dict[str, Any] = content["state"]
            return state
        reason = "it belongs to another configuration, seed or version"
    except DAMAGED as error:
        reason = f"it is damaged: {str(error).strip().partition(chr(10))[0][:200]}"
    log.warning("checkpoint %s is not used, the trial begins anew: %s", file, reason)
    return None
