"""Every node before anything is read or trained: those of the start at once, those that join later when they come."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hpsearch.data.cache import address, estimated_bytes
from hpsearch.data.decode import RESIZE_RULE
from hpsearch.data.remote import ON_DRIVER, copy_of, is_remote
from hpsearch.execute.arrivals import Arrivals
from hpsearch.execute.connect import alive
from hpsearch.execute.node_probe import NodeNeeds
from hpsearch.execute.preflight import check_nodes, some_of, table
from hpsearch.execute.shipping import Shipment
from hpsearch.job.inputs import cache_directory

if TYPE_CHECKING:
    from hpsearch.data.dataset import Dataset
    from hpsearch.execute.nodes import Nodes
    from hpsearch.job.inputs import Inputs
    from hpsearch.job.place import Place
    from hpsearch.report.display import Display


def check_cluster(inputs: Inputs, place: Place, nodes: Nodes, display: Display) -> None:
    """Checks the nodes, brings them images that only this machine has, and lets `nodes` do so with those that join.

    Raises:
        StorageError: a node does not see the run directory, or cannot keep the images.
        ClusterError: a node cannot train, or versions differ.
    """
    dataset, config = inputs.dataset, inputs.config
    needs = NodeNeeds(
        images=() if is_remote(dataset.source) else some_of(dataset.cache_order.paths),
        cache_dir=str(cache_directory(config.data)),
        cache_bytes=_cache_bytes(dataset, inputs.stored_px_by_size().values()),
    )
    welcome = [node["NodeID"] for node in alive()]
    probes = check_nodes(place.layout.root, needs, place.files)
    for line in table(probes).splitlines() if config.address else ():
        display.event(line)
    shipment = _ship(inputs, display) if config.address and dataset.source.startswith(ON_DRIVER) else None
    nodes.check_arrivals(Arrivals(place.layout.root, needs, place.files, shipment), welcome)


def _cache_bytes(dataset: Dataset, sides_px: Iterable[int]) -> dict[str, int]:
    paths = dataset.cache_order.paths
    files = address(paths, RESIZE_RULE).partition("-")[0]
    return {f"{px}px-{files}-": estimated_bytes(len(paths), px) for px in sides_px}


def _ship(inputs: Inputs, display: Display) -> Shipment:
    copy = copy_of(inputs.dataset.source, cache_directory(inputs.config.data))
    shipment = Shipment(copy, copy)
    sent = shipment.to_all(lambda done, total: display.progress(done, total, "copying images to nodes, files"))
    display.event(f"{sent:,} files were copied to nodes that lacked them")
    return shipment
