"""An audit as a JSON file, for programs and for the run's page."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.errors import InputError
from hpsearch.files import write_text
from hpsearch.json_text import read_as
from hpsearch.judge.audit import Audit, state_of

if TYPE_CHECKING:
    from hpsearch.data.dataset import Dataset


def write_audit(file: Path, audit: Audit) -> None:
    """Replaces `file`: the fields of `Audit`, as they are.

    Raises:
        StorageError: it cannot be written.
    """
    write_text(file, json.dumps(asdict(audit), indent=1, ensure_ascii=False) + "\n")


def is_current(file: Path, dataset: Dataset) -> bool:
    """Whether `file` holds an audit of `dataset` with its files as they are now; one look at the status of each tells.

    Raises:
        InputError: it holds something else.
    """
    known = read_audit(file)
    return known is not None and known.state == state_of(dataset)


def read_audit(file: Path) -> Audit | None:
    """What `write_audit` wrote; None where there is no such file.

    Raises:
        InputError: it holds something else.
    """
    if not file.is_file():
        return None
    try:
        return read_as(file.read_text(encoding="utf-8", errors="surrogateescape"), Audit)
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: holds no audit ({error}). Delete it and audit.html; the next run audits again.") from error
