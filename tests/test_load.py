"""`hpsearch.load`: a detector in two lines, from a run or its export."""

from pathlib import Path

import numpy as np
import pytest

import hpsearch
from hpsearch.errors import InputError
from hpsearch.object_store import ObjectStore
from hpsearch.run_files import MirroredFiles
from tests.exported import make_export
from tests.s3_server import BUCKET, address, s3_server
from tests.small_set import write_images


def test_a_run_directory_and_its_export_give_the_same_detector(tmp_path: Path) -> None:
    make_export(tmp_path / "run" / "best")
    (name,) = write_images(tmp_path / "images", 1, 40, np.random.default_rng(0))
    image = tmp_path / "images" / name
    probability = hpsearch.load(tmp_path / "run").score(image)
    assert 0 < probability < 1
    for export in (tmp_path / "run" / "best", tmp_path / "run" / "best" / "model.json"):
        assert hpsearch.load(str(export)).score(str(image)) == probability


def test_a_run_on_an_object_store_and_its_export_give_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    make_export(tmp_path / "run" / "best")
    (tmp_path / "run" / "report.html").touch()
    (name,) = write_images(tmp_path / "images", 1, 40, np.random.default_rng(0))
    probability = hpsearch.load(tmp_path / "run").score(tmp_path / "images" / name)
    with s3_server() as server:
        run, empty = address(server, f"{BUCKET}/runs/faces"), address(server, f"{BUCKET}/runs/none")
        MirroredFiles(ObjectStore(run), tmp_path / "run").send_below(tmp_path / "run")
        for given in (run, run.replace("faces?", "faces/best?")):
            assert hpsearch.load(given).score(tmp_path / "images" / name) == probability
        with pytest.raises(InputError, match=r"s3://studies/runs/none: no model\.json there, nor below best/"):
            hpsearch.load(empty)
    assert not list((tmp_path / "cache").rglob("report.html"))


def test_a_folder_without_an_export_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no model\.json there"):
        hpsearch.load(tmp_path)
