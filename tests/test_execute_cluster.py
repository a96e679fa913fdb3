"""Several nodes on one machine: joining, probing, losing and gaining nodes while a search runs."""

import functools
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray.cluster_utils
from ray.core.generated import autoscaler_pb2

from hpsearch.config import ResourcesConfig
from hpsearch.errors import ClusterError
from hpsearch.execute import search_loop
from hpsearch.execute.arrivals import Arrivals
from hpsearch.execute.auth import prepare_local_token
from hpsearch.execute.connect import Cluster, alive, connect
from hpsearch.execute.node_probe import NodeNeeds
from hpsearch.execute.nodes import Nodes
from hpsearch.execute.preflight import check_nodes
from hpsearch.execute.resources import TrialResources, plan_resources
from hpsearch.execute.search_loop import run_search
from hpsearch.execute.session import Ending, SearchEvent
from hpsearch.execute.worker_call import call_on_worker
from hpsearch.run_files import SharedFiles
from hpsearch.search.engine import Engine
from hpsearch.search.journal import Journal
from hpsearch.search.space import Space
from hpsearch.search.types import EngineConfig, Outcome
from tests.conftest import CLIENT_PORT
from tests.execute_runners import RUNGS, EnvironmentRunner, MisbehavingRunner

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(machines: ray.cluster_utils.Cluster, tmp_path: Path) -> Iterator[Cluster]:
    with connect(machines.address, tune_dir=tmp_path) as cluster:
        yield cluster


def give_notice(machines: ray.cluster_utils.Cluster, seconds: float = 60.0) -> None:
    """To the first worker's node."""
    deadline_ms = int((time.time() + seconds) * 1000)
    gcs = ray._raylet.GcsClient(address=machines.address)
    accepted, why_not = gcs.drain_node(
        machines.first_worker.node_id, autoscaler_pb2.DRAIN_NODE_REASON_PREEMPTION, "a test", deadline_ms
    )
    assert accepted, why_not


class Search:
    def __init__(self, tmp_path: Path, cluster: Cluster, *kinds: str) -> None:
        self.tmp_path = tmp_path
        self.events: list[SearchEvent] = []
        self.resources = plan_resources(ResourcesConfig(gpus_per_trial=0), cluster.nodes())
        start = [{"kind": kind, "x": 0.5 / (number + 1)} for number, kind in enumerate(kinds)]
        content = {"x": {"low": 0.0, "high": 1.0}, "kind": {"choices": sorted({"fine", *kinds})}, "start": start}
        config = EngineConfig(rungs=RUNGS, sampler="random", num_trials=len(kinds))
        self.engine = Engine.open(Space.from_dict(content), config, Journal.in_memory())

    def run(self, **options: Any) -> Ending:
        return run_search(
            self.engine,
            functools.partial(MisbehavingRunner, self.tmp_path),
            resources=self.resources,
            tune_dir=self.tmp_path / "tune",
            on_event=self.observe,
            **options,
        )

    def observe(self, event: SearchEvent) -> None:
        self.events.append(event)


def test_every_node_is_probed_and_gets_the_code(cluster: Cluster, tmp_path: Path) -> None:
    assert len(check_nodes(tmp_path / "run")) == 2
    assert sorted(node.cpus for node in cluster.nodes()) == [0, 2]
    search_path = call_on_worker(_search_path, {}, resources=TrialResources(cpus=1, gpus=0, slots=2))
    shipped = [path for path in map(Path, search_path) if "py_modules_files" in path.parts]
    assert [(path / "hpsearch" / "__init__.py").is_file() for path in shipped] == [True]


def test_node_without_the_images_ends_it_in_seconds(cluster: Cluster, tmp_path: Path) -> None:
    start = time.perf_counter()
    with pytest.raises(ClusterError, match=r"(?s)  [\d.]+-\w+: 1 of 1 images .*1/1 missing"):
        check_nodes(tmp_path / "run", NodeNeeds(images=("/not/mounted/1.jpg",), cache_dir=str(tmp_path / "cache")))
    assert time.perf_counter() - start < 30


def test_gpu_that_torch_does_not_see_ends_it(machines: ray.cluster_utils.Cluster, cluster: Cluster, tmp_path: Path) -> None:
    machines.add_node(num_cpus=1, num_gpus=64)
    with pytest.raises(ClusterError, match=r"Ray has 64 GPU there, and torch \(CUDA [\w.]+\) sees \d+\. Check the driver"):
        check_nodes(tmp_path / "run")


def test_request_that_no_node_can_meet_fails_at_once(cluster: Cluster) -> None:
    with pytest.raises(ClusterError, match="asks for 3 CPU and 0 GPU, and no node has that many"):
        plan_resources(ResourcesConfig(cpus_per_trial=3, gpus_per_trial=0), cluster.nodes())


def test_stretch_on_a_lost_node_is_done_again_on_another_that_joined(
    machines: ray.cluster_utils.Cluster, cluster: Cluster, tmp_path: Path
) -> None:
    search = Search(tmp_path, cluster, "sleep until marked", "sleep until marked", *["fine"] * 4)
    observe = search.observe

    def lose_and_gain(event: SearchEvent) -> None:
        observe(event)
        if event.kind == "progress" and event.trial == 1 and len(machines.list_all_nodes()) == 2:
            machines.add_node(num_cpus=3, num_gpus=0)
            machines.remove_node(machines.first_worker, allow_graceful=False)
        if event.kind == "lost":
            (tmp_path / "go on").touch()

    search.observe = lose_and_gain  # type: ignore[method-assign]
    assert search.run() is Ending.FINISHED
    assert {trial.outcome for trial in search.engine.study.trials.values()} <= {Outcome.PAUSED, Outcome.COMPLETED}
    assert {event.trial for event in search.events if event.kind == "lost"} == {0, 1}
    assert max(event.slot for event in search.events) >= 2


def test_stretch_on_a_node_given_notice_may_end_and_nothing_new_begins_there(
    machines: ray.cluster_utils.Cluster, cluster: Cluster, tmp_path: Path
) -> None:
    search = Search(tmp_path, cluster, "sleep until marked", "sleep until marked", *["fine"] * 4)
    observe, said = search.observe, list[str]()

    def notice(event: SearchEvent) -> None:
        observe(event)
        if event.kind == "progress" and event.trial == 1 and len(machines.list_all_nodes()) == 2:
            machines.add_node(num_cpus=2, num_gpus=0)
            give_notice(machines)

    def go_on(line: str) -> None:
        said.append(line)
        (tmp_path / "go on").touch()

    search.observe = notice  # type: ignore[method-assign]
    leaving = machines.first_worker.node_id
    assert search.run(nodes=Nodes(go_on)) is Ending.FINISHED
    assert re.fullmatch(rf"node [\d.]+-{leaving[:8]} was given notice, it goes in \d\d s: nothing new begins there, .*", *said)
    nodes = [(n, images, m["node"]) for n, trial in search.engine.study.trials.items() for images, m in trial.metrics.items()]
    assert {(number, images) for number, images, node in nodes if node == leaving} == {(0, RUNGS[0]), (1, RUNGS[0])}
    assert len(nodes) >= 8
    assert not [event for event in search.events if event.kind == "lost"]


def test_stretch_lost_with_a_node_given_notice_does_not_count(
    machines: ray.cluster_utils.Cluster, cluster: Cluster, tmp_path: Path
) -> None:
    search = Search(tmp_path, cluster, "sleep until marked", "sleep until marked", "fine")
    observe = search.observe

    def notice(event: SearchEvent) -> None:
        observe(event)
        if event.kind == "progress" and event.trial == 1 and len(machines.list_all_nodes()) == 2:
            give_notice(machines)
        if event.kind == "lost":
            (tmp_path / "go on").touch()

    search.observe = notice  # type: ignore[method-assign]
    assert search.run(nodes=Nodes(lambda line: replace(machines))) is Ending.FINISHED
    assert {event.trial for event in search.events if event.kind == "lost"} == {0, 1}
    assert [(trial.num_lost, bool(trial.values)) for trial in search.engine.study.trials.values()] == [(0, True)] * 3


def test_node_that_joins_and_fails_the_checks_gets_no_trial(
    machines: ray.cluster_utils.Cluster, cluster: Cluster, tmp_path: Path
) -> None:
    search = Search(tmp_path, cluster, "sleep until marked", "sleep until marked", *["fine"] * 4)
    observe, said, joined = search.observe, list[str](), list[Any]()

    def lose_for_a_bad_one(event: SearchEvent) -> None:
        observe(event)
        if event.kind == "progress" and event.trial == 1 and not joined:
            joined.append(machines.add_node(num_cpus=2, num_gpus=64))
            machines.remove_node(machines.first_worker, allow_graceful=False)

    def gain_a_good_one(line: str) -> None:
        said.append(line)
        joined.append(machines.add_node(num_cpus=2, num_gpus=0))
        (tmp_path / "go on").touch()

    search.observe = lose_for_a_bad_one  # type: ignore[method-assign]
    nodes = Nodes(gain_a_good_one)
    (tmp_path / "run").mkdir()
    nodes.check_arrivals(Arrivals(tmp_path / "run", None, SharedFiles()), [node["NodeID"] for node in alive()])
    assert search.run(nodes=nodes) is Ending.FINISHED
    bad, good = (node.node_id for node in joined)
    assert re.fullmatch(rf"node [\d.]+-{bad[:8]} has joined and gets no trial: .*GPU.*", *said)
    assert {m["node"] for trial in search.engine.study.trials.values() for m in trial.metrics.values()} == {good}
    assert not list((tmp_path / "run").iterdir())


def replace(machines: ray.cluster_utils.Cluster) -> None:
    """A spot machine goes, another one comes."""
    machines.add_node(num_cpus=2, num_gpus=0)
    machines.remove_node(machines.first_worker, allow_graceful=False)


def test_search_that_no_node_can_hold_any_more_ends(
    machines: ray.cluster_utils.Cluster, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_loop, "STARVED_SECONDS", 5.0)
    search = Search(tmp_path, cluster, "sleep", "sleep")
    observe = search.observe

    def lose(event: SearchEvent) -> None:
        observe(event)
        if event.kind == "progress" and event.trial == 1:
            machines.remove_node(machines.first_worker, allow_graceful=False)

    search.observe = lose  # type: ignore[method-assign]
    with pytest.raises(ClusterError, match=r"waited \d+ s: a trial asks for 1 CPU and 0 GPU, and no node has that many"):
        search.run()


def test_driver_outside_of_the_cluster_searches_through_ray_client(machines: ray.cluster_utils.Cluster, tmp_path: Path) -> None:
    with connect(f"ray://127.0.0.1:{CLIENT_PORT}", tune_dir=tmp_path) as cluster:
        assert len(check_nodes(tmp_path / "run")) == 2
        search = Search(tmp_path, cluster, "fine", "raise", "fine")
        assert search.run() is Ending.FINISHED
        assert call_on_worker(_search_path, {}, resources=search.resources)
    assert search.engine.study.trials[1].outcome is Outcome.FAILED


def test_wrong_token_is_said_clearly(machines: ray.cluster_utils.Cluster, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong token"
    wrong.write_text("0" * 64)
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(wrong)
    start = time.perf_counter()
    with pytest.raises(ClusterError, match=r"cannot connect with the token in .*wrong token"):
        connect(machines.address, tune_dir=tmp_path)
    assert time.perf_counter() - start < 60


def test_token_that_a_cluster_hands_out_by_environment_reaches_no_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    token = prepare_local_token(tmp_path).read_text()
    monkeypatch.setenv("RAY_AUTH_TOKEN", token)  # as in a pod of KubeRay; the nodes' processes inherit it
    machines = ray.cluster_utils.Cluster(
        initialize_head=True, head_node_args={"num_cpus": 2, "num_gpus": 0, "include_dashboard": False}
    )
    try:
        with connect(machines.address, tune_dir=tmp_path) as cluster:
            search = Search(tmp_path, cluster, "fine")
            run_search(search.engine, EnvironmentRunner, resources=search.resources, tune_dir=tmp_path / "tune")
            called = call_on_worker(_environment, {}, resources=search.resources)
    finally:
        machines.shutdown()
    (environment,) = [trial.metrics[RUNGS[0]]["environment"] for trial in search.engine.study.trials.values()]
    assert environment["RAY_AUTH_MODE"] == "token"
    assert token not in environment.values()
    assert token not in called.values()


def _environment() -> Iterator[dict[str, int]]:
    yield {}
    return dict(os.environ)


def _search_path() -> Iterator[dict[str, int]]:
    yield {}
    return sys.path
