"""Reads and writes `result.json`, the machine-readable summary of a run."""

from __future__ import annotations

import json
from typing import Any, cast

from hpsearch.errors import InputError
from hpsearch.files import write_text
from hpsearch.json_text import read_as
from hpsearch.layout import Result, RunLayout
from hpsearch.search.types import TrialState


def write_result(layout: RunLayout, result: Result) -> None:
    """Replaces `result.json`.

    Raises:
        StorageError: the run directory cannot be written.
        ValueError: a number is not finite, which JSON cannot hold.
    """
    write_text(layout.result, json.dumps(result, indent=2, allow_nan=False, default=_plain) + "\n")


def read_result(layout: RunLayout) -> Result | None:
    """The summary; None where the run has none yet.

    Raises:
        InputError: the file is no such summary.
    """
    try:
        result = read_as(layout.result.read_text(encoding="utf-8"), Result)
        _check_references(result)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{layout.result} is no summary of a run ({error}). Delete it; the run writes it again.") from error
    return result


def retrained(result: Result | None) -> TrialState | None:
    """The retraining as a trial, for curves; None where it has not happened or left no evaluations."""
    if result is None or not result["best"] or not result.get("retrain"):
        return None
    best = result["best"]
    trial = TrialState(number=best["trial"], params=cast("Any", best["params"]), origin="retraining")
    for rung in result["retrain"]:
        trial.values[rung["images"]] = rung["value"]
        trial.seconds[rung["images"]] = rung["seconds"]
        trial.metrics[rung["images"]] = rung["metrics"]
    return trial


def _check_references(result: Result) -> None:
    """What one part of a result tells of another must be there."""
    if result["val"] is not None and result["best"] is None:
        raise ValueError("it has scores of no configuration")
    found = result.get("confirmation")
    if found is not None and found["winner"] not in {one["trial"] for one in found["finalists"]}:
        raise ValueError(f"its winner, trial {found['winner']}, is none of its finalists")


def _plain(value: object) -> object:
    """NumPy's numbers as Python's."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no place in result.json")
