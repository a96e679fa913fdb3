"""The nodes of the cluster as a run goes on: which of them were given notice, and so take nothing new."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import ray
from ray.util.client import ray as client

from hpsearch.execute.connect import alive, name_of, resources_of
from hpsearch.execute.resources import NodeResources

LOOK_SECONDS = 2.0
"""How often Ray is asked at most; clouds announce the end of a spot machine 30 s ahead or earlier."""


class Nodes:
    """Asks Ray which nodes are about to go (it calls them draining), and remembers that also once they are gone."""

    def __init__(self, say: Callable[[str], None] = lambda line: None) -> None:
        """Nothing is asked yet; `say` is told of each node that was given notice."""
        self._say = say
        self._leaving: set[str] = set()
        self._next_look = float("-inf")
        self._asked_inside: Any = ray.remote(_draining).options(num_cpus=0)

    def look(self) -> bool:
        """Asks Ray, unless it was asked a moment ago; whether there is news. Takes milliseconds."""
        if time.monotonic() < self._next_look:
            return False
        self._next_look = time.monotonic() + LOOK_SECONDS
        num_known = len(self._leaving)
        self._ask()
        return len(self._leaving) > num_known

    def _ask(self) -> None:
        is_outside = client.is_connected()  # type: ignore[no-untyped-call]  # Ray's own has no types
        # A driver outside of the cluster does not reach the store where that is kept.
        found = ray.get(self._asked_inside.remote()) if is_outside else _draining()
        for node_id, deadline_ms in found.items():
            if node_id not in self._leaving:
                self._leaving.add(node_id)
                self._say(_announcement(node_id, deadline_ms))

    def may_begin(self, node_id: str) -> bool:
        """Whether something new may begin on a node."""
        return node_id not in self._leaving

    def usable(self) -> list[NodeResources]:
        """The live nodes where something new may begin, and what Ray may hand out of each."""
        return [resources_of(node) for node in alive() if self.may_begin(node["NodeID"])]

    def took(self, error: Exception, node_id: str) -> bool:
        """Whether a worker that was lost with `error` went with its node, after notice; `node_id` is empty if not known."""
        if getattr(error, "preempted", False):
            return True
        self._ask()
        return node_id in self._leaving


def _draining() -> dict[str, int]:
    found: dict[str, int] = ray._private.state.state.get_draining_nodes()
    return found


def _announcement(node_id: str, deadline_ms: int) -> str:
    name = next((name_of(node) for node in alive() if node["NodeID"] == node_id), node_id)
    when = f", it goes in {max(0.0, deadline_ms / 1000 - time.time()):.0f} s" if deadline_ms else ""
    return f"node {name} was given notice{when}: nothing new begins there, and what is lost with it is done again elsewhere"
