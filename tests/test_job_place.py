"""Where a run lies: what a driver on another machine finds, and what a reader sees; moto's S3 server on loopback."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from hpsearch import status
from hpsearch.config import DataConfig, RunConfig
from hpsearch.errors import InputError
from hpsearch.job.inputs import earlier_studies, read_inputs
from hpsearch.job.place import Place, is_taken, looked_at, place_of
from hpsearch.job.record import write_config
from hpsearch.job.single_trial import replayed
from hpsearch.report.__main__ import main as report
from hpsearch.run import new_name
from hpsearch.search.engine import Engine
from hpsearch.search.space import Space
from hpsearch.search.types import EngineConfig
from hpsearch.train.settings import trial_seed
from tests.s3_server import BUCKET, address, s3_server
from tests.small_set import SPACE as SMALL_SPACE
from tests.small_set import make_competition

CONFIG = EngineConfig(rungs=(10, 30), sampler="random", num_trials=3)
SPACE = Space.from_dict({"x": {"low": 0.0, "high": 1.0}})


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadedMotoServer]:
    with s3_server() as server:
        yield server


@pytest.fixture
def out(server: ThreadedMotoServer, tmp_path: Path) -> str:
    return address(server, f"{BUCKET}/{tmp_path.name}")


def place(out: str, machine: Path) -> Place:
    return place_of(RunConfig(out=out, name="study", data=DataConfig(cache_dir=str(machine))))


def drive(place: Place) -> None:
    """Begins the study, or goes on with it, by one trial."""
    with closing(place.open_journal()) as journal:
        engine = Engine.open(SPACE, CONFIG, journal)
        stretch = engine.next(0)
        assert stretch is not None
        engine.report(stretch.trial, 10, 0.5)
        (place.layout.root / "audit.html").write_text("found nothing")
        place.files.send_below(place.layout.root)


def test_directory_is_itself(tmp_path: Path) -> None:
    here = place_of(RunConfig(out=str(tmp_path), name="study"))
    assert here.layout.root == tmp_path / "study"
    drive(here)
    assert here.layout.journal.is_file()
    assert here.where() == ""


def test_driver_on_another_machine_finds_journal_and_files(out: str, tmp_path: Path) -> None:
    drive(place(out, tmp_path / "one"))
    other = place(out, tmp_path / "two")
    with closing(other.open_journal()) as journal:
        assert [event["event"] for event in journal.events][:2] == ["study", "budget"]
        assert (other.layout.root / "audit.html").is_file()
        assert other.is_driven()
    assert not other.is_driven()
    assert out.partition("?")[0] + "/study" in other.where()


def test_sampler_is_told_of_a_study_on_a_store_and_nothing_else_is_fetched(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run = place(out, tmp_path / "one")
    assert run.objects is not None
    drive(run)
    earlier = earlier_studies(RunConfig(warm_start=(run.objects.address,)), SPACE)
    assert {name: list(study.trials) for name, study in earlier.items()} == {out.partition("?")[0] + "/study": [0]}
    assert [file.name for file in (tmp_path / "cache").rglob("*") if file.is_file()] == ["journal.jsonl"]


def test_warm_start_from_the_run_on_the_store_itself_is_refused(out: str) -> None:
    same = f"{out.partition('?')[0]}/study/?region=eu-west-1"
    with pytest.raises(InputError, match="this is the run itself"):
        earlier_studies(RunConfig(out=out, name="study", warm_start=(same,)), SPACE)


def test_address_without_a_run_is_named(out: str) -> None:
    with pytest.raises(InputError, match=rf"{out.partition('?')[0]}: no run there, it has no journal"):
        looked_at(out)


def test_trial_of_a_run_on_a_store_is_replayed_with_its_data_and_seed(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "space.yaml").write_text(SMALL_SPACE)
    data = DataConfig(source=str(make_competition(tmp_path / "data")), cache_dir=str(tmp_path / "one"))
    inputs = read_inputs(RunConfig(data=data, space=str(tmp_path / "space.yaml"), out=out, name="study", seed=3), {})
    run = place_of(inputs.config)
    assert run.objects is not None
    with closing(run.open_journal()) as journal:
        config = EngineConfig(rungs=inputs.rungs, sampler="random", num_trials=1)
        engine = Engine.open(inputs.space, config, journal, identity={"data.fingerprint": inputs.dataset.fingerprint})
        stretch = engine.next(0)
        assert stretch is not None
        write_config(run.layout, inputs)
        run.files.send_below(run.layout.root)
    order = replayed(run.objects.address, 0, data="", seed=None, overrides=[])
    assert (order.params, order.rungs, order.seed) == (stretch.params, inputs.rungs, trial_seed(3, 0))
    assert order.journaled is not None


def test_name_that_is_taken_is_not_given_again(out: str) -> None:
    config = RunConfig(out=out, space="quickstart")
    first = new_name(config)
    assert first.endswith("-1")
    place_of(RunConfig(out=out, name=first)).objects.write("config.yaml", b"")
    assert is_taken(config, first)
    assert new_name(config) == first[:-1] + "2"


def test_reader_sees_the_study_as_it_stands(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run = place(out, tmp_path / "one")
    assert run.objects is not None
    drive(run)
    assert status.command([run.objects.address]) == 0
    shown = capsys.readouterr().out
    assert "study" in shown
    assert "interrupted" in shown
    assert report([run.objects.address]) == 0
    page = Path(capsys.readouterr().out.strip())
    assert page == looked_at(run.objects.address).layout.page
    assert page.stat().st_size > 10_000
    assert not page.is_relative_to(run.layout.root)
    journal = [json.loads(line) for line in page.with_name("journal.jsonl").read_text().splitlines()]
    assert journal[0]["event"] == "study"
