"""YAML with line numbers: a tree in which every value knows where it stands, and the list of problems found in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hpsearch.errors import InputError

_MAX_DEPTH = 20
_MAX_PROBLEMS = 10


@dataclass(frozen=True, slots=True)
class Node:
    """One value of a space file: a scalar, a list of nodes, or a mapping of names to nodes."""

    value: Any
    """Scalar, `list[Node]` or `dict[str, Node]`."""
    where: str
    """`file:line`, or what else tells a reader where it stands."""

    @property
    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.value, dict):
            return {key: node.plain for key, node in self.value.items()}
        return [node.plain for node in self.value] if isinstance(self.value, list) else self.value


class Problems:
    """What is wrong with a space; all of it is said in one error."""

    def __init__(self) -> None:
        self._found: list[tuple[str, str]] = []

    def add(self, where: str, message: str) -> None:
        """Notes that `message` is wrong at `where`."""
        found = (where, message)
        if found not in self._found:
            self._found.append(found)

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


class _Loader(yaml.SafeLoader):
    """Safe YAML in which `1e-4` is a number, as everybody expects, and not a text as in YAML 1.1."""


_Loader.yaml_implicit_resolvers = {key: list(rules) for key, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_yaml(path: Path, problems: Problems) -> Node:
    """The tree of a YAML file; duplicate keys are noted in `problems`.

    Raises:
        InputError: not readable, or not YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise InputError(f"{path}: cannot read this space file ({reason}). Those of hpsearch lie in search_spaces/.") from error
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        number = text.count("\n", 0, error.position) + 1
        raise InputError(f"{path}:{number}: a character that no text file has (code {error.character}). Remove it.") from error
    try:
        root = loader.get_single_node()
        if root is None:
            raise InputError(f"{path}: the space file is empty. See search_spaces/ for examples.")
        return _located(loader, root, path, problems, depth=0)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InputError(f"{path}{line}: not valid YAML: {error.problem}.") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {error}.") from error
    finally:
        loader.dispose()


def _located(loader: _Loader, node: yaml.Node, path: Path, problems: Problems, depth: int) -> Node:
    where = f"{path}:{node.start_mark.line + 1}"
    if depth > _MAX_DEPTH:
        raise InputError(f"{where}: nested deeper than {_MAX_DEPTH} levels; a space needs four.")
    if isinstance(node, yaml.SequenceNode):
        return Node([_located(loader, item, path, problems, depth + 1) for item in node.value], where)
    if not isinstance(node, yaml.MappingNode):
        return Node(loader.construct_object(node), where)
    items: dict[str, Node] = {}
    for key_node, value_node in node.value:
        key_where = f"{path}:{key_node.start_mark.line + 1}"
        if not isinstance(key_node, yaml.ScalarNode):
            problems.add(key_where, "a name must be a single word.")
            continue
        if key_node.value in items:
            problems.add(key_where, f"{key_node.value!r} is there twice, first at {items[key_node.value].where}. Remove one.")
        value = _located(loader, value_node, path, problems, depth + 1)
        items[key_node.value] = Node(value.value, key_where)
    return Node(items, where)


def located(value: Any, where: str) -> Node:
    """Plain mappings, lists and scalars as a tree that says `where` everywhere."""
    if isinstance(value, Mapping):
        return Node({str(key): located(item, where) for key, item in value.items()}, where)
    if isinstance(value, list | tuple):
        return Node([located(item, where) for item in value], where)
    return Node(value, where)
