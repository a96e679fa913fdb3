"""Files that are replaced whole: a reader sees the old content or the new one, never a part. And the text of tables."""

from __future__ import annotations

import csv
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hpsearch.errors import InputError, StorageError


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A path to write instead of `file`; what was written there gets its name, the data being on disk before.

    Where the block raises, `file` stays as it was and nothing is left beside it.

    Raises:
        OSError: the directory cannot be written, or the disk is full; it names a file.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    # Two may write the same file, a worker that was given up and its successor for instance, on two machines of one mount.
    partial = file.with_name(f".{file.name}.{secrets.token_hex(8)}.partial")
    try:
        yield partial
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(file)
    except OSError as error:
        error.filename = error.filename or str(file)  # a write to an open file does not know its name
        raise
    finally:
        partial.unlink(missing_ok=True)


def require_place(file: Path, option: str) -> None:
    """Checks that `file` can be written, before the work whose outcome it takes.

    Raises:
        InputError: it is a directory, or cannot be made or replaced.
    """
    if file.is_dir():
        raise InputError(f"{option} {file}: this is a directory. Name the file to write in it.")
    above = next(parent for parent in file.absolute().parents if parent.exists())
    if not above.is_dir():
        raise InputError(f"{option} {file}: {above} is a file, so nothing can be written below it. Give another path.")
    if not os.access(above, os.W_OK | os.X_OK):
        raise InputError(f"{option} {file}: you may not write to {above}. Give another path, or change its permissions.")


def write_text(file: Path, text: str) -> None:
    """Replaces `file` of a run directory by `text` (UTF-8).

    Raises:
        StorageError: the directory cannot be written, or the disk is full; an older `file` is then still whole.
    """
    try:
        with replacing(file) as partial:
            partial.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")  # a file's name may be any bytes
    except OSError as error:
        raise StorageError(
            f"{file} cannot be written: {error.strerror}. Free space or make the directory writable; "
            f"`python -m hpsearch.report {file.parent}` then writes it again."
        ) from error


def as_csv(rows: Iterable[Sequence[object]]) -> str:
    """The text of a CSV file, header first; file names may hold commas, quotes and any end of a line."""
    lines = _Lines()
    # Python before 3.13 quotes a carriage return only where lines end in one; readers take it for the end of a row.
    csv.writer(lines, lineterminator="\r\n").writerows(rows)
    return "".join(line.removesuffix("\r\n") + "\n" for line in lines)


class _Lines(list[str]):
    def write(self, line: str) -> None:
        self.append(line)
