"""What the command lines share: options, how an error ends them, and how a space file is found by name."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import errno
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from hpsearch.config import nearest, shortened
from hpsearch.errors import EXIT_INTERRUPTED, HpsearchError, InputError, storage_error

SPACES = Path(__file__).parent / "search_spaces"
"""Where the shipped space files lie; in a checkout a link to those at its top."""


_MESSAGE_CHARACTERS = 1_000
_NUMBERS = {"int": "a whole number", "float": "a number"}
"""Python's name of an option's type → what people call it."""


class Parser(argparse.ArgumentParser):
    """An argument parser that names the nearest known option for a mistyped one."""

    def error(self, message: str) -> NoReturn:
        """Ends with exit code 2, like every wrong input."""
        known = [option for action in self._actions for option in action.option_strings]
        unknown = next((word for word in message.split() if word.startswith("--")), "")
        hint = nearest(unknown.partition("=")[0], known) if "unrecognized" in message else "."
        for kind, rule in _NUMBERS.items():
            message = message.replace(f"invalid {kind} value:", f"{rule} is needed, not")
        message = shortened(message, _MESSAGE_CHARACTERS)
        raise InputError(f"{message}{hint} `{self.prog} --help` lists the options.")


_json_lines = False


def use_json_lines() -> None:
    """From now on what this process says on stderr beside its display are JSON lines as well."""
    global _json_lines
    _json_lines = True


def stderr_line(kind: str, text: str, *, before: str = "") -> str:
    """One line for stderr: as people read it, with what stands `before` it, or as JSON."""
    return json.dumps({"time": time.time(), "kind": kind, "text": text}) + "\n" if _json_lines else f"{before}{text}\n"


def guarded(command: Callable[[list[str]], int], argv: list[str] | None = None) -> int:
    """Runs `command` and returns its exit code; an expected error becomes one message on stderr and its code."""
    try:
        return command(sys.argv[1:] if argv is None else argv)
    except HpsearchError as error:
        sys.stderr.write(stderr_line("error", str(error), before="hpsearch: "))
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write(stderr_line("error", "interrupted", before="hpsearch: "))
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe (head, less) has gone; Python would complain again when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        expected = _too_long(error) or storage_error(error)
        if expected is None:
            raise
        sys.stderr.write(stderr_line("error", str(expected), before="hpsearch: "))
        return expected.exit_code


def _too_long(error: OSError) -> InputError | None:
    """What to say of a path that no file system takes, whichever option gave it."""
    if error.errno != errno.ENAMETOOLONG:
        return None
    return InputError(f"{shortened(str(error.filename))}: too long for the name of a file. Give a shorter one.")


def leave(main: Callable[[], int]) -> NoReturn:
    """Runs the command `main` and ends this process with its exit code."""
    code = 1  # of an exception that nobody expected

    def end() -> None:
        if "ray" in sys.modules:
            skip_native_cleanup(code)

    atexit.register(end)  # first, so that it is called last
    try:
        code = main()
    except SystemExit as asked:
        code = asked.code if isinstance(asked.code, int) else int(asked.code is not None)
        raise
    sys.exit(code)


def skip_native_cleanup(code: int) -> NoReturn:
    """Ends this process without the destructors of its libraries, once Python has cleaned up.

    Threads of Ray's outlive `ray.shutdown`; one that logs while its logger is destroyed crashes the process, and a finished run
    would end like a failed one (seen with Ray 2.60).
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def add_set_option(parser: argparse.ArgumentParser) -> None:
    """Adds `--set KEY=VALUE …`, which may be repeated."""
    parser.add_argument(
        "--set",
        dest="overrides",
        metavar="KEY=VALUE",
        nargs="+",
        action="extend",
        default=[],
        help="change any setting, e.g. resources.gpus_per_trial=0.25; fixed.KEY=VALUE fixes a parameter of the space",
    )


def find_space(given: str) -> Path:
    """The space file that `given` names: a path, or the name of one that comes with hpsearch.

    Raises:
        InputError: no such file.
    """
    for candidate in (Path(given), SPACES / f"{given.removesuffix('.yaml')}.yaml"):
        if candidate.is_file():
            return candidate
    shipped = sorted(file.stem for file in SPACES.glob("*.yaml"))
    raise InputError(f"--space {given}: no such file{nearest(given, shipped)} Shipped with hpsearch: {', '.join(shipped)}.")
