"""One trial of a run that may come from somebody else."""

import contextlib
import dataclasses
import sys
from pathlib import Path

import pytest

from hpsearch import trial
from hpsearch.config import DataConfig, RunConfig
from hpsearch.errors import InputError
from hpsearch.job.inputs import read_inputs
from hpsearch.job.record import write_config
from hpsearch.layout import RunLayout
from hpsearch.search.engine import Engine
from hpsearch.search.journal import Journal
from hpsearch.search.types import EngineConfig
from tests.small_set import SPACE, make_competition


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of one trial whose configuration names a module that lies beside it."""
    (tmp_path / "space.yaml").write_text(SPACE)
    data = DataConfig(source=str(make_competition(tmp_path / "data")), cache_dir=str(tmp_path / "cache"))
    inputs = read_inputs(RunConfig(data=data, space=str(tmp_path / "space.yaml")), {})
    layout = RunLayout(tmp_path / "run")
    layout.root.mkdir()
    with contextlib.closing(Journal(layout.journal)) as journal:
        config = EngineConfig(rungs=inputs.rungs, sampler="random", num_trials=1)
        Engine.open(inputs.space, config, journal, identity={"data.fingerprint": inputs.dataset.fingerprint}).next(0)
    write_config(layout, dataclasses.replace(inputs, config=dataclasses.replace(inputs.config, plugins=("foreign_plugin",))))
    (tmp_path / "foreign_plugin.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    return layout.root


def test_a_module_that_a_run_names_is_not_imported_unless_the_user_names_it_too(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(run.parent)
    words = ["--from", str(run), "--trial", "0"]
    with pytest.raises(InputError, match=r"config\.yaml: .*'foreign_plugin', which was not named.* --set 'plugins="):
        trial.command(words)
    assert not (run.parent / "ran").exists()
    assert "foreign_plugin" not in sys.modules
    with pytest.raises(InputError, match="'foreign_plugin' registers nothing"):
        trial.command([*words, "--set", "plugins=[foreign_plugin]"])
    assert (run.parent / "ran").exists()


def test_a_run_is_replayed_without_its_module_where_the_user_leaves_it_out(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(run.parent)
    shown = ["--show", str(run.parent / "shown.png"), "--set", "plugins=[]"]
    assert trial.command(["--from", str(run), "--trial", "0", *shown]) == 0
    assert (run.parent / "shown.png").is_file()
    assert not (run.parent / "ran").exists()
