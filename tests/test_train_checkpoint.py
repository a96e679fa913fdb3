from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from torch import nn

from hpsearch.train.checkpoint import read_checkpoint, write_checkpoint


def test_state_comes_back(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "3" / "c.pt", "me", {"step": 7, "tensor": torch.arange(3)})
    state = read_checkpoint(tmp_path / "3" / "c.pt", "me")
    assert state is not None
    assert state["step"] == 7
    assert torch.equal(state["tensor"], torch.arange(3))


def test_nothing_is_there_before_the_first_write(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path / "c.pt", "me") is None


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_checkpoint(tmp_path / "c.pt", "me", {"step": 1})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match=rf"No space left on device: '{tmp_path / 'c.pt'}'"):
        write_checkpoint(tmp_path / "c.pt", "me", {"step": 2})
    assert [file.name for file in tmp_path.iterdir()] == ["c.pt"]
    state = read_checkpoint(tmp_path / "c.pt", "me")
    assert state == {"step": 1}


@pytest.mark.parametrize("keep", [0, 100, 700])
def test_a_file_that_is_cut_short_is_left_aside_with_a_warning(
    tmp_path: Path, keep: int, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "c.pt"
    write_checkpoint(file, "me", {"tensor": torch.zeros(100)})
    file.write_bytes(file.read_bytes()[:keep])
    with caplog.at_level(logging.WARNING):
        assert read_checkpoint(file, "me") is None
    assert f"{file} is not used, the trial begins anew: it is damaged" in caplog.text


def test_a_file_that_would_run_code_is_left_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.save({"format": 1, "identity": "me", "state": {"network": nn.Linear(1, 1)}}, tmp_path / "c.pt")
    assert read_checkpoint(tmp_path / "c.pt", "me") is None
    assert "is damaged" in caplog.text


def test_a_checkpoint_of_another_trial_is_left_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_checkpoint(tmp_path / "c.pt", "somebody else", {"step": 1})
    assert read_checkpoint(tmp_path / "c.pt", "me") is None
    assert "belongs to another configuration" in caplog.text
