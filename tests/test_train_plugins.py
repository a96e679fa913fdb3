from __future__ import annotations

from pathlib import Path

import pytest

from hpsearch.errors import InputError
from hpsearch.model import backbones
from hpsearch.model.backbones import family, registered_backbones
from hpsearch.train.plugins import import_plugins
from hpsearch.train.vocabulary import TrainVocabulary

BACKBONE = """
from torch import nn
from hpsearch.model.backbones import register_backbone

def build(spec):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * spec.image_px ** 2, 2))

register_backbone("{name}", build, family="convnext")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(backbones, "_plugins", {})
    backbones._counted.cache_clear()
    return tmp_path


def test_a_plugin_adds_its_backbone_to_the_vocabulary(folder: Path) -> None:
    (folder / "plugin_backbone.py").write_text(BACKBONE.format(name="flat"))
    import_plugins(["plugin_backbone"])
    assert family("flat") == "convnext"
    assert TrainVocabulary().num_parameters({"backbone": "flat", "image_px": 32}) == 3 * 32 * 32 * 2 + 2


def test_a_plugin_that_is_imported_already_is_left_as_it_is(folder: Path) -> None:
    (folder / "plugin_twice.py").write_text(BACKBONE.format(name="flat_twice"))
    import_plugins(["plugin_twice"])
    import_plugins(["plugin_twice"])
    assert "flat_twice" in registered_backbones()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("plugin_nowhere", None, r"'plugin_nowhere': no such Python module.*PYTHONPATH"),
        ("plugin_package.inner", None, r"'plugin_package\.inner': no such Python module"),
        ("plugin_idle", "x = 1", "'plugin_idle' registers nothing. Call hpsearch.model.backbones.register_backbone"),
        ("plugin_needs", "import no_such_library", "'plugin_needs' needs 'no_such_library', which is not installed"),
        ("plugin_broken", "1 / 0", "'plugin_broken' fails on import: ZeroDivisionError"),
        ("plugin_taken", BACKBONE.format(name="resnet18"), "'resnet18' is already a name of timm"),
    ],
)
def test_a_plugin_that_does_not_work_is_wrong_input_every_time(
    folder: Path, name: str, content: str | None, message: str
) -> None:
    if content is not None:
        (folder / f"{name}.py").write_text(content)
    for _ in range(2):
        with pytest.raises(InputError, match=message):
            import_plugins([name])
