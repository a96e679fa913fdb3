"""The CSV that is handed in: written in the template's order, checked against the template."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hpsearch.errors import InputError
from hpsearch.files import as_csv, replacing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

HEADER = ("img_name", "y_pred")


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

    The rules: header `img_name,y_pred`; one row for each name, in the template's order, none twice; each value a number in
    [0, 1].
    """
    try:
        table = pd.read_csv(file, dtype=object, keep_default_na=False, encoding_errors="surrogateescape")
    except OSError as error:
        return [f"it cannot be read ({error.strerror})"]
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        return [f"it cannot be read as a CSV ({str(error).strip()}); its first line must be {','.join(HEADER)}"]
    if tuple(table.columns) != HEADER:
        return [f"its header is {','.join(table.columns)}; it must be {','.join(HEADER)}"]
    problems = []
    given, wanted = table[HEADER[0]], pd.Series(list(names), dtype=object)
    duplicates = given[given.duplicated()]
    if len(duplicates):
        problems.append(f"names that stand twice: {len(duplicates):,}, the first is {duplicates.iloc[0]}")
    missing = wanted[~wanted.isin(given)]
    if len(missing):
        problems.append(f"names of the template that are missing: {len(missing):,}, the first is {missing.iloc[0]}")
    unknown = given[~given.isin(wanted)]
    if len(unknown):
        problems.append(f"names that are not in the template: {len(unknown):,}, the first is {unknown.iloc[0]}")
    if not problems and given.tolist() != wanted.tolist():
        row = int(np.flatnonzero(given.to_numpy() != wanted.to_numpy())[0])
        problems.append(f"line {row + 2} has {given[row]} where the template has {wanted[row]}")
    values = pd.to_numeric(table[HEADER[1]], errors="coerce")
    bad = table[~((values >= 0) & (values <= 1))]
    if len(bad):
        problems.append(
            f"values that are no number in [0, 1]: {len(bad):,}, "
            f"the first is {bad[HEADER[1]].iloc[0]!r} in line {bad.index[0] + 2}"
        )
    return problems
