"""Views are written again from the journal, of finished runs and of those that still go on, by the command line too."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from hpsearch import status
from hpsearch.report.__main__ import main
from hpsearch.report.rebuild import rebuild, run_events
from hpsearch.search.fold import fold
from tests.report_studies import make_run


def test_rebuild_writes_table_page_and_tensorboard_events(tmp_path: Path) -> None:
    layout = make_run(tmp_path / "run", 8)
    rebuild(layout.root)
    trials = fold(run_events(layout)).trials
    assert len(pd.read_csv(layout.trials_csv)) == len(trials) == 8
    assert "hpsearch" in layout.page.read_text()
    with_events = {file.parent.name for file in layout.trials.glob("*/*.tfevents.*")}
    assert with_events == {*(str(number) for number in trials), "study"}
    assert len(list(layout.retrain.glob("trial-*/*.tfevents.*"))) == 1


def test_rebuild_leaves_tensorboard_to_a_driver_that_works_on_the_run(tmp_path: Path) -> None:
    layout = make_run(tmp_path / "run", 8, stop_after=4)
    hold = f"from pathlib import Path; from hpsearch.search.journal import Journal; j = Journal(Path({str(layout.journal)!r}))"
    code = f"{hold}; print('held', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as driver:
        assert driver.stdin is not None
        assert driver.stdout is not None
        assert driver.stdout.readline() == b"held\n"
        content = rebuild(layout.root)
        driver.stdin.close()
    assert content.status == "running"
    assert list(layout.trials.glob("*/*.tfevents.*")) == []


def test_rebuild_shows_a_study_whose_driver_was_killed_in_the_middle_of_a_line(tmp_path: Path) -> None:
    layout = make_run(tmp_path / "run", 8, stop_after=4)
    with layout.journal.open("a") as stream:
        stream.write('{"event": "rung", "tri')
    content = rebuild(layout.root)
    assert content.summary.counts["running"] == 1
    assert content.status == "interrupted"
    assert "This run was interrupted; its last event is of" in layout.page.read_text()


def test_rebuild_twice_gives_the_same_table(tmp_path: Path) -> None:
    layout = make_run(tmp_path / "run", 8)
    rebuild(layout.root)
    first = layout.trials_csv.read_text()
    rebuild(layout.root)
    assert layout.trials_csv.read_text() == first


def test_command_prints_where_the_pages_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = make_run(tmp_path / "one", 4), make_run(tmp_path / "two", 4, seed=4)
    assert main([str(one.root), str(two.root)]) == 0
    assert capsys.readouterr().out.split() == [str(one.page), str(two.page), str(tmp_path / "comparison.html")]
    assert "hpsearch comparison" in (tmp_path / "comparison.html").read_text()


def test_comparison_goes_where_it_is_told_to(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name / "run", 4) for name in ("a", "b")]
    assert main([*(str(run.root) for run in runs), "--out", str(tmp_path / "both.html")]) == 0
    assert "run (1), run (2)" in (tmp_path / "both.html").read_text()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("runs/missing", r"runs/missing is no directory\. Give the directory of a run, for example .*runs/here"),
        ("runs", r"runs is no run directory: it has no journal\.jsonl\. Give the directory of a run, for example .*runs/here"),
        ("runs/empty", r"runs/empty is no run directory"),
        ("runs/unbegun", r"its study has not begun"),
    ],
)
def test_a_directory_that_is_no_run_ends_with_2_and_says_what_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: str, message: str
) -> None:
    make_run(tmp_path / "runs" / "here", 4)
    (tmp_path / "runs" / "empty").mkdir()
    (tmp_path / "runs" / "unbegun").mkdir()
    (tmp_path / "runs" / "unbegun" / "journal.jsonl").write_text("")
    assert main([str(tmp_path / given)]) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert re.search(message, error)


def test_broken_config_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layout = make_run(tmp_path / "run", 4)
    layout.config.write_text("a: [")
    assert main([str(layout.root)]) == 2
    assert "config.yaml is not valid YAML" in capsys.readouterr().err


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, hpsearch.report.__main__ as m; m.parser().format_help(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "ray", "pandas", "numpy", "plotly", "tensorboard"} & set(loaded)


def test_a_place_for_a_comparison_of_one_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layout = make_run(tmp_path / "run", 4)
    assert main([str(layout.root), "--out", str(tmp_path / "one.html")]) == 2
    assert "the page that compares runs needs several" in capsys.readouterr().err


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.yaml", DEEP.encode()),
        ("config.yaml", b"config: " + b"9" * 5_000),
        ("config.yaml", b"config: 2024-13-45"),
        ("config.yaml", b"\xff"),
        ("result.json", DEEP.encode()),
        ("result.json", b"9" * 5_000),
    ],
)
@pytest.mark.parametrize("command", [main, status.main], ids=["report", "status"])
def test_a_file_of_a_run_that_nobody_can_read_is_named_without_a_traceback(
    command: Callable[[], int],
    name: str,
    content: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    layout = make_run(tmp_path / "run", 4)
    (layout.root / name).write_bytes(content)
    monkeypatch.setattr(sys, "argv", ["hpsearch", str(layout.root)])
    assert command() == 2
    said = capsys.readouterr().err
    assert f"{layout.root / name}" in said
    assert len(said) < 1_000
