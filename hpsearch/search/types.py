"""The words in which engine, executor and report speak of a study."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from hpsearch.config import Params, Sampler


class Outcome(StrEnum):
    """How a trial stands when the study is over."""

    COMPLETED = "completed"
    """Reached the top rung."""
    PAUSED = "paused"
    """Was not promoted further; its checkpoint may still be resumed."""
    DIVERGED = "diverged"
    """A loss or metric was not finite."""
    INFEASIBLE = "infeasible"
    """Does not fit the memory, or its network cannot be built."""
    FAILED = "failed"
    """Raised an error of its own, or lost its worker too often."""


UNUSABLE = frozenset({Outcome.DIVERGED, Outcome.INFEASIBLE, Outcome.FAILED})
"""Outcomes of trials that cannot be chosen."""
FINAL = UNUSABLE | {Outcome.COMPLETED}
"""Outcomes after which a trial is never handed out again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineConfig:
    """What the engine decides by; all of it identifies the study, except `num_trials`."""

    rungs: tuple[int, ...]
    """Images seen at each rung, ascending; the last one is the full budget of a trial."""
    eta: float = 3.0
    """Promote the best ⌊n/η⌋ of the n trials that reached a rung."""
    seed: int = 0
    """Seed of every random choice of the sampler."""
    sampler: Sampler = "gp"
    """Which sampler proposes new trials."""
    num_trials: int | None = None
    """Trials to start at most; None: until nobody asks any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """A piece of work for one slot: train `trial` from one rung to the next."""

    trial: int
    """Number of the trial, from 0."""
    params: Params
    """Its configuration."""
    from_images: int
    """Images seen at its last checkpoint; 0: from the start."""
    to_images: int
    """The next rung; on a True answer to its report the trial goes on to the rung after it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlierTrial:
    """A trial of an earlier study, as knowledge for the sampler; no part of the study itself."""

    source: str
    """Which study."""
    number: int
    """Its number there."""
    params: Params
    """A whole configuration of the present space: its own values where they fit."""
    quality: float | None
    """Rank in its study, 1 for the best and 0 for the worst; None: it could not be trained."""


@dataclass(kw_only=True, slots=True)
class TrialState:
    """What the journal says of one trial."""

    number: int
    """From 0, in order of suggestion."""
    params: Params
    """Its configuration."""
    origin: str
    """`start` for a start point of the space file, else the sampler's name."""
    values: dict[int, float] = field(default_factory=dict)
    """Objective by images seen, at each rung reached."""
    seconds: dict[int, float] = field(default_factory=dict)
    """Wall seconds of the piece that ended at each rung."""
    vain_seconds: dict[int, float] = field(default_factory=dict)
    """Wall seconds of pieces that began after so many images and came to no rung: it ended badly, was lost or stopped."""
    piece_began: float | None = None
    """`Study.driven_seconds` when its present piece began; None: it does not run."""
    metrics: dict[int, dict[str, Any]] = field(default_factory=dict)
    """What else was reported at each rung."""
    running: bool = False
    """A slot works on it now."""
    outcome: Outcome | None = None
    """None until it has run; PAUSED is not final."""
    message: str = ""
    """Why it ended, where that needs saying."""
    num_lost: int = 0
    """How often its worker was lost; not with nodes that had been given notice."""
    num_retries: int = 0
    """How often its present stretch was lost, counted likewise; back to 0 at each rung."""
    queued: bool = False
    """Its stretch was cut short and waits to be handed out again."""
    slot: int | None = None
    """Slot that works on it, or did last."""
    target_images: int = 0
    """Rung that its last stretch was sent to."""

    @property
    def images(self) -> int:
        """Images seen at its last rung."""
        return max(self.values, default=0)

    @property
    def value(self) -> float | None:
        """Objective at its last rung."""
        return self.values[self.images] if self.values else None

    @property
    def ended_badly(self) -> bool:
        """Whether it can never be chosen."""
        return self.outcome in UNUSABLE

    @property
    def is_usable(self) -> bool:
        """Whether it has a value and did not end badly."""
        return bool(self.values) and not self.ended_badly

    @property
    def full_value(self) -> float | None:
        """Objective after the full training; None: it did not come that far."""
        return self.value if self.outcome is Outcome.COMPLETED else None
