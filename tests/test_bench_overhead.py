"""What a study costs beside training."""

import json
from pathlib import Path

import pytest

from hpsearch.bench.__main__ import main
from hpsearch.bench.overhead import time_engine


def test_a_simulated_study_is_timed_whole() -> None:
    times = time_engine(num_trials=30, num_workers=4, sampler="random")
    assert times.num_events > 2 * 30
    assert times.decision_ms_median > 0
    assert times.suggestion_ms_p95 > 0
    assert times.fold_seconds > 0


def test_the_command_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--trials", "6", "--virtual-trials", "20", "--virtual-workers", "4", "--sampler", "random"]
    assert main(["overhead", *options, "--json", str(tmp_path / "o.json")]) == 0
    assert "a trial that does nothing, 2 workers, 6 trials on Ray" in capsys.readouterr().out
    written = json.loads((tmp_path / "o.json").read_text())
    assert written["trials"]["num_trials"] == 6
    assert written["trials"]["seconds_per_trial"] > 0
    assert written["engine"]["num_workers"] == 4


def test_one_trial_alone_cannot_be_timed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["overhead", "--trials", "1"]) == 2
    assert "--trials 1: must be at least 2" in capsys.readouterr().err
