"""Compiled networks: the same training, compiled once for each kind, and never at the price of a trial."""

from __future__ import annotations

import dataclasses
import gc
import logging
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hpsearch.config import Precision
from hpsearch.data.training_data import LabelledImages, TrainingData
from hpsearch.model.backbones import ModelSpec, build
from hpsearch.train import compiled
from hpsearch.train.compiled import EXPECTED_SECONDS, CompiledNetworks, NetworkKind
from hpsearch.train.result import RungResult
from hpsearch.train.settings import TrialSettings
from hpsearch.train.trial import TrialTrainer
from hpsearch.train.vocabulary import model_spec

SETTINGS = TrialSettings(
    backbone="test_resnet",
    image_px=32,
    batch_size=8,
    images_per_trial=64,
    ema_decay=0.9,
    augment={"hflip": {"p": 0.5}},
)
SPEC = ModelSpec(backbone="test_resnet", se_reduction=None, image_px=32)
ON_GPU = NetworkKind(spec=SPEC, batch_size=8, dtype=torch.float32, device=torch.device("cuda"))
ON_CPU = dataclasses.replace(ON_GPU, device=torch.device("cpu"))


def images(num: int, seed: int) -> LabelledImages:
    images_nhwc = np.random.default_rng(seed).integers(0, 256, (num, 32, 32, 3)).astype(np.uint8)
    return LabelledImages(images_nhwc=images_nhwc, labels_n=np.arange(num) % 2, indices_n=np.arange(num))


DATA = TrainingData(train=images(40, 0), val=images(20, 1))


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What torch.compile captured; a compiler of a few lines runs it as it is, in place of C++ or Triton."""
    captured: list[Any] = []

    def compiler(graph: Any, example_inputs: Any) -> Callable[..., Any]:
        captured.append(graph)
        return graph.forward

    monkeypatch.setattr(compiled, "BACKEND", compiler)
    return captured


def trained(networks: CompiledNetworks | None, *, seed: int = 3, **options: Any) -> tuple[TrialTrainer, list[RungResult]]:
    trainer = TrialTrainer(SETTINGS, DATA, seed=seed, compiled=networks, **{"precision": "fp32", **options})
    return trainer, list(trainer.run((32, 64)))


def test_what_is_evaluated_and_kept_is_the_plain_module_of_the_same_training(graphs: list[Any], tmp_path: Path) -> None:
    trainer, results = trained(CompiledNetworks("always"), checkpoint=tmp_path / "c.pt")
    eager, expected = trained(None)
    assert len(graphs) == 1
    assert list(trainer.model.state_dict()) == list(eager.model.state_dict())
    assert np.allclose(results[-1].probabilities_n, expected[-1].probabilities_n, atol=1e-4)
    assert results[-1].train_loss == pytest.approx(expected[-1].train_loss, abs=1e-4)
    goes_on = TrialTrainer(SETTINGS, DATA, seed=3, precision="fp32", checkpoint=tmp_path / "c.pt")
    assert np.array_equal(goes_on.probabilities(DATA.val), results[-1].probabilities_n)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_real_compiler_gives_the_same_training_within_rounding(precision: Precision) -> None:
    assert_compiled_as_eager("cpu", precision, {"fp32": 1e-3, "bf16": 0.02}[precision])


def test_a_second_trial_with_other_weights_is_not_compiled_again(graphs: list[Any]) -> None:
    networks = CompiledNetworks("always")
    _, first = trained(networks, seed=3)
    _, second = trained(networks, seed=4)
    _, expected = trained(None, seed=4)
    assert len(graphs) == 1
    assert np.allclose(second[-1].probabilities_n, expected[-1].probabilities_n, atol=1e-4)
    assert not np.allclose(first[-1].probabilities_n, second[-1].probabilities_n, atol=1e-4)


def test_a_batch_of_another_size_goes_through_the_plain_module(graphs: list[Any]) -> None:
    network = build(SPEC)
    forward = CompiledNetworks("always").forward(network, ON_CPU)
    forward.prepare(100)
    network.eval()
    images_bchw = torch.rand(5, 3, 32, 32)
    assert torch.equal(forward(images_bchw), network(images_bchw))
    assert len(graphs) == 1


def test_a_trial_whose_batches_do_not_fit_is_not_compiled(graphs: list[Any]) -> None:
    networks = CompiledNetworks("always")
    trainer = TrialTrainer(SETTINGS, DATA, seed=3, precision="fp32", compiled=networks)
    trainer._gradients.micro_batch = 4  # as an out-of-memory leaves it
    results = list(trainer.run((32, 64)))
    assert [result.micro_batch for result in results] == [4, 4]
    assert graphs == []
    trained(networks)
    assert len(graphs) == 1


def test_compiling_changes_nothing_in_the_network(graphs: list[Any]) -> None:
    network = build(SPEC)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    CompiledNetworks("always").forward(network, ON_CPU).prepare(100)
    assert len(graphs) == 1
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_compiler_that_fails_costs_one_line_and_no_trial(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(graph: Any, example_inputs: Any) -> Callable[..., Any]:
        raise RuntimeError("no C++ compiler here")

    monkeypatch.setattr(compiled, "BACKEND", broken)
    networks = CompiledNetworks("always")
    with caplog.at_level(logging.WARNING, logger="hpsearch"):
        _, results = trained(networks)
        trained(networks)
    _, expected = trained(None)
    assert np.array_equal(results[-1].probabilities_n, expected[-1].probabilities_n)
    lines = [record.getMessage() for record in caplog.records if "eagerly" in record.getMessage()]
    assert len(lines) == 1
    assert "no C++ compiler here" in lines[0]


def test_a_trial_frees_its_memory_while_its_code_is_kept(graphs: list[Any]) -> None:
    networks = CompiledNetworks("always")
    trained(networks)
    trainer, _ = trained(networks, seed=4)
    network = weakref.ref(trainer._network)
    gc.disable()
    try:
        del trainer
        assert network() is None
    finally:
        gc.enable()
    assert len(graphs) == 1


def test_auto_leaves_a_cpu_alone_however_much_is_trained(graphs: list[Any]) -> None:
    networks = CompiledNetworks("auto")
    networks.learn(ON_CPU, 10**9, 10**9)
    networks.forward(build(SPEC), ON_CPU).prepare(10**9)
    assert graphs == []


@pytest.fixture
def compilings(monkeypatch: pytest.MonkeyPatch) -> list[NetworkKind]:
    """Kinds that were compiled, each in no time and to code twice as fast, or half as fast at 64 px."""
    kinds: list[NetworkKind] = []

    def compile_now(network: Any, kind: NetworkKind) -> tuple[Callable[..., Tensor], float]:
        kinds.append(kind)
        return lambda tensors, images_bchw: torch.zeros(len(images_bchw), 2), 2.0 if kind.spec.image_px == 32 else 0.5

    monkeypatch.setattr(compiled, "_compiled", compile_now)
    return kinds


@pytest.mark.parametrize(("dtype", "saved_fraction"), [(torch.float32, 1 - 1 / 1.21), (torch.bfloat16, 1 - 1 / 1.51)])
def test_auto_compiles_on_a_gpu_once_what_it_saves_repays_it(
    compilings: list[NetworkKind], dtype: torch.dtype, saved_fraction: float
) -> None:
    kind = dataclasses.replace(ON_GPU, dtype=dtype)
    networks = CompiledNetworks("auto")
    forward = networks.forward(build(SPEC), kind)
    forward.prepare(10**9)
    assert compilings == [], "how fast it is eagerly is not known yet"
    forward.learn(1000, 1.0)
    enough = EXPECTED_SECONDS / (saved_fraction / 1000)
    forward.prepare(int(0.99 * enough) - 1000)
    assert compilings == []
    forward.prepare(int(1.01 * enough) - 1000)
    assert compilings == [kind]
    assert networks.compiled(kind) is not None


def test_what_compiling_took_here_replaces_the_expectation(compilings: list[NetworkKind]) -> None:
    networks = CompiledNetworks("auto")
    network = build(SPEC)
    for kind in (ON_GPU, dataclasses.replace(ON_GPU, batch_size=16)):
        networks.learn(kind, 10, 1.0)
        networks.prepare(network, kind, 10 if compilings else 10**6)
    assert len(compilings) == 2


def test_code_that_is_no_faster_is_given_up_for_good(compilings: list[NetworkKind], caplog: pytest.LogCaptureFixture) -> None:
    kind = dataclasses.replace(ON_GPU, spec=dataclasses.replace(SPEC, image_px=64))
    networks = CompiledNetworks("auto")
    networks.learn(kind, 10**6, 10**6)
    with caplog.at_level(logging.INFO, logger="hpsearch"):
        networks.prepare(build(SPEC), kind, 10**6)
        networks.prepare(build(SPEC), kind, 10**6)
    assert len(compilings) == 1
    assert networks.compiled(kind) is None
    assert "0.50 times as fast: trained eagerly" in caplog.text


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_gpu_trains_compiled_networks(precision: Precision) -> None:
    assert_compiled_as_eager("cuda", precision, 0.02)


def assert_compiled_as_eager(device: str, precision: Precision, tolerance: float) -> None:
    """A training whose network is compiled gives about the probabilities of one that is not."""
    networks = CompiledNetworks("always")
    trainer, results = trained(networks, device=device, precision=precision)
    assert networks.compiled(trainer._kind(model_spec(SETTINGS))) is not None
    _, expected = trained(None, device=device, precision=precision)
    assert np.allclose(results[-1].probabilities_n, expected[-1].probabilities_n, atol=tolerance)
