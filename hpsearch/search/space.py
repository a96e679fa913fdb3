"""The space of configurations: what is searched, what is fixed, which points come first."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpsearch.config import Params, ParamValue
from hpsearch.errors import InputError
from hpsearch.search.dimension import Condition, Dimension, complete
from hpsearch.search.space_entries import RESERVED, unknown
from hpsearch.search.space_file import Problems, read_yaml
from hpsearch.search.space_reader import SpaceReader
from hpsearch.search.space_start import MAX_PARAMETERS, StartReader, check_networks, read_parameter_limit
from hpsearch.search.vocabulary import Vocabulary
from hpsearch.yaml_text import Node, located

__all__ = ["Condition", "Dimension", "Space", "Vocabulary"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Space:
    """Dimensions with conditions, fixed parameters, start points and limits."""

    dimensions: tuple[Dimension, ...]
    """What is searched, each after all that it depends on."""
    fixed: Params = dataclasses.field(default_factory=dict)
    """Parameters with one value; part of every configuration."""
    start: tuple[Params, ...] = ()
    """Configurations to try first; what one leaves out is drawn."""
    limits: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """`num_parameters`: the most that a network may have, where the space says it; see `max_parameters`."""
    notes: tuple[str, ...] = ()
    """What of the file is not used, for the user to read; no part of the space."""

    @classmethod
    def load(cls, path: Path, vocabulary: Vocabulary, overrides: Mapping[str, Any] | None = None) -> Space:
        """Reads a space file.

        Args:
            path: YAML file; see those in `search_spaces/`.
            vocabulary: What its names mean.
            overrides: Parameter → value that fixes it in place of what the file says (`--set fixed.NAME=VALUE`).

        Raises:
            InputError: every mistake (the first ten), with file and line.
        """
        problems = Problems()
        root = read_yaml(path, problems)
        return _read(root, str(path), vocabulary, overrides or {}, problems)

    @classmethod
    def from_dict(
        cls,
        content: Mapping[str, Any],
        vocabulary: Vocabulary | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> Space:
        """A space from mappings as they would stand in a space file.

        Without a vocabulary any names may be used. A dimension is `{"low": …, "high": …}` with optional `"log": True`,
        `"step"` and `"type": "int" | "float"` (default: int where both bounds are ints), or `{"choices": [...]}`, each with an
        optional `"when": {other: [values]}`. `fixed`, `start` and `overrides` are as with a file.

        Raises:
            InputError: every mistake (the first ten).
        """
        problems = Problems()
        return _read(located(content, "space"), "space", vocabulary, overrides or {}, problems)

    def complete(self, choose: Callable[[Dimension, Params], ParamValue], given: Params | None = None) -> Params:
        """A whole configuration: fixed, `given` where active, the rest from `choose(dimension, params so far)`."""
        return complete(self.dimensions, self.fixed, given or {}, choose)

    def draw(self, random: np.random.Generator, given: Params | None = None) -> Params:
        """A configuration from the prior, with the values in `given`."""
        return self.complete(lambda dimension, _: dimension.draw(random), given)

    def coordinates(self, params: Params) -> dict[str, ParamValue]:
        """Dimension key → value for each dimension that is active in `params` and contains its value."""
        active = [dimension for dimension in self.dimensions if dimension.name in params and dimension.is_active(params)]
        return {one.key: params[one.name] for one in active if one.contains(params[one.name])}

    def values_of(self, name: str) -> tuple[ParamValue, ...]:
        """What a parameter can be: its fixed value, its choices, or the bounds of its range; empty where it is absent."""
        if name in self.fixed:
            return (self.fixed[name],)
        found = [value for one in self.dimensions if one.name == name for value in (one.choices or (one.low, one.high))]
        return tuple(dict.fromkeys(found))

    @property
    def max_parameters(self) -> int:
        """The most parameters of a network, and of all networks of an ensemble together."""
        return self.limits.get("num_parameters", MAX_PARAMETERS)

    def to_dict(self) -> dict[str, Any]:
        """The canonical content, plain and JSON-able; equal spaces give equal content."""
        return {
            "dimensions": {one.key: _plain(one) for one in self.dimensions},
            "fixed": dict(sorted(self.fixed.items())),
            "start": [dict(sorted(point.items())) for point in self.start],
            "limits": dict(self.limits),
        }

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical content."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()


def _plain(dimension: Dimension) -> dict[str, Any]:
    plain: dict[str, Any] = {"name": dimension.name, "kind": dimension.kind}
    if dimension.kind == "categorical":
        plain["choices"] = list(dimension.choices)
    else:
        plain |= {"low": dimension.low, "high": dimension.high, "log": dimension.log, "step": dimension.step}
    if dimension.when:
        plain["when"] = {condition.name: list(condition.values) for condition in dimension.when}
    return plain


def _read(root: Node, source: str, vocabulary: Vocabulary | None, overrides: Mapping[str, Any], problems: Problems) -> Space:
    if not isinstance(root.value, dict):
        raise InputError(f"{root.where}: a space must hold names and ranges, such as lr: {{low: 1e-4, high: 1e-2, log: true}}.")
    fixings = {name: located(value, f"--set fixed.{name}={value}") for name, value in overrides.items()}
    _check_override_names(fixings, vocabulary, problems)
    reader = SpaceReader(root, vocabulary, fixings, problems)
    placed = reader.read()
    starts = StartReader([one.dimension for one in placed], reader.fixed, vocabulary, fixings, problems)
    start = starts.read(root)
    limit = read_parameter_limit(root, vocabulary, problems)
    problems.raise_if_any()
    if not placed and not reader.fixed:
        raise InputError(f"{source}: nothing to search; give a parameter beside {', '.join(RESERVED)}.")
    if vocabulary is not None:
        check_networks(placed, reader.fixed, limit or MAX_PARAMETERS, vocabulary, problems, reader.value_at)
        problems.raise_if_any()
    return Space(
        dimensions=tuple(one.dimension for one in placed),
        fixed=reader.fixed,
        start=tuple(start),
        limits={} if limit is None else {"num_parameters": limit},
        notes=(*reader.notes, *starts.notes),
    )


def _check_override_names(fixings: Mapping[str, Node], vocabulary: Vocabulary | None, problems: Problems) -> None:
    for name, node in fixings.items():
        if vocabulary is not None and name not in vocabulary.parameters:
            problems.add(node.where, unknown(name, vocabulary))
