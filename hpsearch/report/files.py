"""Files that are replaced whole: a reader sees the old content or the new one, never a part."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from hpsearch.errors import StorageError


def write_text(file: Path, text: str) -> None:
    """Replaces `file` by `text` (UTF-8), with the data on disk before the name changes hands.

    Raises:
        StorageError: the directory cannot be written, or the disk is full; an older `file` is then still whole.
    """
    partial = file.with_name(f".{file.name}.partial")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8", newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise StorageError(
            f"{file} cannot be written: {error.strerror}. Free space or make the directory writable; "
            f"`python -m hpsearch.report {file.parent}` then writes it again."
        ) from error
