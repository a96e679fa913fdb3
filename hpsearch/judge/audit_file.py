"""An audit as a JSON file, for programs and for the run's page."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from hpsearch.errors import InputError
from hpsearch.files import write_text
from hpsearch.judge.audit import Audit, Finding
from hpsearch.judge.cues import Cue


def write_audit(file: Path, audit: Audit) -> None:
    """Replaces `file`: the fields of `Audit`, as they are.

    Raises:
        StorageError: it cannot be written.
    """
    write_text(file, json.dumps(asdict(audit), indent=1, ensure_ascii=False) + "\n")


def read_audit(file: Path) -> Audit | None:
    """What `write_audit` wrote; None where there is no such file.

    Raises:
        InputError: it holds something else.
    """
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8", errors="surrogateescape"))
        return Audit(
            **{
                **content,
                "shares": {name: (images, deepfakes) for name, (images, deepfakes) in content["shares"].items()},
                "findings": tuple(Finding(**{**one, "examples": tuple(one["examples"])}) for one in content["findings"]),
                "cues": tuple(Cue(**one) for one in content["cues"]),
            }
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{file}: holds no audit ({error}). Delete it and audit.html; the next run audits again.") from error
