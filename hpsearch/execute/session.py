"""What one run of a search knows while it goes on: its slots, its live stretches, and why it stops. No Ray here."""

from __future__ import annotations

import itertools
import logging
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, TypeVar

from hpsearch.errors import HpsearchError
from hpsearch.execute.outcome import Verdict
from hpsearch.execute.stretch import RungReport
from hpsearch.search.engine import Engine
from hpsearch.search.types import Outcome, Stretch
from hpsearch.train.progress import Progress

log = logging.getLogger(__name__)
T = TypeVar("T")


WITHOUT_A_WORD = "it ended, and Ray does not say why"
"""Of a worker that is lost, or whose stretch Tune gave up."""
NO_LONGER_HERE = "its node takes nothing new"
"""Why a stretch is done elsewhere."""


class Ending(StrEnum):
    """How a search ended."""

    FINISHED = "finished"
    """The engine has nothing more to do."""
    BUDGET = "budget"
    """No new stretches were handed out any more, and those in flight reached their rung."""
    DEADLINE = "deadline"
    """Stretches in flight were stopped."""
    INTERRUPTED = "interrupted"
    """Ctrl-C or SIGTERM: stretches in flight were stopped, everything journaled is kept."""


EventKind = Literal["started", "progress", "rung", "ended", "lost", "moved"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchEvent:
    """Something that a display may show."""

    kind: EventKind
    """`ended`: diverged, infeasible or failed; a trial that waits or is complete has only its last `rung`. `moved`: its stretch
    was taken from a healthy worker, to be done elsewhere."""
    trial: int
    """Number of the trial."""
    slot: int
    """Where it runs, from 0."""
    images: int
    """Images seen by the trial so far."""
    value: float | None = None
    """Objective, at a rung."""
    progress: Progress | None = None
    """How fast it goes, with progress."""
    going_on: bool = False
    """At a rung: the trial trains on in place."""
    outcome: Outcome | None = None
    """How the trial ended."""
    message: str = ""
    """Why it ended, was lost or is moved."""


@dataclass(slots=True)
class _Live:
    stretch: Stretch
    slot: int
    images: int
    settled: bool = False
    heard_at: float = field(default_factory=time.monotonic)


class SearchSession:
    """Hands the engine's stretches to workers, named by a key, and their answers to the engine."""

    def __init__(
        self,
        engine: Engine,
        *,
        num_slots: int,
        should_stop: Callable[[], bool] = lambda: False,
        is_late: Callable[[], bool] = lambda: False,
        on_event: Callable[[SearchEvent], None] = lambda event: None,
    ) -> None:
        """A session with slots 0 … num_slots − 1; `should_stop` and `is_late` are asked often, see `run_search`."""
        self.engine = engine
        self.num_slots = num_slots
        self.error: BaseException | None = None
        self._should_stop = should_stop
        self._is_late = is_late
        self._on_event = on_event
        self._live: dict[str, _Live] = {}
        self._ending: Ending | None = None
        self._nothing_new = False

    def __getstate__(self) -> dict[str, object]:
        # Tune pickles what it holds into a state file that nobody reads; displays and locks cannot be pickled.
        return {}

    @property
    def ending(self) -> Ending | None:
        """Why no more stretches are handed out; None while they are."""
        return self._ending

    @property
    def must_stop_now(self) -> bool:
        """Whether the stretches in flight are to be stopped."""
        return self.error is not None or self._ending in (Ending.DEADLINE, Ending.INTERRUPTED)

    @property
    def is_over(self) -> bool:
        """Nothing is live and nothing will be handed out."""
        return not self._live and (self._ending is not None or self.error is not None)

    def interrupt(self) -> None:
        """Ctrl-C: hand out nothing more, stop what is in flight."""
        self._ending = Ending.INTERRUPTED

    def fail(self, error: BaseException) -> None:
        """The search as a whole cannot go on; `error` is raised once everything has stopped."""
        self.error = self.error or error

    def check_budgets(self) -> None:
        """Looks at the clock and asks the caller whether to stop."""
        if self._ending is Ending.INTERRUPTED:
            return
        if self._guarded(self._is_late, False):
            self._ending = Ending.DEADLINE if self._live else self._ending or Ending.BUDGET
        elif self._ending is None and self._guarded(self._should_stop, False):
            self._ending = Ending.BUDGET

    def take(self, key: str) -> Stretch | None:
        """The next stretch, held under `key` from now on; None: nothing for now, or nothing ever again (`is_over`)."""
        self.check_budgets()
        if self._ending is not None or self.error is not None or self._nothing_new:
            return None
        if len(self._live) >= self.num_slots:
            return None
        slot = self._free_slot()
        stretch = self._guarded(lambda: self.engine.next(slot), None)
        if stretch is None:
            self._nothing_new = True
            if not self._live and self.error is None:
                self._ending = Ending.FINISHED
            return None
        self._live[key] = _Live(stretch, slot, stretch.from_images)
        self._tell("started", self._live[key])
        return stretch

    def _free_slot(self) -> int:
        taken = {live.slot for live in self._live.values()}
        return next(slot for slot in itertools.count() if slot not in taken)

    def rung(self, key: str, report: RungReport, *, may_stay: bool = True) -> bool:
        """A rung was reached; True: the trial trains on in place, where it may stay."""
        live = self._live[key]
        if live.settled:  # it was moved while this was on its way
            return False
        live.heard_at = time.monotonic()
        go_on = self._guarded(lambda: self._report(live, report), False)
        live.images = report.images
        live.settled = not go_on
        self._nothing_new = False
        self.check_budgets()
        going_on = go_on and may_stay and self._ending is None and self.error is None
        if math.isfinite(report.value):
            self._tell("rung", live, value=report.value, going_on=going_on)
        else:
            self._tell("ended", live, outcome=Outcome.DIVERGED, message=f"the objective was {report.value}")
        if not may_stay:
            self.move(key, NO_LONGER_HERE)
        return going_on

    def _report(self, live: _Live, report: RungReport) -> bool:
        return self.engine.report(
            live.stretch.trial, report.images, report.value, seconds=report.seconds, metrics=dict(report.metrics)
        )

    def move(self, key: str, message: str) -> None:
        """The stretch will be done elsewhere, and its worker be ended, which is not to blame."""
        live = self._live[key]
        if live.settled:
            return
        live.settled = True
        self._nothing_new = False
        self._guarded(lambda: self.engine.end(live.stretch.trial, Outcome.PAUSED, message), None)
        self._tell("moved", live, message=message)

    def judged(self, key: str, verdict: Verdict) -> None:
        """An exception inside the stretch ended the trial, or the search."""
        live = self._live[key]
        if live.settled:  # as above
            return
        live.settled = True
        self._nothing_new = False
        if verdict.outcome is None:
            log.warning("trial %d: %s\n%s", live.stretch.trial, verdict.message, verdict.trace)
            self.fail(verdict.error or HpsearchError(verdict.message))
            return
        outcome = verdict.outcome
        log.warning("trial %d ended as %s: %s\n%s", live.stretch.trial, outcome, verdict.message, verdict.trace)
        self._guarded(lambda: self.engine.end(live.stretch.trial, outcome, verdict.message), None)
        self._tell("ended", live, outcome=outcome, message=verdict.message)

    def said(self, key: str, messages: Iterable[tuple[int, str]]) -> None:
        """What hpsearch logged in the worker, each message with its level, is logged here with its trial."""
        live = self._live.get(key)
        for level, message in messages:
            log.log(level, "%s%s", "" if live is None else f"trial {live.stretch.trial}: ", message)

    def progress(self, key: str, progress: Progress) -> None:
        """Something to show."""
        self.heard(key)
        live = self._live.get(key)
        if live is not None and not live.settled and progress.images >= live.images:
            live.images = progress.images
            self._tell("progress", live, progress=progress)

    def heard(self, key: str) -> None:
        """The worker gave a sign of life."""
        live = self._live.get(key)
        if live is not None:
            live.heard_at = time.monotonic()

    def heard_at(self, key: str) -> float:
        """When the stretch gave its last sign of life, on the monotonic clock."""
        live = self._live.get(key)
        return time.monotonic() if live is None else live.heard_at

    def free(self, key: str, message: str = "", *, after_notice: bool = False) -> None:
        """The worker is free again. Where it never said how the stretch ended, it is lost and will be done again.

        `after_notice`: its node had been given notice, so that this loss does not count against the trial.
        """
        live = self._live.pop(key, None)
        if live is None:
            return
        self._nothing_new = False
        if live.settled or self.error is not None:
            return
        if self._ending is not None:  # stopped by us: no fault of the worker
            self._guarded(lambda: self.engine.end(live.stretch.trial, Outcome.PAUSED, self._ending or ""), None)
            return
        message = message or WITHOUT_A_WORD
        log.warning("trial %d: worker lost (%s)", live.stretch.trial, message)
        self._guarded(lambda: self.engine.lost(live.stretch.trial, message, after_notice=after_notice), None)
        self._tell("lost", live, message=message)

    def close(self) -> None:
        """Frees what was stopped without a word."""
        for key in list(self._live):
            self.free(key)

    def _guarded(self, call: Callable[[], T], default: T) -> T:
        # Tune turns an exception into text of its own; the run has to end with the original one.
        try:
            return call()
        except Exception as error:
            self.fail(error)
            return default

    def _tell(
        self,
        kind: EventKind,
        live: _Live,
        *,
        value: float | None = None,
        progress: Progress | None = None,
        going_on: bool = False,
        outcome: Outcome | None = None,
        message: str = "",
    ) -> None:
        event = SearchEvent(
            kind=kind,
            trial=live.stretch.trial,
            slot=live.slot,
            images=live.images,
            value=value,
            progress=progress,
            going_on=going_on,
            outcome=outcome,
            message=message,
        )
        self._guarded(lambda: self._on_event(event), None)
