"""Where a result comes from."""

import shlex

import pytest

from hpsearch.report.provenance import command


@pytest.mark.parametrize(
    ("program", "shown"), [("/x/hpsearch/run.py", ["python", "-m", "hpsearch.run"]), ("/usr/bin/hpsearch", ["hpsearch"])]
)
def test_the_command_can_be_pasted_into_a_shell(program: str, shown: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--data", "my faces", "--out", "s3://bucket/a?region=x&b=1", "--set", "fixed.note=it's"]
    monkeypatch.setattr("sys.argv", [program, *words])
    assert shlex.split(command()) == [*shown, *words]
    assert command().startswith(" ".join(shown) + " --data 'my faces'")
