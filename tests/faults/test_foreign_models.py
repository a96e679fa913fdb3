"""An export from somebody else: no code of it runs, and whatever is wrong with it ends in one message."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hpsearch
from hpsearch.errors import HpsearchError, InputError
from tests.exported import make_export
from tests.faults.ledger import ledger

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("foreign")
    make_export(directory, augment__hflip__p=0.5)
    return directory


def described(directory: Path) -> Any:
    return json.loads((directory / "model.json").read_text())


def test_a_module_that_an_export_names_is_not_imported_unless_the_user_names_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_export(tmp_path)
    (tmp_path / "evil_plugin.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps({**described(tmp_path), "plugins": ["evil_plugin"]}))
    with pytest.raises(InputError, match=r"needs the Python module 'evil_plugin', which was not named.*--plugin evil_plugin"):
        hpsearch.load(tmp_path, "cpu")
    assert not (tmp_path / "ran").exists()
    assert "evil_plugin" not in sys.modules


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.99])
def test_a_file_that_was_cut_is_refused_by_name(tmp_path: Path, name: str, part: float) -> None:
    make_export(tmp_path)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        hpsearch.load(tmp_path, "cpu")


def test_pickled_weights_are_refused_unread(tmp_path: Path) -> None:
    make_export(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"cbuiltins\nexec\n(S'raise SystemExit(3)'\ntR.")
    with pytest.raises(InputError, match=r"model\.safetensors: cannot be loaded"):
        hpsearch.load(tmp_path, "cpu")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    field=st.sampled_from(["params", "members", "stored_px", "plugins", "format", "num_parameters", "versions", "views"]),
    value=PLAIN,
)
def test_any_value_in_a_description_is_taken_or_refused(export: Path, field: str, value: Any) -> None:
    taken_or_refused(export, {**described(export), field: value})


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(
        ["backbone", "image_px", "se_reduction", "augment.hflip.p", "augment.crop.mode", "augment", "drop_path"]
    )
    | st.text(max_size=12),
    value=PLAIN,
)
def test_any_parameter_in_a_description_is_taken_or_refused(export: Path, name: str, value: Any) -> None:
    description = described(export)
    taken_or_refused(export, {**description, "params": {**description["params"], name: value}})


def taken_or_refused(export: Path, content: Any) -> None:
    ledger.tried("a model.json changed at random")
    whole = (export / "model.json").read_text()
    try:
        (export / "model.json").write_text(json.dumps(content))
        hpsearch.load(export, "cpu")
    except HpsearchError:
        pass
    finally:
        (export / "model.json").write_text(whole)
