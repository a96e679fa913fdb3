"""The images of the template before anything trains: they are scored last, when all time is spent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpsearch.data.decode import UnreadableImageError, decode
from hpsearch.errors import InputError

if TYPE_CHECKING:
    from hpsearch.data.dataset import Template

NUM_TRIED = 16
"""Images that are decoded, evenly spaced over the template: 0.01 s for faces of 224 px, 0.4 s for JPEGs of 12 megapixels."""
TRIED_PX = 32


def check_template(template: Template) -> list[str]:
    """A note on images that cannot be read, by a sample; none where all of it can.

    Raises:
        InputError: nothing of the sample can be read.
    """
    rows = np.unique(np.linspace(0, len(template) - 1, NUM_TRIED).round().astype(int)).tolist()
    unreadable = []
    for row in rows:
        try:
            decode(template.paths[row], TRIED_PX)
        except UnreadableImageError as error:
            unreadable.append(f"{error.path}: {error.reason}")
    if len(unreadable) == len(rows):
        raise InputError(
            f"{template.file}: none of the {len(rows)} images that were tried can be read, for example {unreadable[0]}. "
            "Replace them, or take the template away to search without a submission."
        )
    what = f"{template.file.name}: {len(unreadable)} of the {len(rows)} images that were tried cannot be read"
    return [f"{what} and would be scored 0.5, for example {unreadable[0]}"] if unreadable else []
