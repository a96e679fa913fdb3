"""Nodes that join while a run goes on: each is checked as those of the start were, before anything trains there."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group

from hpsearch.errors import HpsearchError, StorageError
from hpsearch.execute.connect import name_of
from hpsearch.execute.node_probe import NodeNeeds
from hpsearch.execute.preflight import PROBE_SECONDS, Handshake, ask, objections
from hpsearch.execute.shipping import Shipment, reason_of
from hpsearch.run_files import RunFiles

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    name: str
    handshake: Handshake
    answer: Any
    images: Any
    until: float


class Arrivals:
    """Asks nodes one by one, without holding up who waits for the answers."""

    def __init__(self, directory: Path, needs: NodeNeeds | None, files: RunFiles, shipment: Shipment | None = None) -> None:
        """Asks as `check_nodes` does with the same arguments; `shipment` brings each node the images first."""
        self._directory, self._needs, self._files, self._shipment = directory, needs, files, shipment
        self._asked: dict[str, _Asked] = {}

    def ask(self, node: Mapping[str, Any]) -> None:
        """Begins to check a node, once; where the run directory cannot be written now, a later call does."""
        node_id = node["NodeID"]
        if node_id in self._asked:
            return
        try:
            handshake = Handshake(self._directory / f"probe-{node_id[:8]}", self._files)
        except (OSError, StorageError) as error:
            log.warning("%s is not checked yet: %s", name_of(node), error)
            return
        self._asked[node_id] = _Asked(
            name=name_of(node),
            handshake=handshake,
            answer=ask(node, handshake, self._needs),
            images=None if self._shipment is None else self._shipment.begin(node),
            until=time.monotonic() + PROBE_SECONDS,
        )

    def answers(self) -> dict[str, str]:
        """The nodes whose check is over since the last call → why they may not train; empty: they may."""
        found = {}
        for node_id, asked in list(self._asked.items()):
            ready, _ = ray.wait([asked.answer], timeout=0)
            if ready and asked.images is not None and not ray.wait([asked.images], timeout=0)[0]:
                continue  # they take as long as they take
            if ready or time.monotonic() > asked.until:
                del self._asked[node_id]
                found[node_id] = _objection(asked) if ready else f"no answer within {PROBE_SECONDS:g} s"
                asked.handshake.close()
        return found


def _objection(asked: _Asked) -> str:
    try:
        probe = ray.get(asked.answer)
        if asked.images is not None:
            ray.get(asked.images)
        return " ".join(objections(probe, is_seen=asked.handshake.is_answered_by(asked.name)))
    except (HpsearchError, RayError) as error:
        return f"it cannot take part: {reason_of(error)}"


def occupy(node: Mapping[str, Any]) -> list[PlacementGroup]:
    """Reserves every core and GPU of a node, so that Ray gives them to nobody else; the reservations.

    One by one, so that what is free is taken at once, and the rest as soon as it is. No process runs there for it.
    """
    there = [{"ray.io/node-id": node["NodeID"]}]
    amounts = {kind: int(node["Resources"].get(kind, 0)) for kind in ("CPU", "GPU")}
    return [
        placement_group([{kind: 1}], bundle_label_selector=there) for kind, amount in amounts.items() for _ in range(amount)
    ]


def give_up(reservations: Iterable[PlacementGroup]) -> None:
    """Takes them back: of a node that is gone they would wait for ever, and an autoscaler might answer them."""
    for reservation in reservations:
        remove_placement_group(reservation)
