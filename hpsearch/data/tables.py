"""Reading CSV files of image names with labels, groups or splits, and finding their mistakes with the line.

The files of the wild differ in header, line ends and last line (with or without end); all of that is accepted. What is
wrong is named: file, line, rule, remedy.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

import numpy as np

from hpsearch.config import shortened
from hpsearch.data.dataset import DEEPFAKE, LABEL_WORDS, REAL
from hpsearch.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALIASES = {
    "name": ("img_name", "img_path", "image", "filename", "path", "name"),
    "label": ("target", "label", "y", "class"),
    "group": ("group", "identity"),
    "split": ("split",),
}
"""What a column may be called; where a file has several, the first of these is used."""

_MEANING = {"name": "the image's name or path", "label": "0 for real or 1 for a deepfake"}
_LABELS = {**LABEL_WORDS, "0.0": REAL, "1.0": DEEPFAKE}
_LABEL_EXAMPLES = ("real", "original", "fake", "deepfake")
_SEPARATORS = (",", "\t", ";")
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Table:
    """The columns of a file that hpsearch understands, blank lines left out."""

    file: Path
    """Where it was read from."""
    lines: list[int]
    """Line of the file that each row begins on, from 1."""
    names: list[str]
    """Image name of each row."""
    used: dict[str, str]
    """Kind of column (see `ALIASES`) → what this file calls it."""
    values: dict[str, list[str]]
    """Values of the other columns by kind."""

    def __len__(self) -> int:
        return len(self.names)

    @property
    def note(self) -> str:
        """One sentence on which columns were used."""
        parts = [f"{kind}s from column `{column}`" for kind, column in self.used.items()]
        return f"{self.file.name}: {', '.join(parts)}; {len(self):,} rows"

    def labels(self) -> NDArray[np.int64]:
        """The label of each row.

        Raises:
            InputError: a label that is neither 0 nor 1 nor one of `LABEL_WORDS`, with its line.
        """
        numbers = [_LABELS.get(value.lower(), -1) for value in self.values["label"]]
        wrong = [row for row, number in enumerate(numbers) if number < 0]
        if wrong:
            self.fail(
                wrong[0],
                f"label {shown(self.values['label'][wrong[0]])} of {shown(self.names[wrong[0]])}; labels are 0 (real) or "
                f"1 (deepfake), or a word for it ({', '.join(_LABEL_EXAMPLES)}). Correct {_this_and_more(len(wrong))}",
            )
        return np.array(numbers, dtype=np.int64)

    def fail(self, row: int, message: str) -> NoReturn:
        """Raises `InputError` with the file and the line of `row` before `message`."""
        raise InputError(f"{self.file}, line {self.lines[row]}: {message}.")


def read_table(file: Path, *, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> Table:
    """Reads the columns of the `required` and `optional` kinds (see `ALIASES`) from `file`.

    Fields may be separated by commas, tabs or semicolons; the text is UTF-8 with or without a byte-order mark.

    Raises:
        InputError: not readable as text, no header, a required column missing, a row of another length, an empty name, a
            name twice, or no row at all.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            table = _read(file, text, required, optional)
    except UnicodeDecodeError as error:
        line = _first_line_not_utf8(file)
        raise InputError(f"{file}, line {line}: not UTF-8 text ({error.reason}). Save the file as a UTF-8 CSV.") from error
    except OSError as error:
        remedy = "Give a file." if isinstance(error, IsADirectoryError) else "Check its permissions."
        raise InputError(f"{file}: cannot be read ({error.strerror}). {remedy}") from error
    if not len(table):
        raise InputError(f"{file}: it has a header and no rows. Add one row an image, or give another file.")
    _check_names(table)
    return table


def shown(text: str) -> str:
    """`text` quoted and cut for a message."""
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…")


def _read(file: Path, text: TextIO, required: tuple[str, ...], optional: tuple[str, ...]) -> Table:
    header_line, header_text = next(((n, line) for n, line in enumerate(text, 1) if line.strip()), (0, ""))
    if not header_line:
        raise InputError(f"{file}: the file is empty. It must hold a header line and one row an image.")
    separator = next((each for each in _SEPARATORS if each in header_text), ",")
    header = [column.strip() for column in header_text.replace('"', "").split(separator)]
    used = _used_columns(file, header, required, optional)
    lines: list[int] = []
    columns: dict[str, list[str]] = {kind: [] for kind in used}
    targets = [(header.index(column), columns[kind]) for kind, column in used.items()]
    reader = csv.reader(text, delimiter=separator)
    began = header_line + 1  # where a quote that nobody closes was opened, far above the line on which it is noticed
    try:
        for row in reader:
            if "".join(row).strip():
                if len(row) != len(header):
                    _fail_for_length(file, began, header_line + reader.line_num, header, row)
                lines.append(began)
                for index, column in targets:  # the rows go: half a million kept lists would keep the garbage collector busy
                    column.append(row[index].strip())
            began = header_line + reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{file}, line {began}: not a CSV file ({error}). Correct the quotes there.") from error
    return Table(file=file, lines=lines, names=columns.pop("name"), used=used, values=columns)


def _first_line_not_utf8(file: Path) -> int:
    lines = file.read_bytes().split(b"\n")
    return next(number for number, line in enumerate(lines, 1) if line.decode(errors="replace").encode() != line)


def _used_columns(file: Path, header: list[str], required: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, str]:
    used = {kind: column for kind in (*required, *optional) if (column := _column(header, kind)) is not None}
    for kind in required:
        if kind not in used:
            _fail_without_column(file, header, required, kind)
    return used


def _fail_for_length(file: Path, began: int, ended: int, header: list[str], row: list[str]) -> NoReturn:
    if ended > began:
        raise InputError(
            f"{file}, line {began}: a quote that is opened here goes on to line {ended}, and the row has {len(row):,} fields, "
            f"not {len(header):,} as the header. Close the quote, or remove it."
        )
    raise InputError(
        f"{file}, line {began}: {len(row):,} fields, but the header has {len(header):,} ({shortened(', '.join(header), 200)}). "
        "Correct the line, or quote a field that holds the separator."
    )


def _column(header: list[str], kind: str) -> str | None:
    by_name = {column.lower(): column for column in reversed(header)}
    return next((by_name[alias] for alias in ALIASES[kind] if alias in by_name), None)


def _fail_without_column(file: Path, header: list[str], required: tuple[str, ...], kind: str) -> NoReturn:
    example = ",".join(ALIASES[each][0] for each in required)
    known = {alias for aliases in ALIASES.values() for alias in aliases}
    if not known & {column.lower() for column in header}:
        raise InputError(
            f"{file}: its first line is {shown(','.join(header))}, which is no header. "
            f"The first line must name the columns; put {example!r} there if that is their order."
        )
    raise InputError(
        f"{file}: no column of {kind}s ({_MEANING.get(kind, kind)}) in its header {shown(','.join(header))}. "
        f"Call that column one of {', '.join(ALIASES[kind])}."
    )


def _check_names(table: Table) -> None:
    first_rows: dict[str, int] = {}
    for row, name in enumerate(table.names):
        first = first_rows.setdefault(name, row)
        if not name:
            table.fail(row, "the image's name is empty; every row names an image. Fill it in or remove the line")
        if first != row:
            num_twice = len(table) - len(set(table.names))
            table.fail(
                row,
                f"the name {shown(name)} was already given on line {table.lines[first]}; every image has one row. "
                f"Remove {_this_and_more(num_twice)}",
            )


def _this_and_more(count: int) -> str:
    return "this line" if count == 1 else f"this line and {count - 1:,} more of the kind"
