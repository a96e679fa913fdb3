"""The names of a space file: its nested sections as one flat list, and which of them nobody knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hpsearch.config import nearest
from hpsearch.search.space_file import Problems
from hpsearch.search.vocabulary import Vocabulary
from hpsearch.yaml_text import Node

RESERVED = ("fixed", "start", "limits")
"""Top-level keys that are not parameters."""
RANGE_KEYS = ("low", "high", "log", "step", "type", "choices")
"""What a dimension is made of, beside `when`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One parameter that a space file mentions, under its dotted name."""

    name: str
    """Dotted name."""
    node: Node
    """What stands there."""
    whens: tuple[Node, ...] = ()
    """`when` sections around it, outermost first."""


def searched_entries(root: Node, vocabulary: Vocabulary | None, problems: Problems) -> list[Entry]:
    """Every searched parameter of the file, sections flattened."""
    top = {key: node for key, node in root.value.items() if key not in RESERVED}
    return list(_walk(top, "", (), vocabulary, problems))


def _walk(
    items: Mapping[str, Node], prefix: str, whens: tuple[Node, ...], vocabulary: Vocabulary | None, problems: Problems
) -> Iterable[Entry]:
    for key, node in items.items():
        name = prefix + key
        if key == "when" and prefix:
            continue
        if not _is_known(name, vocabulary):
            problems.add(node.where, unknown(name, vocabulary, RESERVED if not prefix else ()))
        elif node.value == {}:
            problems.add(node.where, f"{name} is empty; give it {{low: …, high: …}} or {{choices: […]}}, or remove it.")
        elif _is_section(name, node, vocabulary):
            inner = (*whens, node.value["when"]) if "when" in node.value else whens
            yield from _walk(node.value, f"{name}.", inner, vocabulary, problems)
        elif isinstance(node.value, dict):
            yield Entry(name=name, node=node, whens=whens)
        elif vocabulary is not None and name not in vocabulary.parameters:
            problems.add(node.where, f"{name} is a section; it holds parameters, not {node.plain!r}.")
        else:
            problems.add(
                node.where,
                f"{name} is {node.plain!r}; a searched parameter is {{low: …, high: …}} or {{choices: […]}}. "
                f"Write a single value under `fixed:`.",
            )


def flattened(node: Node, vocabulary: Vocabulary | None, problems: Problems) -> dict[str, Node]:
    """The values of a `fixed` section or a start point by dotted name; unknown names are noted and left out."""
    flat: dict[str, Node] = {}
    pending = [(f"{key}", item) for key, item in reversed(node.value.items())]
    while pending:
        name, item = pending.pop()
        if isinstance(item.value, dict):
            pending += [(f"{name}.{key}", below) for key, below in reversed(item.value.items())]
        elif vocabulary is not None and name not in vocabulary.parameters:
            problems.add(item.where, unknown(name, vocabulary))
        elif name in flat:
            problems.add(item.where, f"{name} is there twice, first at {flat[name].where}. Remove one.")
        else:
            flat[name] = item
    return flat


def unknown(name: str, vocabulary: Vocabulary | None, others: Iterable[str] = ()) -> str:
    """What to say of a name that nobody knows."""
    known = list(vocabulary.parameters) if vocabulary is not None else []
    sections = [section for parameter in known for section in _sections(parameter)]
    return f"unknown parameter {name!r}{nearest(name, [*known, *sections, *others])}"


def _sections(parameter: str) -> list[str]:
    parts = parameter.split(".")
    return [".".join(parts[:depth]) for depth in range(1, len(parts))]


def _is_known(name: str, vocabulary: Vocabulary | None) -> bool:
    return vocabulary is None or any(known == name or known.startswith(f"{name}.") for known in vocabulary.parameters)


def _is_section(name: str, node: Node, vocabulary: Vocabulary | None) -> bool:
    if not isinstance(node.value, dict):
        return False
    if vocabulary is not None:
        return name not in vocabulary.parameters
    return not any(key in RANGE_KEYS and not isinstance(item.value, dict) for key, item in node.value.items())
