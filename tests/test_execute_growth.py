"""Clusters that grow: what the autoscaler is asked for, what its limits allow, and how long its first node is waited for."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest

from hpsearch.config import ResourcesConfig
from hpsearch.errors import ClusterError
from hpsearch.execute import growth
from hpsearch.execute.autoscaler import Report
from hpsearch.execute.growth import growing
from hpsearch.execute.resources import NodeResources

GROWING = ResourcesConfig(autoscale=True, gpus_per_trial=0, cpus_per_trial=1, max_slots=6)
HEAD = NodeResources(name="head", cpus=0, gpus=0)
WORKER = NodeResources(name="worker", cpus=1, gpus=0)


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "POLL_SECONDS", 0.0)


class LimitedAutoscaler:
    """Brings nodes for `most` trials, refuses more as a whole, and answers with a delay; `most` None: it never answers."""

    def __init__(self, most: int | None) -> None:
        self.most = most
        self.asked: list[int] = []
        self.version = self.seen = 0

    def ask(self, num_trials: int) -> None:
        self.asked.append(num_trials)
        self.version += 1

    def report(self) -> Report:
        seen, self.seen = self.seen, self.version
        if self.most is None:
            return Report(told=self.version, seen=0, refused=False)
        return Report(told=self.version, seen=seen, refused=seen > 0 and self.asked[seen - 1] > self.most)

    def nodes(self) -> list[NodeResources]:
        return [HEAD, WORKER] if self.most is None or 0 < self.asked[-1] <= self.most else [HEAD]


def grown(autoscaler: LimitedAutoscaler, said: list[str] | None = None, **options: Any) -> AbstractContextManager[None]:
    said = [] if said is None else said
    options = {"nodes": autoscaler.nodes, **options}
    return growing(GROWING, say=said.append, autoscaler=lambda trial: autoscaler, **options)


def test_room_for_all_slots_is_asked_for_and_given_back() -> None:
    autoscaler, said = LimitedAutoscaler(6), []
    with pytest.raises(KeyboardInterrupt), grown(autoscaler, said):
        raise KeyboardInterrupt
    assert autoscaler.asked == [6, 0]
    assert said == []


@pytest.mark.parametrize("most", range(1, 6))
def test_request_beyond_the_limits_shrinks_to_what_they_allow(most: int) -> None:
    autoscaler, said = LimitedAutoscaler(most), []
    with grown(autoscaler, said):
        assert autoscaler.asked[-1] == most
    assert said == [f"the autoscaler may bring nodes for {most} of 6 trials at the same time"]


def test_trial_that_no_node_of_it_can_hold_ends_it_with_both_numbers() -> None:
    autoscaler = LimitedAutoscaler(0)
    message = r"none of the nodes .*a trial asks for 1 CPU and 0 GPU.*head: 0 CPU.*Its limits"
    with pytest.raises(ClusterError, match=message), grown(autoscaler):
        pytest.fail("a block without room")
    assert autoscaler.asked[-1] == 0


def test_one_that_never_answers_is_asked_for_everything() -> None:
    autoscaler = LimitedAutoscaler(None)
    with grown(autoscaler):
        assert autoscaler.asked == [6]


def test_first_node_is_waited_for() -> None:
    answers: Iterator[list[NodeResources]] = iter([[HEAD], [HEAD], [HEAD, WORKER]])
    with grown(LimitedAutoscaler(None), nodes=lambda: next(answers)):
        assert next(answers, None) is None


def test_node_that_never_comes_ends_it_with_both_numbers() -> None:
    autoscaler = LimitedAutoscaler(None)
    message = r"brought no node within 0 s: a trial asks for 1 CPU and 0 GPU.*head: 0 CPU"
    with pytest.raises(ClusterError, match=message), grown(autoscaler, nodes=lambda: [HEAD], seconds=0):
        pytest.fail("a block without room")
    assert autoscaler.asked == [6, 0]


def test_without_autoscale_nobody_is_asked_or_waited_for() -> None:
    autoscaler = LimitedAutoscaler(0)
    with growing(ResourcesConfig(), say=pytest.fail, autoscaler=lambda trial: autoscaler, nodes=lambda: pytest.fail("looked")):
        assert autoscaler.asked == []
