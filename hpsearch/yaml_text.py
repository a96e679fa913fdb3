"""YAML that users write, as a tree in which every value knows where it stands; read safely, and within limits.

A short text can ask for more than any machine holds (levels, aliases of aliases, numbers of thousands of digits); whatever is
beyond what a person writes is refused with its line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from hpsearch.config import shortened

MAX_DEPTH = 20
"""Levels; a space needs four."""
MAX_VALUES = 10_000
"""Values of one text, those behind an alias counted wherever it stands."""
MAX_CHARACTERS = 4_096
"""Of one word or text: as long as a path can be."""
MAX_INTEGER = 2**63 - 1
"""Largest whole number; larger ones may not fit a float."""
_NOT_EXPECTED = (ValueError, OverflowError, KeyError, IndexError, AttributeError)
"""What PyYAML raises beside its own errors."""
_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "timestamp": "a date"}


class YamlMistakeError(Exception):
    """What is wrong with a text, and on which line of it."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        """Takes the reason, without a full stop, and the line from 1; None: not known."""
        super().__init__(reason)
        self.reason = reason
        self.line = line


@dataclass(frozen=True, slots=True)
class Node:
    """One value of a text: a scalar, a list of nodes, or a mapping of names to nodes."""

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


def located(value: Any, where: str) -> Node:
    """Plain mappings, lists and scalars as a tree that says `where` everywhere."""
    if isinstance(value, Mapping):
        return Node({str(key): located(item, where) for key, item in value.items()}, where)
    if isinstance(value, list | tuple):
        return Node([located(item, where) for item in value], where)
    return Node(value, where)


class _Loader(yaml.SafeLoader):
    """Safe YAML in which `1e-4` is a number, as everybody expects, and not a text as in YAML 1.1."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        # PyYAML calls itself for each level: a thousand brackets would end in Python's RecursionError.
        if self._depth > MAX_DEPTH:
            raise YamlMistakeError(f"nested deeper than {MAX_DEPTH} levels", self.line + 1)
        self._depth += 1
        try:
            node: yaml.Node | None = super().compose_node(parent, index)
        finally:
            self._depth -= 1
        return node


_Loader.yaml_implicit_resolvers = {key: list(rules) for key, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_tree(text: str, place: Callable[[int], str], on_name: Callable[[str, str], None]) -> Node | None:
    """The tree of a YAML text; None where it holds nothing.

    Args:
        text: YAML.
        place: What a value's `where` is, from its line.
        on_name: Told (where, what is wrong) of a name that is there twice, of which the last counts, or that is no single word.

    Raises:
        YamlMistakeError: not YAML, or beyond the limits.
    """
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        before = text.count("\n", 0, error.position)
        raise YamlMistakeError(f"a character that no text file has (code {error.character})", before + 1) from error
    try:
        root = loader.get_single_node()
        return None if root is None else _Tree(loader, place, on_name).node(root, depth=0)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise YamlMistakeError(f"not valid YAML: {error.problem}", line) from error
    except (ValueError, OverflowError) as error:  # `%YAML` with a version of thousands of digits, "\U99999999"
        raise YamlMistakeError(f"not valid YAML: {error}", loader.line + 1) from error
    finally:
        loader.dispose()


def read_plain(text: str) -> Any:
    """The content of a YAML text that a run has written, keys as they are.

    Raises:
        YamlMistakeError: not YAML, or nested too deeply.
    """
    try:
        return yaml.load(text, _Loader)  # a safe loader
    except (yaml.YAMLError, *_NOT_EXPECTED) as error:
        raise YamlMistakeError(f"{error}") from error


class _Tree:
    """Makes nodes of PyYAML's nodes."""

    def __init__(self, loader: _Loader, place: Callable[[int], str], on_name: Callable[[str, str], None]) -> None:
        self._loader = loader
        self._place = place
        self._on_name = on_name
        self._num_values = 0

    def node(self, found: yaml.Node, depth: int) -> Node:
        line = found.start_mark.line + 1
        self._num_values += 1
        if self._num_values > MAX_VALUES:
            raise YamlMistakeError(f"more than {MAX_VALUES:,} values, aliases counted wherever they stand", line)
        if depth > MAX_DEPTH:  # an alias of what it stands in
            raise YamlMistakeError(f"nested deeper than {MAX_DEPTH} levels", line)
        if isinstance(found, yaml.SequenceNode):
            return Node([self.node(item, depth + 1) for item in found.value], self._place(line))
        if isinstance(found, yaml.MappingNode):
            return Node(self._items(found, depth), self._place(line))
        return Node(self._scalar(found, line), self._place(line))

    def _items(self, found: yaml.MappingNode, depth: int) -> dict[str, Node]:
        items: dict[str, Node] = {}
        for key, below in found.value:
            where = self._place(key.start_mark.line + 1)
            if not isinstance(key, yaml.ScalarNode):
                self._on_name(where, "a name must be a single word.")
                continue
            if key.value in items:
                self._on_name(where, f"{key.value!r} is there twice, first at {items[key.value].where}. Remove one.")
            items[key.value] = Node(self.node(below, depth + 1).value, where)
        return items

    def _scalar(self, found: yaml.Node, line: int) -> Any:
        text: str = found.value
        if len(text) > MAX_CHARACTERS:
            raise YamlMistakeError(f"a text of {len(text):,} characters; at most {MAX_CHARACTERS:,} are read", line)
        try:
            value = self._loader.construct_object(found)
        except _NOT_EXPECTED as error:  # PyYAML's, of `!!int x`, 2024-13-45
            kind = _KINDS.get(found.tag.rpartition(":")[2], found.tag)
            raise YamlMistakeError(
                f"{shortened(text)!r} looks like {kind} and is none; quote it if it is text", line
            ) from error
        if isinstance(value, int) and abs(value) > MAX_INTEGER:
            raise YamlMistakeError(f"the whole number {shortened(text)} is too large; at most 2^63 - 1 is read", line)
        if isinstance(value, int | float) and ":" in text:
            reason = f"YAML takes {text!r} for a number to base 60; write it with decimal digits, or quote it if it is text"
            raise YamlMistakeError(reason, line)
        return value
