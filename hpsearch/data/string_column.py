"""Many strings in two arrays, which processes of a node can share without a copy.

A tuple of 500,000 paths is 500,000 objects in every process that unpickles it. Numpy arrays are handed by Ray from its
object store to a worker as they lie there (pickle protocol 5, out-of-band buffers), so a worker's own memory does not grow.

Axis legend: `b` bytes of all strings, `n` strings.
"""

from __future__ import annotations

import operator
import reprlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CHUNK = 4_096  # strings that are decoded or copied at a time: a few hundred kB
_CODING = ("utf-8", "surrogatepass")  # every str comes back as it was, also a file name that is no UTF-8


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class StringColumn(Sequence[str]):
    """An immutable sequence of strings; equal to any list, tuple or column of the same strings."""

    utf8_b: NDArray[np.uint8]
    """The strings one after the other; lone surrogates as three bytes."""
    offsets_n: NDArray[np.int64]
    """Where each string begins, and the end of the last: one more than there are strings."""

    @classmethod
    def of(cls, strings: Iterable[str]) -> StringColumn:
        """The column of `strings`; a column is returned as it is."""
        if isinstance(strings, cls):
            return strings
        encoded = [text.encode(*_CODING) for text in strings]
        return cls(np.frombuffer(b"".join(encoded), np.uint8), _offsets(np.fromiter(map(len, encoded), np.int64)))

    def __len__(self) -> int:
        return len(self.offsets_n) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> StringColumn: ...

    def __getitem__(self, index: int | slice) -> str | StringColumn:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            return self._between(start, max(start, stop)) if step == 1 else self.take(np.arange(start, stop, step))
        row = operator.index(index)
        row += len(self) if row < 0 else 0
        if not 0 <= row < len(self):
            raise IndexError(f"string {index} of {len(self):,}")
        return self.utf8_b[self.offsets_n[row] : self.offsets_n[row + 1]].tobytes().decode(*_CODING)

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _CHUNK):
            chunk = self._between(start, min(start + _CHUNK, len(self)))
            utf8, offsets = chunk.utf8_b.tobytes(), chunk.offsets_n.tolist()
            for row in range(len(chunk)):
                yield utf8[offsets[row] : offsets[row + 1]].decode(*_CODING)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, StringColumn):
            return np.array_equal(self.offsets_n, other.offsets_n) and np.array_equal(self.utf8_b, other.utf8_b)
        if isinstance(other, list | tuple):
            return len(self) == len(other) and all(map(operator.eq, self, other))
        return NotImplemented

    def __add__(self, other: Iterable[str]) -> StringColumn:
        """These strings and then those of `other`."""
        more = StringColumn.of(other)
        offsets_n = np.concatenate([self.offsets_n, more.offsets_n[1:] + self.offsets_n[-1]])
        return StringColumn(np.concatenate([self.utf8_b, more.utf8_b]), offsets_n)

    def __repr__(self) -> str:
        return f"StringColumn({reprlib.repr(list(self[:10]))}, {len(self):,} in all)"

    def take(self, indices_n: NDArray[np.int64]) -> StringColumn:
        """The strings at `indices_n`, in that order.

        Raises:
            IndexError: there is no such string.
        """
        starts_n, lengths_n = self.offsets_n[:-1][indices_n], np.diff(self.offsets_n)[indices_n]
        offsets_n = _offsets(lengths_n)
        utf8_b = np.empty(offsets_n[-1], np.uint8)
        for first in range(0, len(starts_n), _CHUNK):  # an index for each byte of all strings would be eight times as large
            rows = slice(first, first + _CHUNK)
            low, high = offsets_n[first], offsets_n[min(first + _CHUNK, len(starts_n))]
            shift_b = np.repeat(starts_n[rows] - offsets_n[:-1][rows], lengths_n[rows])
            utf8_b[low:high] = self.utf8_b[shift_b + np.arange(low, high)]
        return StringColumn(utf8_b, offsets_n)

    def _between(self, start: int, stop: int) -> StringColumn:
        offsets_n = self.offsets_n[start : stop + 1]
        return StringColumn(self.utf8_b[offsets_n[0] : offsets_n[-1]], offsets_n - offsets_n[0])


def _offsets(lengths_n: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths_n)])
