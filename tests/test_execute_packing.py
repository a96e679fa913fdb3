"""How many trials share a GPU: the arithmetic, what is kept, and the probes themselves on real Ray."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from hpsearch.config import ResourcesConfig, RunConfig
from hpsearch.errors import InputError
from hpsearch.execute.connect import connect
from hpsearch.execute.packing import PackingJob, Together, fitting, packed, run_together, with_packing
from hpsearch.execute.resources import NodeResources, plan_resources
from hpsearch.overrides import with_overrides
from hpsearch.train.memory import CONTEXT_BYTES
from hpsearch.train.settings import TrialSettings

GIB = 2**30
JOB = PackingJob(
    settings=(TrialSettings(backbone="test_resnet", image_px=32, batch_size=4),), stored_px=(32,), precision="fp32"
)


def measured(speeds: dict[int, float], peak_gib: float = 1.0, asked: list[int] | None = None):
    def run_together(count: int) -> Together:
        if asked is not None:
            asked.append(count)
        return Together(count=count, images_per_second=speeds[count], peak_bytes=int(peak_gib * GIB), total_bytes=80 * GIB)

    return run_together


def node(cpus: float, gpus: float) -> NodeResources:
    return NodeResources(name=f"{cpus}-{gpus}", cpus=cpus, gpus=gpus)


def test_trials_are_added_while_each_step_brings_a_tenth_more() -> None:
    asked: list[int] = []
    found = packed(measured({1: 100, 2: 180, 3: 240, 4: 250}, asked=asked), 16)
    assert found[-1].count == 3
    assert asked == [1, 2, 3, 4]


def test_memory_limits_how_many_are_tried() -> None:
    asked: list[int] = []
    assert packed(measured({1: 100, 2: 200}, peak_gib=30.0, asked=asked), 16)[-1].count == 2
    assert asked == [1, 2]


def test_every_trial_has_a_core() -> None:
    assert packed(measured({1: 100, 2: 200, 3: 300}), 3)[-1].count == 3


def test_one_trial_stays_alone_where_two_are_no_faster_or_do_not_fit() -> None:
    assert packed(measured({1: 100, 2: 105}), 16)[-1].count == 1
    assert packed(measured({1: 100}, peak_gib=90.0), 16)[-1].count == 1


def test_the_memory_of_a_trial_is_its_peak_with_a_margin_and_cudas_own() -> None:
    one = Together(count=1, images_per_second=1.0, peak_bytes=8 * GIB, total_bytes=3 * int(8 * GIB * 1.15 + CONTEXT_BYTES) + 8)
    assert fitting(one) == 3


def test_without_a_gpu_nothing_is_probed_and_trials_get_none(tmp_path: Path) -> None:
    config = with_packing(ResourcesConfig(gpus_per_trial="auto"), [node(2, 0)], lambda: JOB, tmp_path / "packing.json")
    assert plan_resources(config, [node(2, 0)]).gpus == 0
    assert list(tmp_path.iterdir()) == []


def test_a_number_is_left_as_it_is(tmp_path: Path) -> None:
    config = ResourcesConfig(gpus_per_trial=0.5)
    assert with_packing(config, [node(8, 1)], lambda: JOB, tmp_path / "packing.json") == config


def test_what_was_measured_before_is_used_again(tmp_path: Path) -> None:
    known = tmp_path / "packing.json"
    known.write_text(json.dumps([asdict(measured({1: 50, 4: 120})(count)) for count in (1, 4)]))
    config = with_packing(ResourcesConfig(gpus_per_trial="auto"), [node(16, 1)], lambda: JOB, known)
    assert plan_resources(config, [node(16, 1)]).slots == 4


@pytest.mark.parametrize("text", ["", "[]", '{"count": 4}', '[{"count": 4}]', "[" * 100_000])
def test_a_measurement_that_is_broken_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    known = tmp_path / "packing.json"
    known.write_text(text)
    speeds = measured({1: 100, 2: 180, 3: 190})
    monkeypatch.setattr("hpsearch.execute.packing.run_together", lambda job, count, cores: speeds(count))
    config = with_packing(ResourcesConfig(gpus_per_trial="auto"), [node(16, 1)], lambda: JOB, known)
    assert config.gpus_per_trial == 0.5
    assert json.loads(known.read_text())[-1]["count"] == 2


def test_auto_is_a_word_that_the_option_takes_and_others_are_not() -> None:
    assert with_overrides(RunConfig(), ["resources.gpus_per_trial=auto"]).resources.gpus_per_trial == "auto"
    with pytest.raises(InputError, match="a number is needed, not 'many'"):
        with_overrides(RunConfig(), ["resources.gpus_per_trial=many"])


@pytest.mark.slow
def test_processes_that_share_a_machine_are_measured_together(tmp_path: Path) -> None:
    with connect("", tune_dir=tmp_path):
        alone, two = run_together(JOB, 1, 1.0, gpus=0.0), run_together(JOB, 2, 1.0, gpus=0.0)
    assert (alone.count, two.count) == (1, 2)
    assert alone.images_per_second > 0
    assert two.images_per_second > 0
    assert alone.peak_bytes > 0


@pytest.mark.gpu
@pytest.mark.slow
def test_a_gpu_is_packed_by_what_it_does(tmp_path: Path) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    with connect("", tune_dir=tmp_path) as cluster:
        config = with_packing(ResourcesConfig(gpus_per_trial="auto"), cluster.nodes(), lambda: JOB, tmp_path / "packing.json")
    assert isinstance(config.gpus_per_trial, float)
    assert json.loads((tmp_path / "packing.json").read_text())[0]["total_bytes"] > 0
