"""The state of a study as a pure fold over its journal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from heapq import nlargest
from typing import Any

from hpsearch.errors import StorageError
from hpsearch.search.rung_table import RungTable
from hpsearch.search.types import EarlierTrial, Outcome, TrialState

NUM_COMPARED = 3
"""Trials at a rung below which lower rungs have a say in which trial is best."""


def _place(trial: TrialState) -> tuple[float, int, int]:
    """Smaller is better: by the last value, then by length, then by age."""
    return -trial.values[trial.images], -trial.images, trial.number


def _least_images(furthest: Iterable[int]) -> int:
    """Of the images that trials saw up to their last rungs: those from which on they are compared, see `Study.ranking`."""
    compared = nlargest(NUM_COMPARED, furthest)
    return compared[-1] if len(compared) == NUM_COMPARED else 0


@dataclass(frozen=True, kw_only=True, slots=True)
class BestStep:
    """An event after which `Study.best` gave another answer."""

    trial: int
    """The best trial from then on."""
    images: int
    """Images seen at its last rung."""
    value: float
    """Objective there."""
    num_trials: int
    """Trials suggested until then."""


class Study:
    """What the journal says so far. Only `apply` changes it; the same events give the same study."""

    def __init__(self) -> None:
        self.header: dict[str, Any] = {}
        """The `study` event; empty before it."""
        self.trials: dict[int, TrialState] = {}
        """Every trial by number, in order of suggestion."""
        self.rungs: dict[int, RungTable] = {}
        """Images → what was filed there; ascending."""
        self.earlier: list[EarlierTrial] = []
        """Trials of earlier studies that the sampler knows."""
        self.queue: list[int] = []
        """Trials whose stretch was cut short, in the order in which they will be handed out again."""
        self.num_trials: int | None = None
        """Most trials to start."""
        self.phases: dict[str, float] = {}
        """Phase → seconds, over all runs."""
        self.images_trained: int = 0
        """Images of all journaled pieces of training."""
        self.num_running: int = 0
        """Trials that slots work on now."""
        self.gpu_seconds: float = 0.0
        """GPU share × seconds of phases that are no search, and of pieces of training that came to nothing."""
        self.gpus_per_trial: float = 0.0
        """GPU share of a trial, as journaled last."""
        self.best_so_far: list[BestStep] = []
        """How `best` changed from event to event; its value falls where a higher rung begins to count."""
        self.last_at: float = 0.0
        """Unix seconds of the last event."""
        self._best: TrialState | None = None
        self._furthest: dict[int, int] = {}
        self._least = 0
        self._opened_at: float = 0.0
        self._ran_seconds: float = 0.0
        self._earlier_seconds: float = 0.0

    @property
    def top(self) -> int:
        """Images of a full training."""
        return max(self.rungs)

    @property
    def driven_seconds(self) -> float:
        """Seconds up to the last event of each driver, summed: time that survives a SIGKILL and steps of the clock."""
        return self._earlier_seconds + self._ran_seconds

    def counts(self) -> dict[Outcome, int]:
        """Trials by outcome; those that run or wait to go on count as paused, as they would if the study ended now."""
        counts = dict.fromkeys(Outcome, 0)
        for trial in self.trials.values():
            counts[trial.outcome or Outcome.PAUSED] += 1
        return counts

    def usable(self) -> list[TrialState]:
        """Trials with a value that did not end badly, by number."""
        return [trial for trial in self.trials.values() if trial.is_usable]

    def best(self) -> TrialState | None:
        """The first of `ranking`; None before any value."""
        return min(self._compared(), key=_place, default=None)

    def ranking(self) -> list[TrialState]:
        """Usable trials that got far enough to be compared, by their last value, the best first.

        That is to the highest rung that `NUM_COMPARED` of them reached: one or two that went further may owe it to chance, and
        have to beat those below. Before any rung has as many, all are compared.
        """
        return sorted(self._compared(), key=_place)

    def _compared(self) -> list[TrialState]:
        usable = self.usable()
        least = _least_images(trial.images for trial in usable)
        return [trial for trial in usable if trial.images >= least]

    def _follow_best(self, trial: TrialState) -> None:
        """Looks at all trials only where this one was the best, or others are compared than before."""
        self._furthest.pop(trial.number, None)
        if trial.is_usable:
            self._furthest[trial.number] = trial.images
        least, before = _least_images(self._furthest.values()), self._least
        self._least = least
        if self._best is None or self._best is trial or least != before:
            self._best = self.best()
        elif self._furthest.get(trial.number, -1) >= least:
            self._best = min(self._best, trial, key=_place)
        best = self._best
        if best is not None and best.value is not None:
            step = BestStep(trial=best.number, images=best.images, value=best.value, num_trials=len(self.trials))
            last = self.best_so_far[-1] if self.best_so_far else None
            if last is None or (last.trial, last.images) != (step.trial, step.images):
                self.best_so_far.append(step)

    def next_rung(self, images: int) -> int:
        """The first rung above `images`."""
        return next(rung for rung in self.rungs if rung > images)

    def apply(self, event: Mapping[str, Any]) -> None:
        """Takes one event in. Kinds that this version does not know are left out."""
        handler = _HANDLERS.get(event["event"])
        if handler is not None:
            handler(self, event)
        self.last_at = event.get("at") or self.last_at
        # Journals of before `ran` have the clock alone.
        ran = event["ran"] if "ran" in event else self.last_at - self._opened_at
        self._ran_seconds = max(self._ran_seconds, ran)
        self._follow_time(event)

    def _follow_time(self, event: Mapping[str, Any]) -> None:
        if event["event"] in ("started", "rung"):
            self.trials[event["trial"]].piece_began = self.driven_seconds
        elif event["event"] in ("stopped", "ended"):
            trial = self.trials[event["trial"]]
            if trial.piece_began is not None:
                vain = self.driven_seconds - trial.piece_began
                trial.vain_seconds[trial.images] = trial.vain_seconds.get(trial.images, 0.0) + vain
                self.gpu_seconds += vain * self.gpus_per_trial
            trial.piece_began = None

    def _study(self, event: Mapping[str, Any]) -> None:
        self.header = dict(event)
        self._opened_at = event.get("at") or 0.0
        self.rungs = {images: RungTable(eta=event["eta"]) for images in event["rungs"]}

    def _budget(self, event: Mapping[str, Any]) -> None:
        self.num_trials = event["num_trials"]
        self._earlier_seconds, self._ran_seconds = self.driven_seconds, 0.0
        self._opened_at = event.get("at") or 0.0

    def _earlier(self, event: Mapping[str, Any]) -> None:
        self.earlier.append(
            EarlierTrial(source=event["source"], number=event["trial"], params=dict(event["params"]), quality=event["quality"])
        )

    def _suggested(self, event: Mapping[str, Any]) -> None:
        number = event["trial"]
        self.trials[number] = TrialState(number=number, params=dict(event["params"]), origin=event["origin"], queued=True)
        self.queue.append(number)

    def _started(self, event: Mapping[str, Any]) -> None:
        trial = self.trials[event["trial"]]
        self.num_running += not trial.running
        trial.running, trial.outcome = True, None
        trial.slot, trial.target_images = event["slot"], event["to_images"]
        self._unqueue(trial)
        if event["from_images"] in self.rungs:
            self.rungs[event["from_images"]].promote(trial.number)

    def _rung(self, event: Mapping[str, Any]) -> None:
        trial, images = self.trials[event["trial"]], event["images"]
        self.images_trained += images - trial.images
        trial.values[images] = event["value"]
        trial.seconds[images] = event["seconds"]
        trial.metrics[images] = dict(event["metrics"])
        trial.num_retries = 0
        self.rungs[images].file(trial.number, event["value"])
        if images == self.top:
            self._finish(trial, Outcome.COMPLETED)
        self._follow_best(trial)

    def _stopped(self, event: Mapping[str, Any]) -> None:
        trial = self.trials[event["trial"]]
        self.num_running -= trial.running
        trial.running, trial.outcome, trial.message = False, Outcome.PAUSED, event["message"]
        if event["reason"] == "lost":
            trial.num_lost += 1
            trial.num_retries += 1
        if trial.images < trial.target_images and not trial.queued:
            trial.queued = True
            self.queue.append(trial.number)

    def _ended(self, event: Mapping[str, Any]) -> None:
        trial = self.trials[event["trial"]]
        self.images_trained += max(0, event["images"] - trial.images)
        trial.message = event["message"]
        self._finish(trial, Outcome(event["outcome"]))
        if trial.images in self.rungs:
            self.rungs[trial.images].withdraw(trial.number)
        self._follow_best(trial)

    def _finish(self, trial: TrialState, outcome: Outcome) -> None:
        self.num_running -= trial.running
        trial.running, trial.outcome = False, outcome
        self._unqueue(trial)

    def _unqueue(self, trial: TrialState) -> None:
        if trial.queued:
            trial.queued = False
            self.queue.remove(trial.number)

    def _phase(self, event: Mapping[str, Any]) -> None:
        self.phases[event["name"]] = self.phases.get(event["name"], 0.0) + event["seconds"]
        self.gpu_seconds += event["gpu_seconds"]

    def _resources(self, event: Mapping[str, Any]) -> None:
        self.gpus_per_trial = event["gpus"]


_HANDLERS = {
    "study": Study._study,
    "budget": Study._budget,
    "earlier": Study._earlier,
    "suggested": Study._suggested,
    "started": Study._started,
    "rung": Study._rung,
    "stopped": Study._stopped,
    "ended": Study._ended,
    "phase": Study._phase,
    "resources": Study._resources,
}


def fold(events: Iterable[Mapping[str, Any]], path: str = "journal.jsonl") -> Study:
    """The study that `events` tell of.

    Raises:
        StorageError: an event does not follow from those before it; the message names its line of `path`.
    """
    study = Study()
    for number, event in enumerate(events, start=1):
        try:
            study.apply(event)
        except (LookupError, TypeError, ValueError) as error:
            raise StorageError(
                f"{path}:{number}: an event {event['event']!r} that does not follow from those before it. "
                "Restore the file, or begin a new study."
            ) from error
    return study
