"""What a campaign of faults tried and what each kind cost: printed at its end; `make faults` keeps it in `build/faults.md`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

FILE = Path(__file__).parents[2] / "build" / "faults.md"
"""Where the table of the last `make faults` lies."""


@dataclass
class Tally:
    """One row."""

    tries: int = 0
    num_rungs: int = 0
    num_again: int | None = None
    """None: not counted."""

    @property
    def lost(self) -> str:
        if self.num_rungs == 0:
            return "nothing"
        lost = f"0 of {self.num_rungs:,} journaled rungs"
        if self.num_again is None:
            return lost
        if self.num_again == 0:
            return f"{lost}; no piece begun again"
        return f"{lost}; {self.num_again} piece{'s' * (self.num_again > 1)} begun again"


@dataclass
class Ledger:
    """Faults by name."""

    tallies: dict[str, Tally] = field(default_factory=dict)

    def tried(self, fault: str) -> None:
        """A fault whose test says itself that nothing may be lost."""
        self.tallies.setdefault(fault, Tally()).tries += 1

    def studied(self, fault: str, num_faults: int, *, num_rungs: int, num_again: int | None = None) -> None:
        """A study to its end under `num_faults`; each of its `num_rungs` was journaled once.

        Args:
            fault: Its name.
            num_faults: How often it came.
            num_rungs: Journaled.
            num_again: Pieces that were begun more than once; None: not counted.
        """
        tally = self.tallies.setdefault(fault, Tally())
        tally.tries += num_faults
        tally.num_rungs += num_rungs
        if num_again is not None:
            tally.num_again = (tally.num_again or 0) + num_again

    def table(self) -> str:
        """Markdown."""
        rows = [f"| {fault} | {tally.tries:,} | {tally.lost} |" for fault, tally in self.tallies.items()]
        return "\n".join(["| fault | tries | what was lost |", "|---|---|---|", *rows])


ledger = Ledger()
"""Of this process."""
