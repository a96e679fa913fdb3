"""What was found about images, kept beside their decoded copies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from hpsearch.errors import StorageError
from hpsearch.files import replacing


@contextmanager
def keeping(file: Path) -> Iterator[IO[bytes]]:
    """A stream whose content becomes that of `file`, whole or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        with replacing(file) as partial, partial.open("wb") as stream:
            yield stream
    except OSError as error:
        raise StorageError(
            f"{file}: cannot be written ({error.strerror}). Free some disk, or give another with --set data.cache_dir=DIR."
        ) from error
