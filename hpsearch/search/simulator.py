"""Virtual workers and seconds: drives the real engine on a task that answers at once, so that it runs without training."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hpsearch.config import Params
from hpsearch.errors import DivergedError, InfeasibleError
from hpsearch.search.engine import Engine
from hpsearch.search.types import Outcome, Stretch

Evaluate = Callable[[Params, int], float]
"""(params, images seen) → objective; may raise DivergedError or InfeasibleError."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulationResult:
    """What a simulated search cost."""

    images_trained: int
    """Images that the workers trained, lost pieces included."""
    seconds: float
    """Virtual seconds until the last worker was idle, or the budget used up."""
    num_stretches: int
    """Stretches handed out; going on in place is not another one."""


@dataclass(slots=True)
class _Piece:
    """One worker's way to the next rung."""

    trial: int
    params: Params
    from_images: int
    to_images: int
    start_seconds: float
    end_seconds: float
    is_lost: bool

    def images_at(self, seconds: float) -> float:
        share = (seconds - self.start_seconds) / (self.end_seconds - self.start_seconds)
        return (self.to_images - self.from_images) * min(share, 1.0)


def simulate(
    engine: Engine,
    evaluate: Evaluate,
    *,
    num_workers: int,
    budget_images: int | None = None,
    seconds_per_image: float | Callable[[Params], float] = 1.0,
    loses_worker: Callable[[Stretch], bool] = lambda _: False,
    milestones: Sequence[int] = (),
    at_milestone: Callable[[], None] = lambda: None,
) -> SimulationResult:
    """Drives `engine` with `num_workers` virtual workers until it has finished or the budget is used.

    The budget is a hard one, counted image by image over all workers, as a deadline would be: what is under way when it is used
    up is interrupted and never reported.

    Args:
        engine: Freshly opened, or continued.
        evaluate: The task.
        num_workers: Slots.
        budget_images: Images that all workers may train in this call; None: until the engine has finished.
        seconds_per_image: Speed of a worker, the same for all or by configuration.
        loses_worker: Whether this stretch will lose its worker, at the moment when it would have reported.
        milestones: Smaller budgets, ascending, at which to look at the engine on the way.
        at_milestone: Called once for each of them, when the engine knows what it would know had that been the budget.
    """
    simulation = _Simulation(engine, evaluate, budget_images, seconds_per_image, loses_worker)
    return simulation.run(num_workers, list(milestones), at_milestone)


class _Simulation:
    def __init__(
        self,
        engine: Engine,
        evaluate: Evaluate,
        budget_images: int | None,
        seconds_per_image: float | Callable[[Params], float],
        loses_worker: Callable[[Stretch], bool],
    ) -> None:
        self._engine = engine
        self._evaluate = evaluate
        self._budget_images = float("inf") if budget_images is None else budget_images
        self._seconds_per_image = seconds_per_image if callable(seconds_per_image) else lambda _: seconds_per_image
        self._loses_worker = loses_worker
        self._now = 0.0
        self._done_images = 0
        self._num_stretches = 0
        self._busy: dict[int, _Piece] = {}
        self._due: list[tuple[float, int]] = []

    def run(self, num_workers: int, milestones: list[int], at_milestone: Callable[[], None]) -> SimulationResult:
        idle = list(range(num_workers))
        while True:
            idle = [slot for slot in idle if not self._hand_out(slot)]
            if not self._due:
                return self._result(self._done_images)
            end_seconds, slot = heapq.heappop(self._due)
            while milestones and self._images_at(end_seconds) > milestones[0]:
                milestones.pop(0)
                at_milestone()
            if self._images_at(end_seconds) > self._budget_images:
                return self._interrupt()
            self._now = end_seconds
            if not self._take_in(slot):
                idle = sorted([*idle, slot])

    def _hand_out(self, slot: int) -> bool:
        stretch = self._engine.next(slot)
        if stretch is None:
            return False
        self._num_stretches += 1
        self._begin(slot, stretch, is_lost=self._loses_worker(stretch))
        return True

    def _begin(self, slot: int, stretch: Stretch, *, is_lost: bool) -> None:
        images = stretch.to_images - stretch.from_images
        end_seconds = self._now + images * self._seconds_per_image(stretch.params)
        self._busy[slot] = _Piece(
            stretch.trial, stretch.params, stretch.from_images, stretch.to_images, self._now, end_seconds, is_lost
        )
        heapq.heappush(self._due, (end_seconds, slot))

    def _take_in(self, slot: int) -> bool:
        """A worker has come to its rung; whether it goes on in place."""
        piece = self._busy.pop(slot)
        self._done_images += piece.to_images - piece.from_images
        if piece.is_lost:
            self._engine.lost(piece.trial, "the simulation took its worker")
            return False
        try:
            value = self._evaluate(piece.params, piece.to_images)
        except DivergedError as error:
            self._engine.end(piece.trial, Outcome.DIVERGED, str(error))
            return False
        except InfeasibleError as error:
            self._engine.end(piece.trial, Outcome.INFEASIBLE, str(error))
            return False
        if not self._engine.report(piece.trial, piece.to_images, value, piece.end_seconds - piece.start_seconds):
            return False
        to_images = self._engine.study.trials[piece.trial].target_images
        onward = Stretch(trial=piece.trial, params=piece.params, from_images=piece.to_images, to_images=to_images)
        self._begin(slot, onward, is_lost=self._loses_worker(onward))
        return True

    def _images_at(self, seconds: float) -> float:
        return self._done_images + sum(piece.images_at(seconds) for piece in self._busy.values())

    def _interrupt(self) -> SimulationResult:
        for slot in sorted(self._busy):
            self._engine.end(self._busy[slot].trial, Outcome.PAUSED, "the budget is used")
        return self._result(int(self._budget_images))

    def _result(self, images_trained: int) -> SimulationResult:
        return SimulationResult(images_trained=images_trained, seconds=self._now, num_stretches=self._num_stretches)
