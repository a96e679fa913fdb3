"""Reads a space file, and collects what is wrong with it."""

from __future__ import annotations

from pathlib import Path

from hpsearch.config import shortened
from hpsearch.errors import InputError
from hpsearch.yaml_text import Node, YamlMistakeError, read_tree

_MAX_PROBLEMS = 10
_MAX_BYTES = 250_000
_MESSAGE_CHARACTERS = 1_000


class Problems:
    """What is wrong with a space; all of it is said in one error."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], None] = {}

    def add(self, where: str, message: str) -> None:
        """Notes that `message` is wrong at `where`."""
        self._found[(where, shortened(message, _MESSAGE_CHARACTERS))] = None

    def raise_if_any(self) -> None:
        """Raises what was found.

        Raises:
            InputError: the first ten problems, a line each, in the order of the file.
        """
        if self._found:
            lines = [f"{where}: {message}" for where, message in sorted(self._found, key=_line_number)]
            more = [f"… and {len(lines) - _MAX_PROBLEMS} more"] if len(lines) > _MAX_PROBLEMS else []
            raise InputError("\n".join(lines[:_MAX_PROBLEMS] + more))


def _line_number(found: tuple[str, str]) -> int:
    line = found[0].rpartition(":")[2]
    return int(line) if line.isdigit() else 0


def read_yaml(path: Path, problems: Problems) -> Node:
    """The tree of a YAML file; duplicate keys are noted in `problems`.

    Raises:
        InputError: not readable, or not YAML.
    """
    text = _text(path)
    try:
        root = read_tree(text, lambda line: f"{path}:{line}", problems.add)
    except YamlMistakeError as error:
        where = f"{path}:{error.line}" if error.line else f"{path}"
        raise InputError(f"{where}: {error.reason}.") from error
    if root is None:
        raise InputError(f"{path}: the space file is empty. See search_spaces/ for examples.")
    return root


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror
        raise InputError(f"{path}: cannot read this space file ({reason}). Those of hpsearch lie in search_spaces/.") from error
    if len(content) > _MAX_BYTES:
        raise InputError(f"{path}: larger than {_MAX_BYTES:,} bytes, which no space file needs. Is it another file?")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}:{line}: not UTF-8 text ({error.reason}). Save the space file as UTF-8.") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")
