"""The engine: hands out stretches of training and takes in what came of them. No Ray, no torch, no clock.

Every answer is a function of the journal so far and the question: the same prefix and next event give the same decision.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

from hpsearch.config import Params, flatten
from hpsearch.errors import InputError
from hpsearch.search.fold import Study, fold
from hpsearch.search.journal import VERSION, Event, Journal
from hpsearch.search.sampler import random_generator
from hpsearch.search.sampler_choice import make_proposer
from hpsearch.search.scheduler import Begin, next_promotion, next_step
from hpsearch.search.space import Space
from hpsearch.search.types import FINAL, EngineConfig, Outcome, Stretch, TrialState
from hpsearch.search.warm_start import earlier_events

MAX_RETRIES = 3
"""Times that a stretch is handed out again after its worker was lost."""


class Engine:
    """Decides what each slot trains, by the journal alone."""

    def __init__(self, space: Space, config: EngineConfig, journal: Journal) -> None:
        """Takes the journal as it stands, adding nothing; `open` is what a driver wants."""
        self._space = space
        self._config = config
        self._journal = journal
        self._study = fold(journal.events, str(journal.path))
        self._unwritten: list[Event] = []
        self._proposer = make_proposer(space, config)

    @classmethod
    def open(
        cls,
        space: Space,
        config: EngineConfig,
        journal: Journal,
        *,
        identity: Mapping[str, Any] | None = None,
        earlier: Mapping[str, Study] | None = None,
    ) -> Self:
        """Begins the study of an empty journal, or continues the one that the journal tells of.

        Trials that were running are handed out again from their last rung, first.

        Args:
            space: What may be proposed.
            config: How; `num_trials` may differ from what the journal says.
            journal: Open for writing.
            identity: What else a continued study may not change, such as the fingerprint of its data.
            earlier: Name → study whose trials the sampler shall know as well; journaled once, so that a later call may leave
                them out.

        Raises:
            InputError: the journal is of a different study (the message shows the differences), or an earlier study has none
                of the names of this space.
        """
        header = _header(space, config, identity or {})
        engine = cls(space, config, journal)
        if journal.events:
            _check_same_study(journal.events[0], journal.stamped(header), str(journal.path))
        else:
            engine._take(header)
        engine._take({"event": "budget", "num_trials": config.num_trials})
        known = {trial.source for trial in engine._study.earlier}
        for source, study in (earlier or {}).items():
            for event in earlier_events(space, study, source, config.seed) if source not in known else []:
                engine._take(event)
        for trial in engine._study.trials.values():
            if trial.running:
                engine._take(_stopped(trial.number, "restart", "the driver was started again"))
        engine._flush()
        return engine

    @property
    def study(self) -> Study:
        """The study so far; to be read only."""
        return self._study

    @property
    def rungs(self) -> tuple[int, ...]:
        """Images at each rung, ascending."""
        return self._config.rungs

    @property
    def finished(self) -> bool:
        """Nothing runs, and nothing will be handed out any more."""
        return self._study.num_running == 0 and next_step(self._study) is None

    def best(self) -> TrialState | None:
        """The best trial so far, see `Study.ranking`."""
        return self._study.best()

    def next(self, slot: int) -> Stretch | None:
        """What a free slot trains next; None: nothing for now, ask again after the next report.

        First stretches that were cut short, then a promotion, then a new trial while `num_trials` allows.
        """
        step = next_step(self._study)
        if step is None:
            return None
        if isinstance(step, Begin):
            number, from_images = step.number, 0
            params, origin = self._suggestion(number)
            self._take({"event": "suggested", "trial": number, "params": params, "origin": origin})
        else:
            number, from_images = step.trial, step.from_images
        to_images = self._study.next_rung(from_images)
        self._take(_started(number, slot, from_images, to_images))
        self._flush()
        params = dict(self._study.trials[number].params)
        return Stretch(trial=number, params=params, from_images=from_images, to_images=to_images)

    def _suggestion(self, number: int) -> tuple[Params, str]:
        if number < len(self._space.start):
            random = random_generator(self._config.seed, number)
            return self._space.draw(random, self._space.start[number]), "start"
        return self._proposer.propose(self._study, number), self._config.sampler

    def report(
        self, trial: int, images: int, value: float, seconds: float = 0.0, metrics: Mapping[str, Any] | None = None
    ) -> bool:
        """Takes in that a trial has reached `images` with `value`.

        Filed at the highest rung that `images` reach, if that is a new one; a report between rungs is not filed.

        Args:
            trial: Its number.
            images: Images that it has seen, over all stretches.
            value: Objective, larger is better; if it is not finite, the trial ends as diverged.
            seconds: Wall seconds since its last rung, or since its stretch began.
            metrics: What else is known at this point.

        Returns:
            True: go on in place. False: stop here; ask `next` for other work.
        """
        state = self._study.trials[trial]
        if not state.running:
            return False
        rung = max((rung for rung in self._study.rungs if rung <= images), default=0)
        if not math.isfinite(value):
            self._take(_ended(trial, Outcome.DIVERGED, images, f"the objective was {value} at {images} images"))
            going_on = False
        elif rung <= state.images:
            return True
        else:
            measured = {"value": float(value), "seconds": float(seconds), "metrics": dict(metrics or {})}
            self._take({"event": "rung", "trial": trial, "images": rung, **measured})
            going_on = self._decide(state, rung)
        self._flush()
        return going_on

    def _decide(self, state: TrialState, rung: int) -> bool:
        """Whether the trial that has just reported at `rung` goes on in place."""
        if rung == self._study.top:
            self._take(_ended(state.number, Outcome.COMPLETED, rung, ""))
            return False
        promotion = next_promotion(self._study)
        if promotion is None or promotion.trial != state.number:
            self._take(_stopped(state.number, "paused", ""))
            return False
        self._take(_started(state.number, state.slot or 0, rung, self._study.next_rung(rung)))
        return True

    def end(self, trial: int, outcome: Outcome, message: str = "") -> None:
        """Takes in that a trial ended otherwise than by the answer to a report; a second time changes nothing.

        PAUSED while it runs means that it was told to stop short of its rung: its stretch will be handed out again.
        """
        state = self._study.trials[trial]
        if state.outcome in FINAL or (outcome is Outcome.PAUSED and not state.running):
            return
        if outcome is Outcome.PAUSED:
            self._take(_stopped(trial, "interrupted", message))
        elif outcome is not Outcome.COMPLETED:
            self._take(_ended(trial, outcome, state.images, message))
        elif state.running:
            early = f"it ended at {state.images} images, before its rung at {state.target_images}"
            self._take(_ended(trial, Outcome.FAILED, state.images, message or early))
        self._flush()

    def lost(self, trial: int, message: str, *, after_notice: bool = False) -> None:
        """Takes in that the worker of a running trial is gone.

        The stretch is handed out again from its last rung, at most three times; then the trial ends as failed. A loss
        `after_notice`, with a machine that was announced to go, says nothing of the trial and does not count.
        """
        state = self._study.trials[trial]
        if not state.running:
            return
        if after_notice:
            self._take(_stopped(trial, "preempted", message))
        elif state.num_retries < MAX_RETRIES:
            self._take(_stopped(trial, "lost", message))
        else:
            self._take(_ended(trial, Outcome.FAILED, state.images, f"lost its worker {MAX_RETRIES + 1} times: {message}"))
        self._flush()

    def phase(self, name: str, seconds: float, gpu_seconds: float = 0.0) -> None:
        """Journals that a phase of the run took `seconds` in this run, and `gpu_seconds` of GPU share × time."""
        self._take({"event": "phase", "name": name, "seconds": seconds, "gpu_seconds": gpu_seconds})
        self._flush()

    def resources(self, gpus: float) -> None:
        """Journals that a trial gets a share of `gpus` GPUs from now on, by which pieces that come to nothing are counted."""
        if gpus != self._study.gpus_per_trial:
            self._take({"event": "resources", "gpus": gpus})
            self._flush()

    def _take(self, event: Event) -> None:
        stamped = self._journal.stamped(event)
        self._study.apply(stamped)
        self._unwritten.append(stamped)

    def _flush(self) -> None:
        """Puts on disk what was taken in, in one write; only then may an answer be given."""
        self._journal.append(self._unwritten)
        self._unwritten = []


def _header(space: Space, config: EngineConfig, identity: Mapping[str, Any]) -> Event:
    decided_by = {"rungs": list(config.rungs), "eta": config.eta, "seed": config.seed, "sampler": config.sampler}
    return {"event": "study", "version": VERSION, "space": space.to_dict(), **decided_by, "identity": dict(identity)}


def _check_same_study(found: Event, wanted: Event, path: str) -> None:
    was, now = (flatten({**header, "at": 0, "ran": 0}) for header in (found, wanted))
    differences = [
        f"  {key}: {was.get(key, 'absent')} in the study, {now.get(key, 'absent')} now"
        for key in dict.fromkeys([*was, *now])
        if was.get(key) != now.get(key)
    ]
    if differences:
        more = [f"  … and {len(differences) - 10} more"] if len(differences) > 10 else []
        raise InputError(
            f"{path} holds a different study; what identifies a study cannot change:\n"
            + "\n".join(differences[:10] + more)
            + "\nTake these back to continue it, or begin a new study with another --name."
        )


def _started(trial: int, slot: int, from_images: int, to_images: int) -> Event:
    return {"event": "started", "trial": trial, "slot": slot, "from_images": from_images, "to_images": to_images}


def _stopped(trial: int, reason: str, message: str) -> Event:
    return {"event": "stopped", "trial": trial, "reason": reason, "message": message}


def _ended(trial: int, outcome: Outcome, images: int, message: str) -> Event:
    return {"event": "ended", "trial": trial, "outcome": outcome.value, "images": images, "message": message}
