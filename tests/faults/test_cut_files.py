"""Files of a run that are cut anywhere: what is whole is used, what is not is named or made again, nothing is invented."""

import io
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

import hpsearch
from hpsearch.data.cache import ImageCache, open_or_build
from hpsearch.errors import InputError, StorageError
from hpsearch.job.last_words import what_came_of_it
from hpsearch.layout import RunLayout
from hpsearch.report.moment import BudgetUse, moment_of
from hpsearch.report.panels import status_group
from hpsearch.report.rebuild import content_of, run_events, write_page
from hpsearch.report.result import read_result
from hpsearch.search.engine import Engine
from hpsearch.search.journal import Journal, read_events
from hpsearch.search.simulator import simulate
from hpsearch.search.space import Space
from hpsearch.search.types import EngineConfig
from hpsearch.train.checkpoint import read_checkpoint, write_checkpoint
from tests.exported import make_export
from tests.faults.ledger import ledger
from tests.report_studies import make_run

EXAMPLES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SHARES = st.floats(0, 1, exclude_max=True)
"""Of a file's bytes that are left."""
IMAGES_NHWC = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)


def cut(file: Path, whole: bytes, share: float) -> None:
    ledger.tried("a journal, checkpoint, image cache or model file is cut")
    file.write_bytes(whole[: int(len(whole) * share)])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cut")


@pytest.fixture(scope="module")
def journal(root: Path) -> bytes:
    """Of a whole study."""
    with_events = Journal(root / "whole.jsonl")
    continued(with_events)
    with_events.close()
    return (root / "whole.jsonl").read_bytes()


def continued(journal: Journal) -> Engine:
    """The study of `journal`, to its end."""
    config = EngineConfig(rungs=(1, 3), sampler="random", num_trials=9)
    engine = Engine.open(Space.from_dict({"x": {"low": 0.0, "high": 1.0}}), config, journal)
    simulate(engine, lambda params, images: float(params["x"]), num_workers=2)
    return engine


@EXAMPLES
@given(share=SHARES)
def test_a_study_goes_on_from_what_is_whole_of_its_journal(root: Path, journal: bytes, share: float) -> None:
    file = root / "cut.jsonl"
    cut(file, journal, share)
    kept = file.read_bytes().count(b"\n")
    opened = Journal(file)
    assert opened.events == read_events(root / "whole.jsonl")[:kept]
    assert len(continued(opened).study.trials) == 9
    opened.close()


@EXAMPLES
@given(data=st.data())
def test_a_journal_with_a_spoiled_event_is_used_or_refused_by_its_line(root: Path, journal: bytes, data: st.DataObject) -> None:
    ledger.tried("an event of a journal is spoiled")
    layout = RunLayout(root / "spoiled")
    layout.root.mkdir(exist_ok=True)
    lines = journal.splitlines()
    number = data.draw(st.integers(0, len(lines) - 1))
    event = json.loads(lines[number])
    field = data.draw(st.sampled_from(sorted(event)))
    event[field] = data.draw(st.sampled_from([None, "x", [], {}, -1, 10**400, math.nan, 2.5, [[]], {"x": []}]))
    if event[field] is None:
        del event[field]
    lines[number] = json.dumps(event).encode()
    layout.journal.write_bytes(b"\n".join(lines) + b"\n")
    told = ""
    try:
        moment = moment_of(content_of(layout, run_events(layout)).study, budget=BudgetUse(seconds=1.0))
        Console(file=io.StringIO()).print(status_group("spoiled", "interrupted", moment))
    except (StorageError, InputError) as error:
        told = str(error)
    assert not told or re.search(r"journal\.jsonl:\d+: |journal version|has not begun", told)


@pytest.fixture(scope="module")
def whole_run(root: Path) -> RunLayout:
    """With all that the page tells of."""
    return make_run(root / "run", 4)


@EXAMPLES
@given(data=st.data(), name=st.sampled_from(["result.json", "audit.json"]))
def test_a_summary_with_a_spoiled_value_is_used_or_refused_by_its_name(
    whole_run: RunLayout, data: st.DataObject, name: str
) -> None:
    file = whole_run.root / name
    whole = file.read_bytes()
    content = json.loads(whole)
    place: Any = content
    key = data.draw(st.sampled_from(sorted(place)))
    while place[key] and isinstance(place[key], dict | list) and data.draw(st.booleans()):
        place = place[key]
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
    place[key] = data.draw(st.sampled_from([None, "x", [], {}, -1, 10**400, math.nan, 2.5, [[]], {"x": []}]))
    if place[key] is None and data.draw(st.booleans()):
        del place[key]
    ledger.tried("a value of a result or audit is spoiled")
    file.write_text(json.dumps(content))
    told = ""
    try:
        result = read_result(whole_run)
        assert result is not None
        what_came_of_it(whole_run, result)
        write_page(whole_run, content_of(whole_run, run_events(whole_run)))
    except InputError as error:
        told = str(error)
    finally:
        file.write_bytes(whole)
    assert not told or name in told


@EXAMPLES
@given(share=SHARES)
def test_a_trial_begins_anew_without_what_is_left_of_its_checkpoint(root: Path, share: float) -> None:
    file = root / "trials" / "0" / "checkpoint.pt"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_checkpoint(file, "me", {"weights": torch.arange(5_000.0)})
    cut(file, file.read_bytes(), share)
    assert read_checkpoint(file, "me") is None


@EXAMPLES
@given(share=SHARES, name=st.sampled_from(["pixels.u8", "state.u8", "index.json"]))
def test_images_are_decoded_again_where_their_cache_is_cut(root: Path, share: float, name: str) -> None:
    file = opened(root).directory / name
    cut(file, file.read_bytes(), share)
    assert np.array_equal(opened(root).images_nhwc, IMAGES_NHWC)


def opened(root: Path) -> ImageCache:
    """The cache of `IMAGES_NHWC`."""
    paths = [root / f"{number}.png" for number in range(len(IMAGES_NHWC))]
    for path, image_hwc in zip(paths, IMAGES_NHWC, strict=True):
        if not path.exists():
            Image.fromarray(image_hwc).save(path)
    names = [str(path) for path in paths]
    return open_or_build(names, px=16, cache_dir=root / "cache", num_workers=1, max_unreadable_fraction=0.0)


@EXAMPLES
@given(share=SHARES, name=st.sampled_from(["model.json", "model.safetensors"]))
def test_a_model_is_refused_by_the_name_of_its_cut_file(root: Path, share: float, name: str) -> None:
    export = root / "best"
    if not export.is_dir():
        export.mkdir()
        make_export(export)
    whole = (export / name).read_bytes().rstrip(b"\n")
    cut(export / name, whole, share)
    try:
        with pytest.raises(InputError, match=name.replace(".", r"\.")):
            hpsearch.load(export, "cpu")
    finally:
        (export / name).write_bytes(whole)
