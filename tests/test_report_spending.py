"""Where the budget went, counted by hand."""

from pathlib import Path
from typing import Any

import pytest

from hpsearch.layout import RunLayout
from hpsearch.report.page.content import PageContent
from hpsearch.report.page.figure import Figure
from hpsearch.report.page.render import render_page
from hpsearch.report.page.spending import spending_caption, spending_figures, spending_sentence, spent_by_use
from hpsearch.report.rebuild import content_of
from hpsearch.report.summary import gpu_hours


class Told:
    """A journal, event by event."""

    def __init__(self, gpus: float = 0.0) -> None:
        self.gpus = gpus
        header = {"event": "study", "version": 1, "space": {"dimensions": {}}, "rungs": [100, 300], "eta": 3.0}
        self.events: list[dict[str, Any]] = [{**header, "ran": 0.0}]
        if gpus:
            self.events.append({"event": "resources", "gpus": gpus, "ran": 0.0})

    def add(self, ran: float, event: str, trial: int, **facts: Any) -> None:
        self.events.append({"event": event, "trial": trial, "ran": ran, **facts})

    def started(self, ran: float, trial: int, from_images: int = 0, to_images: int = 100) -> None:
        if from_images == 0:
            self.add(ran, "suggested", trial, params={"backbone": ("resnet18", "resnet50")[trial % 2]}, origin="random")
        self.add(ran, "started", trial, slot=0, from_images=from_images, to_images=to_images)

    def rung(self, ran: float, trial: int, images: int, seconds: float) -> None:
        self.add(ran, "rung", trial, images=images, value=0.6, seconds=seconds, metrics={"gpus": self.gpus})

    def phase(self, name: str, seconds: float, gpu_seconds: float) -> None:
        self.events.append({"event": "phase", "name": name, "seconds": seconds, "gpu_seconds": gpu_seconds, "ran": 100.0})

    def stopped(self, ran: float, trial: int, reason: str) -> None:
        self.add(ran, "stopped", trial, reason=reason, message="")


def told(gpus: float, unit_seconds: float = 1.0) -> Told:
    """One trial to the top in 10 + 20 units, with a loss of 5; a divergence after 8, a killed driver after 7, judging of 6."""
    told, one = Told(gpus), unit_seconds
    told.started(0.0, 0)
    told.rung(10.0 * one, 0, 100, 10.0 * one)
    told.started(10.0 * one, 0, 100, 300)
    told.stopped(15.0 * one, 0, "lost")
    told.add(15.0 * one, "started", 0, slot=0, from_images=100, to_images=300)
    told.rung(35.0 * one, 0, 300, 20.0 * one)
    told.add(35.0 * one, "ended", 0, outcome="completed", images=300, message="")
    told.started(40.0 * one, 1)
    told.add(48.0 * one, "ended", 1, outcome="diverged", images=60, message="nan")
    told.started(50.0 * one, 2)
    told.rung(60.0 * one, 2, 100, 10.0 * one)
    told.stopped(60.0 * one, 2, "paused")
    told.started(60.0 * one, 3)
    told.add(67.0 * one, "suggested", 4, params={}, origin="random")  # the last that was heard of this driver
    told.events.append({"event": "budget", "num_trials": None, "ran": 0.0})
    told.stopped(0.0, 3, "restart")
    return told


def bars(figure: Figure) -> dict[str, dict[str, float]]:
    """What came of it → row → amount, rows of 0 left out."""
    return {
        trace["name"]: {row: pytest.approx(amount) for row, amount in zip(trace["y"], trace["x"], strict=True) if amount}
        for trace in figure.traces
    }


@pytest.fixture
def on_cpu(tmp_path: Path) -> PageContent:
    return content_of(RunLayout(tmp_path), told(gpus=0.0).events)


@pytest.fixture
def on_gpu(tmp_path: Path) -> PageContent:
    """Half a GPU for each trial; its units are 72 s, so that each is 0.01 GPU hours; fresh trainings and judging take 0.2."""
    story = told(gpus=0.5, unit_seconds=72.0)
    story.phase("retraining", 0.0, gpu_seconds=540.0)
    story.phase("judging", 180.0, gpu_seconds=180.0)
    return content_of(RunLayout(tmp_path), story.events)


def test_pieces_without_a_rung_are_in_vain_whoever_ended_them(on_cpu: PageContent) -> None:
    minutes = {use: amount * 60 for use, amount in spent_by_use(on_cpu.study).items()}
    assert minutes == pytest.approx({"completed": 30.0, "paused": 10.0, "in vain": 20.0})
    assert spending_sentence(on_cpu) == (
        "1 slot minutes: 50 % to trials that reached the full budget, 17 % to trials that were stopped early. "
        "Waste is 0.333 slot minutes (33 %): all training of trials that ended badly, "
        "and pieces of others that were lost or stopped before a rung."
    )


def test_trials_that_go_on_are_told_of(on_cpu: PageContent) -> None:
    rung = {"event": "rung", "trial": 3, "images": 100, "value": 0.5, "seconds": 40.0, "metrics": {}, "ran": 41.0}
    start = {"event": "started", "trial": 3, "slot": 0, "from_images": 0, "to_images": 100, "ran": 1.0}
    on_cpu.study.apply(start)
    on_cpu.study.apply(rung)
    assert "40 % to trials that run or wait for a slot" in spending_sentence(on_cpu)


def test_gpu_hours_are_shown_by_outcome_rung_and_backbone_with_the_waste_apart(on_gpu: PageContent) -> None:
    outcome, rung, backbone = spending_figures(on_gpu)
    assert [figure.layout["xaxis"]["title"]["text"] for figure in (outcome, rung, backbone)] == [
        "GPU hours",
        "GPU hours",
        "GPU hours of the search",
    ]
    assert bars(outcome) == {
        "completed": {"completed": 0.3},
        "paused": {"paused": 0.1},
        "in vain": {"completed": 0.05, "diverged": 0.08, "waiting": 0.07},
        "after the search": {"after the search": 0.2},
    }
    assert bars(rung) == {
        "completed": {"rung 1": 0.1, "rung 2": 0.2},
        "paused": {"rung 1": 0.1},
        "in vain": {"rung 1": 0.15, "rung 2": 0.05},
        "after the search": {"after the search": 0.2},
    }
    assert bars(backbone) == {
        "completed": {"resnet18": 0.3},
        "paused": {"resnet18": 0.1},
        "in vain": {"resnet18": 0.05, "resnet50": 0.15},
    }


def test_bars_hold_all_gpu_hours_of_the_study(on_gpu: PageContent) -> None:
    assert gpu_hours(on_gpu.study) == pytest.approx(0.8)
    for figure in spending_figures(on_gpu)[:2]:
        assert sum(sum(trace["x"]) for trace in figure.traces) == pytest.approx(0.8)
    assert sum(spent_by_use(on_gpu.study).values()) == pytest.approx(0.8)


def test_the_page_says_what_its_gpu_hours_are_and_defines_waste(on_gpu: PageContent) -> None:
    page = render_page(on_gpu)
    assert "0.8 GPU hours: 38 % to trials that reached the full budget, 12 % to trials that were stopped early" in page
    assert "25 % to what came after the search (retraining, judging)" in page
    assert "Waste is 0.2 GPU hours (25 %): all training of trials that ended badly, and pieces of others that were lost" in page
    assert "the share of a GPU that a slot has" in page
    assert "slot minutes" not in page


def test_without_a_gpu_the_unit_is_time_on_slots(tmp_path: Path, on_cpu: PageContent) -> None:
    assert spending_figures(on_cpu)[1].layout["xaxis"]["title"]["text"] == "Slot minutes"
    assert spending_caption(on_cpu.study).startswith("No GPU was used: the wall time of each slot;")
    story = told(gpus=0.0, unit_seconds=360.0)
    story.phase("searching", 3000.0, gpu_seconds=0.0)
    story.phase("retraining", 3600.0, gpu_seconds=0.0)
    longer = content_of(RunLayout(tmp_path), story.events)
    assert spending_figures(longer)[1].layout["xaxis"]["title"]["text"] == "Slot hours"
    assert spent_by_use(longer.study) == pytest.approx(
        {"completed": 3.0, "paused": 1.0, "in vain": 2.0, "after the search": 1.0}
    )


def test_pieces_in_vain_stand_at_the_rung_that_they_were_for(on_cpu: PageContent) -> None:
    by_rung = bars(spending_figures(on_cpu)[1])
    assert by_rung["in vain"] == {"rung 1": pytest.approx(15 / 60), "rung 2": pytest.approx(5 / 60)}
    assert by_rung["completed"] == {"rung 1": pytest.approx(10 / 60), "rung 2": pytest.approx(20 / 60)}


def test_a_study_in_which_all_was_in_vain_still_shows_it(tmp_path: Path) -> None:
    story = Told(gpus=1.0)
    story.started(0.0, 0)
    story.add(3600.0, "ended", 0, outcome="failed", images=0, message="")
    content = content_of(RunLayout(tmp_path), story.events)
    assert spending_sentence(content).startswith("1 GPU hours were spent. Waste is 1 GPU hours (100 %)")
    assert 'id="budget"' in render_page(content)
