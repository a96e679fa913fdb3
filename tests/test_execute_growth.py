"""Clusters that grow: what the autoscaler is asked for, and how long its first node is waited for."""

from collections.abc import Iterator

import pytest

from hpsearch.config import ResourcesConfig
from hpsearch.errors import ClusterError
from hpsearch.execute import growth
from hpsearch.execute.growth import asking_for_nodes, wait_for_room
from hpsearch.execute.resources import NodeResources

GROWING = ResourcesConfig(autoscale=True, gpus_per_trial=0, cpus_per_trial=1, max_slots=3)
HEAD = NodeResources(name="head", cpus=0, gpus=0)
WORKER = NodeResources(name="worker", cpus=1, gpus=0)


def test_room_for_all_slots_is_asked_for_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[dict[str, float]]] = []
    monkeypatch.setattr(growth, "request_resources", lambda bundles: asked.append(bundles))
    with pytest.raises(KeyboardInterrupt), asking_for_nodes(GROWING):
        raise KeyboardInterrupt
    assert asked == [[{"CPU": 1}] * 3, []]


def test_without_autoscale_nobody_is_asked_or_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "request_resources", lambda bundles: pytest.fail("asked"))
    with asking_for_nodes(ResourcesConfig()):
        wait_for_room(ResourcesConfig(), nodes=lambda: pytest.fail("looked"))


def test_first_node_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "POLL_SECONDS", 0.01)
    answers: Iterator[list[NodeResources]] = iter([[HEAD], [HEAD], [HEAD, WORKER]])
    wait_for_room(GROWING, nodes=lambda: next(answers))
    assert next(answers, None) is None


def test_node_that_never_comes_ends_it_with_both_numbers() -> None:
    with pytest.raises(ClusterError, match=r"brought no node within 0 s: a trial asks for 1 CPU and 0 GPU.*head: 0 CPU"):
        wait_for_room(GROWING, nodes=lambda: [HEAD], seconds=0)
