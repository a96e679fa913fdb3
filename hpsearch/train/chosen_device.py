"""The device that a command was asked to use, checked before anything is read for it."""

from __future__ import annotations

import torch

from hpsearch.errors import InputError

KINDS = ("cpu", "cuda")


def chosen_device(given: str = "") -> str:
    """`given`, or where it is empty a GPU if there is one and the processor if not.

    Args:
        given: `cpu`, `cuda`, `cuda:1` or empty.

    Raises:
        InputError: no such device on this machine.
    """
    num_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not given:
        return "cuda" if num_gpus else "cpu"
    try:
        device = torch.device(given)
    except RuntimeError:
        device = None
    if device is None or device.type not in KINDS:
        raise InputError(f"device {given!r}: there is none of this name. Give cpu, cuda or cuda:N, or leave it out.")
    if device.type == "cuda" and (device.index or 0) >= num_gpus:
        have = f"{num_gpus} GPU{'s' if num_gpus > 1 else ''}, counted from 0" if num_gpus else "no GPU that torch can use"
        raise InputError(f"device {given!r}: this machine has {have}. Leave it out to use what there is.")
    return given
