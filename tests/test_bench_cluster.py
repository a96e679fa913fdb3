"""The scaling benchmark counts what it says: decisions, the driver's own time, and slots in which nothing slept."""

import pytest

from hpsearch.bench.cluster_scaling import Figures, as_text, measure


@pytest.mark.slow
def test_sleeping_trials_fill_the_slots() -> None:
    figures = measure(2, seconds=1.0, rungs_per_worker=4)
    assert figures.workers == 2
    assert figures.decisions >= 8
    assert 0 < figures.driver_ms_per_decision < 1_000
    assert 0 <= figures.idle_fraction < 0.9
    # Two sleepers of a second cannot be judged more often than twice a second, and each is started at most as often.
    assert 0 < figures.decisions_per_second <= 4.5
    assert figures.journal_bytes_per_decision > 50


def test_table_has_a_row_for_each_number_of_workers() -> None:
    row = Figures(
        workers=8,
        decisions=100,
        decisions_per_second=3.5,
        driver_ms_per_decision=20.0,
        idle_fraction=0.25,
        journal_bytes_per_decision=300,
    )
    lines = as_text([row, row], 4.0).splitlines()
    assert lines[0] == "trials sleep 4 s to each rung"
    assert lines[2].split() == ["8", "100", "3.5", "20.0", "25.0%", "300"]
    assert len(lines) == 4
