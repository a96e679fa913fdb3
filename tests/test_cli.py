import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest

from hpsearch import __main__ as entry
from hpsearch import cli
from hpsearch.cli import Parser, find_space, guarded
from hpsearch.errors import ClusterError, InputError


def test_a_mistyped_option_names_the_nearest() -> None:
    options = Parser(prog="p")
    options.add_argument("--trials")
    with pytest.raises(InputError, match=r"--trails 3; did you mean '--trials'\?"):
        options.parse_args(["--trails", "3"])


@pytest.mark.parametrize(("given", "rule"), [(["--minutes", "soon"], "a number"), (["--trials", "2.5"], "a whole number")])
def test_a_value_that_is_no_number_is_told_from_what_is_needed(given: list[str], rule: str) -> None:
    options = Parser(prog="p")
    options.add_argument("--minutes", type=float)
    options.add_argument("--trials", type=int)
    with pytest.raises(InputError, match=f"argument {given[0]}: {rule} is needed, not '{given[1]}'"):
        options.parse_args(given)


def test_an_expected_error_becomes_one_line_and_its_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    def fails(argv: list[str]) -> int:
        raise ClusterError("no GPU")

    assert guarded(fails, []) == 4
    assert capsys.readouterr().err == "hpsearch: no GPU\n"


def test_with_json_lines_an_expected_error_is_one(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(argv: list[str]) -> int:
        cli.use_json_lines()
        raise ClusterError("no GPU")

    monkeypatch.setattr(cli, "_json_lines", False)
    assert guarded(fails, []) == 4
    told = json.loads(capsys.readouterr().err)
    assert (told["kind"], told["text"]) == ("error", "no GPU")


def test_ctrl_c_ends_with_130() -> None:
    def interrupted(argv: list[str]) -> int:
        raise KeyboardInterrupt

    assert guarded(interrupted, []) == 130


def test_a_full_disk_ends_with_4_and_the_path(capsys: pytest.CaptureFixture[str]) -> None:
    def full(argv: list[str]) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", "/runs/a/trials.csv")

    assert guarded(full, []) == 4
    assert "cannot write or read /runs/a/trials.csv: No space left" in capsys.readouterr().err


def test_a_path_that_no_file_system_takes_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(lambda argv: int(Path(argv[0]).exists()), ["x" * 5000]) == 2
    said = capsys.readouterr().err
    assert "too long for the name of a file" in said
    assert len(said) < 200


def test_a_mistake_of_the_program_is_not_taken_for_the_disk() -> None:
    def mistaken(argv: list[str]) -> int:
        raise FileNotFoundError(errno.ENOENT, "No such file", "x")

    with pytest.raises(FileNotFoundError):
        guarded(mistaken, [])


def test_a_space_is_found_by_path_and_by_the_name_of_a_shipped_one(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("lr: {low: 1, high: 2}\n")
    assert find_space(str(own)) == own
    assert find_space("quickstart").name == "quickstart.yaml"
    with pytest.raises(InputError, match="did you mean 'quickstart'"):
        find_space("quikstart")


def test_an_unknown_command_names_the_nearest(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["hpsearch", "rum"])
    assert entry.main() == 2
    assert "did you mean 'run'" in capsys.readouterr().err


def test_importing_the_package_loads_neither_torch_nor_ray() -> None:
    code = "import sys, hpsearch; sys.exit(any(name in sys.modules for name in ('torch', 'ray', 'optuna', 'timm')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("command", entry.COMMANDS)
def test_help_loads_nothing_heavy(command: str) -> None:
    module = f"hpsearch.{command}"
    shown = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", module, "--help"], capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0
    assert "usage:" in shown.stdout
    loaded = {line.rpartition("|")[2].strip() for line in shown.stderr.splitlines()}
    # The benchmark lists its samplers, which load optuna: 0.1 s.
    heavy = {"torch", "ray", "timm", "pandas", "sklearn", "plotly"} | (set() if command == "bench" else {"optuna"})
    assert not loaded & heavy


@pytest.mark.parametrize(("ends", "code"), [("return 3", 3), ("sys.exit(4)", 4), ("sys.exit('no')", 1), ("1 / 0", 1)])
def test_a_command_that_used_ray_ends_with_its_code_whatever_its_libraries_do(ends: str, code: int) -> None:
    program = f"""
import atexit, ctypes, sys
from hpsearch.cli import leave

def main():
    sys.modules["ray"] = sys
    libc = ctypes.CDLL(None)
    libc.__cxa_atexit(ctypes.cast(libc.abort, ctypes.c_void_p), None, None)
    atexit.register(print, "cleaned up")
    print("done")
    {ends}

leave(main)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == code
    assert ended.stdout == "done\ncleaned up\n"
