"""What a training says of its speed: time spent on waiting for images apart from the rest."""

import pytest

from hpsearch.train import progress
from hpsearch.train.gpu_use import GpuUse
from hpsearch.train.progress import Progress, ProgressMeter


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def train(clock: Clock, meter: ProgressMeter, *, wait_seconds: float, step_seconds: float) -> None:
    """Four batches of ten images."""

    def batches() -> object:
        for number in range(4):
            clock.now += wait_seconds
            yield number

    for number in meter.waiting(batches()):  # type: ignore[arg-type, var-annotated]  # a generator without types
        clock.now += step_seconds
        meter.tell(10 * (number + 1))


def test_the_step_fraction_leaves_out_what_was_spent_on_waiting_for_images(clock: Clock) -> None:
    told: list[Progress] = []
    train(clock, ProgressMeter(told.append, images=0, device="cpu"), wait_seconds=0.5, step_seconds=1.5)
    assert [now.images for now in told] == [10, 20, 30, 40]
    assert [now.images_per_second for now in told] == [5.0] * 4
    assert [now.step_fraction for now in told] == [0.75] * 4


def test_it_is_told_every_two_seconds_and_spans_what_lies_between(clock: Clock) -> None:
    told: list[Progress] = []
    train(clock, ProgressMeter(told.append, images=0, device="cpu"), wait_seconds=0.0, step_seconds=1.0)
    assert [(now.images, now.images_per_second, now.step_fraction) for now in told] == [(20, 10.0, 1.0), (40, 10.0, 1.0)]


def test_on_a_gpu_its_own_reading_stands_in_for_the_hosts_waiting(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    reading = GpuUse(uuid="1", name="H100", busy_fraction=0.9, used_bytes=1, total_bytes=2)
    monkeypatch.setattr(progress, "gpu_use", lambda: reading)
    told: list[Progress] = []
    train(clock, ProgressMeter(told.append, images=0, device="cuda"), wait_seconds=1.0, step_seconds=1.0)
    assert [(now.step_fraction, now.gpu) for now in told] == [(None, reading)] * 4
