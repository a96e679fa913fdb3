"""The nodes of the cluster as a run goes on: which of them take something new, and which do not, or not yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import ray
from ray.util.client import ray as client
from ray.util.placement_group import PlacementGroup

from hpsearch.execute.arrivals import Arrivals, give_up, occupy
from hpsearch.execute.connect import alive, check_own_ray, name_of, resources_of
from hpsearch.execute.resources import NodeResources

LOOK_SECONDS = 2.0
"""How often Ray is asked at most; clouds announce the end of a spot machine 30 s ahead or earlier."""


class Nodes:
    """Knows of each node whether something may begin there.

    Not where notice was given: Ray calls such a node draining. With `check_arrivals`, nor on a node that joined later, before
    it has passed the checks of the start; one that fails them is occupied, so that Ray puts nothing there.
    """

    def __init__(self, say: Callable[[str], None] = lambda line: None) -> None:
        """Nothing is asked yet; `say` is told of each node that was given notice, or failed the checks."""
        self._say = say
        self._leaving: set[str] = set()
        self._refused: dict[str, list[PlacementGroup]] = {}
        self._welcome: set[str] = set()
        self._arrivals: Arrivals | None = None
        self._next_look = float("-inf")
        self._asked_inside: Any = ray.remote(_draining).options(num_cpus=0)

    def look(self) -> bool:
        """Asks Ray, unless it was asked a moment ago; whether there is news. Takes milliseconds.

        Raises:
            ClusterError: a Ray of our own has ended.
        """
        check_own_ray()
        if time.monotonic() < self._next_look:
            return False
        self._next_look = time.monotonic() + LOOK_SECONDS
        known = self._known()
        self._ask()
        if self._arrivals is not None:
            self._check(self._arrivals)
        return self._known() != known

    def _known(self) -> tuple[int, int, int]:
        return len(self._leaving), len(self._refused), len(self._welcome)

    def check_arrivals(self, arrivals: Arrivals, welcome: Iterable[str]) -> None:
        """From now on nodes other than the `welcome` ones have to be checked first."""
        self._arrivals = arrivals
        self._welcome.update(welcome)

    def _check(self, arrivals: Arrivals) -> None:
        nodes = {node["NodeID"]: node for node in alive()}
        for node_id in self._refused.keys() - nodes.keys():
            give_up(self._refused[node_id])
            self._refused[node_id] = []
        for node_id, node in nodes.items():
            if self.is_unknown(node_id):
                arrivals.ask(node)
        for node_id, objection in arrivals.answers().items():
            if not objection:
                self._welcome.add(node_id)
            elif node_id in nodes:  # it may have gone meanwhile
                self._refused[node_id] = occupy(nodes[node_id])
                self._say(f"node {name_of(nodes[node_id])} has joined and gets no trial: {objection}")

    def is_unknown(self, node_id: str) -> bool:
        """Whether it has joined, and is not checked yet."""
        is_settled = node_id in self._welcome or node_id in self._refused or node_id in self._leaving
        return self._arrivals is not None and not is_settled

    @property
    def has_doubtful(self) -> bool:
        """Whether one that has joined is not checked yet, or was refused: a worker that cannot start may owe it to that."""
        return any(self.is_unknown(node["NodeID"]) or node["NodeID"] in self._refused for node in alive())

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
        return node_id not in self._leaving and node_id not in self._refused

    def usable(self) -> list[NodeResources]:
        """The live nodes where something new may begin, and what Ray may hand out of each."""
        return [resources_of(node) for node in alive() if self._takes(node["NodeID"])]

    def _takes(self, node_id: str) -> bool:
        return self.may_begin(node_id) and not self.is_unknown(node_id)

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
