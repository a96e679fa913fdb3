"""Two machines for each test, with and without Ray."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.multinode.two_nodes import TwoNodes
from tests.small_set import SPACE, make_competition


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[TwoNodes]:
    """Both machines without Ray; the shared mount holds images and a space file."""
    nodes = TwoNodes(tmp_path)
    make_competition(nodes.shared / "data")
    (nodes.shared / "space.yaml").write_text(SPACE)
    yield nodes
    nodes.close()


@pytest.fixture
def nodes(machines: TwoNodes) -> TwoNodes:
    """Both machines, the second one's Ray a worker of the first one's."""
    machines.start_ray(1)
    machines.start_ray(2)
    return machines
