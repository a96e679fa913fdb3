"""Reads and writes `result.json`, the machine-readable summary of a run."""

from __future__ import annotations

import json
from typing import Any, NotRequired, cast, get_origin, get_type_hints

from hpsearch.errors import InputError
from hpsearch.files import write_text
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
        content = json.loads(layout.result.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{layout.result} cannot be read ({error}). Delete it; the run writes it again.") from error
    missing = sorted(_required_keys() - set(content)) if isinstance(content, dict) else ["everything"]
    if missing:
        raise InputError(f"{layout.result} is no summary of a run: it lacks {', '.join(missing)}.")
    return cast("Result", content)


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


def _required_keys() -> set[str]:
    # Result.__required_keys__ counts NotRequired keys too where annotations are strings.
    hints = get_type_hints(Result, include_extras=True)
    return {key for key, hint in hints.items() if get_origin(hint) is not NotRequired}


def _plain(value: object) -> object:
    """NumPy's numbers as Python's."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no place in result.json")
