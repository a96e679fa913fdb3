"""The model card: its numbers, and its code as a reader would run it."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hpsearch.final.model_card import write_model_card
from hpsearch.final.onnx_file import OnnxCheck, write_onnx
from hpsearch.judge.scores import split_result
from tests.exported import make_export
from tests.small_set import write_images


def card(directory: Path, name: str = "faces", onnx: OnnxCheck | None = None, **changes: str | float) -> str:
    description = make_export(directory, **changes)
    scores = split_result(np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.4, 0.9]), note="chosen on them")
    write_model_card(directory, description, scores={"validation": scores}, onnx=onnx, name=name)
    return (directory / "README.md").read_text()


def test_scores_stand_with_their_interval_note_and_majority(tmp_path: Path) -> None:
    text = card(tmp_path)
    assert "on 4 validation images" in text
    assert re.search(r"AUC \| 0\.7500 \(95 % interval 0\.\d{4} to 0\.\d{4}\)", text)
    assert "accuracy at 0.5 | 50.0 %; always the larger class: 50.0 %" in text
    assert "Note: chosen on them." in text
    assert "onnxruntime" not in text


def test_a_hostile_name_cannot_become_markup(tmp_path: Path) -> None:
    assert "<script>" not in card(tmp_path, name="<script>alert(1)</script>")


@pytest.mark.slow
def test_its_two_ways_of_use_give_the_same_probability(tmp_path: Path) -> None:
    write_images(tmp_path / "images", 2, 40, np.random.default_rng(0))
    image = next((tmp_path / "images").iterdir()).rename(tmp_path / "face.jpg")
    make_export(tmp_path)
    check = write_onnx(tmp_path, [str(image)])
    kept = (tmp_path / "model.onnx").read_bytes()
    text = card(tmp_path, onnx=check)
    (tmp_path / "model.onnx").write_bytes(kept)
    said = []
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
        said.append(float(done.stdout.strip().strip("[]")))
    assert len(said) == 2
    assert said[0] == pytest.approx(said[1], abs=1e-3)
