"""The CSV that is handed in: written in the template's order, checked against the template."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.errors import InputError
from hpsearch.files import as_csv, replacing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

HEADER = ("img_name", "y_pred")
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
"""What every reader takes for the same number: Python alone would also take 0_1."""
_BYTE_ORDER_MARK = "\ufeff"
_SHOWN_CHARACTERS = 80


def write_submission(file: Path, names: Sequence[str], probabilities_n: NDArray[np.floating]) -> None:
    """Writes one row a name, `y_pred` = P(deepfake), and checks what was written.

    All digits of the double are kept: with fewer, images near 0 or 1 would tie, and both AUC and TPR at a low FPR go by ranks.

    Raises:
        InputError: a rule of `submission_problems` is broken; `file` is then not written.
    """
    rows = ([name, repr(p)] for name, p in zip(names, probabilities_n.tolist(), strict=True))
    with replacing(file) as partial:
        partial.write_text(as_csv([HEADER, *rows]), encoding="utf-8", errors="surrogateescape", newline="")
        problems = submission_problems(partial, names)
        if problems:
            raise InputError(f"{file}: not a valid submission: {'; '.join(problems)}.")


def submission_problems(file: Path, names: Sequence[str]) -> list[str]:
    """Every rule of the competition that `file` breaks against the template's `names`; empty: it is valid.

    The rules: header `img_name,y_pred`; one row of two fields for each name, in the template's order, none twice; each value
    a number in [0, 1]. Lines may end in any way, fields may be quoted, and blank lines are passed over. Where the header or
    the number of fields of a row is wrong, no more is said: what the columns are is then unknown.
    """
    try:
        table = _read(file)
    except OSError as error:
        return [f"it cannot be read ({error.strerror})"]
    except _NoTableError as error:
        return [str(error)]
    return [*_problems_of_names(table, names), *_problems_of_values(table)]


class _NoTableError(Exception):
    """The file's columns cannot be told."""


@dataclass(kw_only=True, slots=True)
class _Table:
    """A submission's columns, by row."""

    lines: list[int] = field(default_factory=list)
    """Line of the file that each row ends on, from 1."""
    names: list[str] = field(default_factory=list)
    """First field."""
    values: list[str] = field(default_factory=list)
    """Second field."""


def _read(file: Path) -> _Table:
    header = f"its first line must be {','.join(HEADER)}"
    with file.open(encoding="utf-8", errors="surrogateescape", newline="") as text:
        rows = csv.reader(text, strict=True)
        try:
            _check_header(next(rows, None))
            return _columns((rows.line_num, row) for row in rows)
        except csv.Error as error:
            raise _NoTableError(f"it cannot be read as a CSV (line {rows.line_num}: {error}); {header}") from error


def _check_header(row: list[str] | None) -> None:
    header = ",".join(HEADER)
    if row is None:
        raise _NoTableError(f"it cannot be read as a CSV (it is empty); its first line must be {header}")
    if row and row[0].startswith(_BYTE_ORDER_MARK):
        raise _NoTableError("it begins with a byte-order mark, which some readers take for a part of the header; remove it")
    if tuple(row) != HEADER:
        raise _NoTableError(f"its header is {_shown(','.join(row))}; it must be {header}")


def _columns(rows: Iterable[tuple[int, list[str]]]) -> _Table:
    table = _Table()
    uneven = []
    for line, row in rows:
        if len(row) == len(HEADER):
            table.lines.append(line)
            table.names.append(row[0])
            table.values.append(row[1])
        elif len(row) > 1 or "".join(row).strip():
            uneven.append((line, len(row)))
    if uneven:
        line, num = uneven[0]
        raise _NoTableError(f"rows that do not have {len(HEADER)} fields: {len(uneven):,}, the first has {num} in line {line}")
    return table


def _problems_of_names(table: _Table, names: Sequence[str]) -> list[str]:
    wanted, given, twice, unknown = set(names), set[str](), [], []
    for row, name in enumerate(table.names):
        if name in given:
            twice.append(row)
        if name not in wanted:
            unknown.append(row)
        given.add(name)
    missing = [name for name in names if name not in given]
    problems = []
    if twice:
        problems.append(f"names that stand twice: {len(twice):,}, the first is {_named(table, twice[0])}")
    if missing:
        problems.append(f"names of the template that are missing: {len(missing):,}, the first is {_shown(missing[0])}")
    if unknown:
        problems.append(f"names that are not in the template: {len(unknown):,}, the first is {_named(table, unknown[0])}")
    if problems:
        return problems
    return [
        f"line {line} has {_shown(name)} where the template has {_shown(other)}"
        for line, name, other in zip(table.lines, table.names, names, strict=True)
        if name != other
    ][:1]


def _problems_of_values(table: _Table) -> list[str]:
    bad = [row for row, text in enumerate(table.values) if not (_NUMBER.fullmatch(text) and 0 <= float(text) <= 1)]
    if not bad:
        return []
    first = table.values[bad[0]][:_SHOWN_CHARACTERS]
    return [f"values that are no number in [0, 1]: {len(bad):,}, the first is {first!r} in line {table.lines[bad[0]]}"]


def _named(table: _Table, row: int) -> str:
    return f"{_shown(table.names[row])} in line {table.lines[row]}"


def _shown(text: str) -> str:
    """`text` for a message; quoted where a reader would not see what it is, or a terminal could not print it."""
    cut = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
    return cut if cut and cut.isprintable() and " " not in cut else repr(cut)
