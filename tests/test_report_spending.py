"""Where the training time went, counted by hand."""

from pathlib import Path
from typing import Any

import pytest

from hpsearch.layout import RunLayout
from hpsearch.report.page.content import PageContent
from hpsearch.report.page.spending import seconds_by_use, spending_figures, spending_sentence
from hpsearch.report.rebuild import content_of


class Told:
    """A journal, event by event."""

    def __init__(self) -> None:
        header = {"event": "study", "version": 1, "space": {"dimensions": {}}, "rungs": [100, 300], "eta": 3.0}
        self.events: list[dict[str, Any]] = [{**header, "ran": 0.0}]

    def add(self, ran: float, event: str, trial: int, **facts: Any) -> None:
        self.events.append({"event": event, "trial": trial, "ran": ran, **facts})

    def started(self, ran: float, trial: int, from_images: int = 0, to_images: int = 100) -> None:
        if from_images == 0:
            self.add(ran, "suggested", trial, params={}, origin="random")
        self.add(ran, "started", trial, slot=0, from_images=from_images, to_images=to_images)

    def rung(self, ran: float, trial: int, images: int, seconds: float) -> None:
        self.add(ran, "rung", trial, images=images, value=0.6, seconds=seconds, metrics={})

    def stopped(self, ran: float, trial: int, reason: str) -> None:
        self.add(ran, "stopped", trial, reason=reason, message="")


@pytest.fixture
def content(tmp_path: Path) -> PageContent:
    """One trial to the top in 10 + 20 s, with a loss of 5 s; a divergence after 8 s, a killed driver after 7 s."""
    told = Told()
    told.started(0.0, 0)
    told.rung(10.0, 0, 100, 10.0)
    told.started(10.0, 0, 100, 300)
    told.stopped(15.0, 0, "lost")
    told.add(15.0, "started", 0, slot=0, from_images=100, to_images=300)
    told.rung(35.0, 0, 300, 20.0)
    told.add(35.0, "ended", 0, outcome="completed", images=300, message="")
    told.started(40.0, 1)
    told.add(48.0, "ended", 1, outcome="diverged", images=60, message="nan")
    told.started(50.0, 2)
    told.rung(60.0, 2, 100, 10.0)
    told.stopped(60.0, 2, "paused")
    told.started(60.0, 3)
    told.add(67.0, "suggested", 4, params={}, origin="random")  # the last that was heard of this driver
    told.events.append({"event": "budget", "num_trials": None, "ran": 0.0})
    told.stopped(0.0, 3, "restart")
    return content_of(RunLayout(tmp_path), told.events)


def test_pieces_without_a_rung_are_in_vain_whoever_ended_them(content: PageContent) -> None:
    assert seconds_by_use(content.study) == {"completed": 30.0, "paused": 10.0, "waiting": 0.0, "in vain": 20.0}
    assert spending_sentence(content) == (
        "50 % of the search's training time went into trials that reached the full budget, "
        "17 % into trials that were stopped early; "
        "33 % was in vain: trials that ended badly, and pieces that were lost or stopped before a rung."
    )


def test_trials_that_go_on_are_told_of(content: PageContent) -> None:
    rung = {"event": "rung", "trial": 3, "images": 100, "value": 0.5, "seconds": 40.0, "metrics": {}, "ran": 41.0}
    start = {"event": "started", "trial": 3, "slot": 0, "from_images": 0, "to_images": 100, "ran": 1.0}
    content.study.apply(start)
    content.study.apply(rung)
    assert "40 % into trials that run or wait for a slot" in spending_sentence(content)


def test_bars_show_what_led_to_no_rung_at_the_rung_that_it_was_for(content: PageContent) -> None:
    by_rung = spending_figures(content)[0]
    minutes = {trace["name"]: dict(zip(trace["y"], trace["x"], strict=True)) for trace in by_rung.traces}
    assert minutes["diverged"] == {"rung 2": 0.0, "rung 1": pytest.approx(8 / 60)}
    assert minutes["completed"] == {"rung 2": pytest.approx(25 / 60), "rung 1": pytest.approx(10 / 60)}
    assert minutes["waiting"]["rung 1"] == pytest.approx(7 / 60)
