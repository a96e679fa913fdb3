"""The Kubernetes files hold only fields that KubeRay 1.6 knows, and pods that pass Kubernetes' own strict schema."""

import re
import shlex
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

import hpsearch
from hpsearch.run import parser

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "cluster" / "kuberay"
KUBERNETES = "1.33"
POD, RESOURCES, TEXTS, FLAG, COUNT, TEXT = "pod", "resources", "texts", bool, int, str
WORKER_GROUP = {
    "groupName": TEXT,
    "priority": COUNT,
    "replicas": COUNT,
    "minReplicas": COUNT,
    "maxReplicas": COUNT,
    "idleTimeoutSeconds": COUNT,
    "rayStartParams": TEXTS,
    "template": POD,
}
CLUSTER = {
    "rayVersion": TEXT,
    "authOptions": {"mode": TEXT, "secretName": TEXT},
    "enableInTreeAutoscaling": FLAG,
    "autoscalerOptions": {"version": TEXT, "idleTimeoutSeconds": COUNT, "upscalingMode": TEXT, "resources": RESOURCES},
    "headGroupSpec": {"serviceType": TEXT, "rayStartParams": TEXTS, "template": POD},
    "workerGroupSpecs": [WORKER_GROUP],
}
JOB = {
    "entrypoint": TEXT,
    "submissionMode": TEXT,
    "backoffLimit": COUNT,
    "shutdownAfterJobFinishes": FLAG,
    "ttlSecondsAfterFinished": COUNT,
    "activeDeadlineSeconds": COUNT,
    "rayClusterSpec": CLUSTER,
}
SPECS = {"RayCluster": CLUSTER, "RayJob": JOB}


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return content


def check(value: Any, rule: Any, path: str) -> None:
    """The strict part of an API server: no field that the rule does not have, and none of another type."""
    if isinstance(rule, dict):
        assert set(value) <= set(rule), f"{path}: unknown {set(value) - set(rule)}"
        for key, item in value.items():
            check(item, rule[key], f"{path}.{key}")
    elif isinstance(rule, list):
        for number, item in enumerate(value):
            check(item, rule[0], f"{path}[{number}]")
    elif rule in (POD, RESOURCES):
        pod = value["spec"] if rule == POD else {"containers": [{"name": "one", "image": "one", "resources": value}]}
        whole = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": pod}
        kubernetes_validate.validate(whole, KUBERNETES, strict=True)
    elif rule == TEXTS:
        assert all(isinstance(item, str) for item in value.values()), f"{path}: values must be strings"
    else:
        assert type(value) is rule, f"{path}: {value!r} is no {rule.__name__}"


def cluster_of(content: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = content["spec"].get("rayClusterSpec", content["spec"])
    return spec


@pytest.fixture(params=["rayjob.yaml", "raycluster.yaml"])
def content(request: pytest.FixtureRequest) -> dict[str, Any]:
    return read(request.param)


def test_every_field_is_known(content: dict[str, Any]) -> None:
    assert content["apiVersion"] == "ray.io/v1"
    check(content["spec"], SPECS[content["kind"]], content["kind"])


def test_mistyped_fields_are_found(content: dict[str, Any]) -> None:
    cluster = cluster_of(content)
    cluster["headGroupSpec"]["template"]["spec"]["containers"][0]["volumeMount"] = []
    with pytest.raises(kubernetes_validate.ValidationError, match="volumeMount"):
        check(cluster, CLUSTER, "spec")
    with pytest.raises(AssertionError, match="workerGroupSpec"):
        check({"workerGroupSpec": []}, CLUSTER, "spec")


def test_both_files_describe_the_same_cluster() -> None:
    assert read("rayjob.yaml")["spec"]["rayClusterSpec"] == read("raycluster.yaml")["spec"]


def test_versions_are_those_of_the_project(content: dict[str, Any]) -> None:
    cluster = cluster_of(content)
    pinned = re.search(r"^ray==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    assert cluster["rayVersion"] == pinned[1]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    images = {container["image"] for group in groups for container in group["template"]["spec"]["containers"]}
    assert images == {f"REPLACE_REGISTRY/hpsearch:{hpsearch.__version__}"}


def test_cluster_wants_a_token_and_keeps_trials_off_the_head(content: dict[str, Any]) -> None:
    cluster = cluster_of(content)
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["headGroupSpec"]["serviceType"] == "ClusterIP"
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


def test_spot_workers_come_first_and_idle_ones_go(content: dict[str, Any]) -> None:
    spot, on_demand = cluster_of(content)["workerGroupSpecs"]
    assert (spot["groupName"], on_demand["groupName"]) == ("gpu-spot", "gpu-on-demand")
    assert spot["priority"] > on_demand["priority"]
    assert spot["minReplicas"] == on_demand["minReplicas"] == 0
    assert "nodeSelector" not in on_demand["template"]["spec"]


def test_pods_fit_the_second_autoscaler_and_run_without_root(content: dict[str, Any]) -> None:
    cluster = cluster_of(content)
    assert cluster["autoscalerOptions"]["version"] == "v2"
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        assert pod["restartPolicy"] == "Never"
        assert pod["securityContext"]["runAsNonRoot"] is True
        mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_every_pod_has_disk_of_its_own_where_the_image_keeps_its_caches(content: dict[str, Any]) -> None:
    (cache_dir,) = re.findall(r"XDG_CACHE_HOME=(\S+)", (ROOT / "cluster" / "docker" / "Dockerfile").read_text())
    cluster = cluster_of(content)
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        (container,) = group["template"]["spec"]["containers"]
        (volume,) = (mount["name"] for mount in container["volumeMounts"] if mount["mountPath"] == cache_dir)
        assert {"name": volume, "emptyDir": {}} in group["template"]["spec"]["volumes"]
        assert "ephemeral-storage" in container["resources"]["requests"]


def commands() -> dict[str, list[str]]:
    """Options of every command that runs on these clusters, by the kind of cluster."""
    (submitted,) = re.findall(r"^ray job submit .*$", (FOLDER.parent / "README.md").read_text(), re.MULTILINE)
    found = {"RayJob": read("rayjob.yaml")["spec"]["entrypoint"], "RayCluster": submitted}
    return {kind: shlex.split(line.partition("hpsearch.run ")[2]) for kind, line in found.items()}


def test_every_pod_mounts_what_the_command_names(content: dict[str, Any]) -> None:
    cluster, options = cluster_of(content), parser().parse_args(commands()[content["kind"]])
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        claims = {volume["name"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume}
        mounts = [mount for container in pod["containers"] for mount in container["volumeMounts"] if mount["name"] in claims]
        for path in (options.out, options.data):
            assert any(Path(path).is_relative_to(mount["mountPath"]) for mount in mounts), f"{path} is not shared"


def test_job_runs_a_command_that_hpsearch_takes_and_cleans_up() -> None:
    job = read("rayjob.yaml")
    assert len(job["metadata"]["name"]) <= 47
    words = shlex.split(job["spec"]["entrypoint"])
    assert words[:3] == ["python", "-m", "hpsearch.run"]
    options = parser().parse_args(words[3:])
    assert options.address == "auto"
    assert options.name
    assert job["spec"]["shutdownAfterJobFinishes"]
    assert job["spec"]["backoffLimit"] > 0
