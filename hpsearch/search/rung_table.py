"""One rung: who was compared there, and who was promoted."""

from __future__ import annotations

from bisect import bisect_left, insort


class RungTable:
    """Values at one rung, best first; ties go to the earlier trial."""

    def __init__(self, eta: float) -> None:
        self._eta = eta
        self._entries: list[tuple[float, int]] = []
        self._waiting: list[tuple[float, int]] = []
        self._entry_of: dict[int, tuple[float, int]] = {}
        self.promoted: set[int] = set()
        """Trials that went on from here."""

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def quota(self) -> int:
        """⌊n/η⌋ of the n values; the small term is for an η that floats cannot hold."""
        return int(len(self._entries) / self._eta + 1e-9)

    @property
    def ranking(self) -> list[int]:
        """Trials, best first."""
        return [number for _, number in self._entries]

    def file(self, number: int, value: float) -> None:
        """Enters a trial; it then waits for promotion."""
        entry = (-value, number)
        self._entry_of[number] = entry
        insort(self._entries, entry)
        insort(self._waiting, entry)

    def promote(self, number: int) -> None:
        """Notes that a trial went on."""
        self.promoted.add(number)
        self.withdraw(number)

    def withdraw(self, number: int) -> None:
        """A trial that can no longer go on; its value still counts."""
        entry = self._entry_of.get(number)
        if entry is not None:
            index = bisect_left(self._waiting, entry)
            if index < len(self._waiting) and self._waiting[index] == entry:
                del self._waiting[index]

    def promotable(self) -> int | None:
        """The best unpromoted trial, where it is among the best ⌊n/η⌋ and fewer than those are promoted."""
        quota = self.quota
        if not self._waiting or len(self.promoted) >= quota:
            return None
        best = self._waiting[0]
        return best[1] if bisect_left(self._entries, best) < quota else None
