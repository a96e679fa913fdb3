"""Start points and limits: what a space file promises of whole configurations."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from hpsearch.config import Params, ParamValue, nearest
from hpsearch.errors import InputError
from hpsearch.search.dimension import Dimension
from hpsearch.search.space_conditions import Placed
from hpsearch.search.space_entries import flattened
from hpsearch.search.space_file import Problems
from hpsearch.search.vocabulary import Vocabulary, checked_value
from hpsearch.yaml_text import Node

NETWORK = ("backbone", "se_reduction")
"""The parameters that decide how many parameters a network has."""
MAX_PARAMETERS = 200_000_000
"""The most that a network may have where a space sets no other limit: the competition's rule."""


class StartReader:
    """Reads start points against the dimensions that are already read."""

    def __init__(
        self,
        dimensions: Sequence[Dimension],
        fixed: Params,
        vocabulary: Vocabulary | None,
        overrides: Mapping[str, Node],
        problems: Problems,
    ) -> None:
        self._dimensions = dimensions
        self._fixed = fixed
        self._vocabulary = vocabulary
        self._overrides = overrides
        self._problems = problems
        self._names = {dimension.name for dimension in dimensions}
        self.notes: list[str] = []

    def read(self, root: Node) -> list[Params]:
        """The start points of the file, each with those values that it gives."""
        node = root.value.get("start")
        if node is None:
            return []
        if not isinstance(node.value, list):
            self._problems.add(node.where, "`start` must be a list of configurations, each starting with a dash.")
            return []
        points = [self._read_point(index, item) for index, item in enumerate(node.value)]
        return [point for index, point in enumerate(points) if point not in points[:index]]

    def _read_point(self, index: int, node: Node) -> Params:
        label = f"start point {index}"
        if not isinstance(node.value, dict):
            self._problems.add(node.where, f"{label} is {node.plain!r}; it must hold names and values.")
            return {}
        nodes = flattened(node, self._vocabulary, self._problems)
        point: Params = {}
        for name, item in nodes.items():
            if name in self._overrides:
                continue
            if name not in self._names and name not in self._absent_by_override():
                self._problems.add(item.where, f"{label}: {self._not_searched(name)}")
                continue
            value = self._value(label, name, item)
            if value is not None:
                point[name] = value
        for name in [name for name in point if not self._fits(label, name, point, nodes[name])]:
            del point[name]
        return point

    def _absent_by_override(self) -> set[str]:
        """With something fixed from outside, names that the space no longer has are not the file's mistake."""
        return set(self._vocabulary.parameters) if self._overrides and self._vocabulary else set()

    def _not_searched(self, name: str) -> str:
        if name in self._fixed:
            return f"{name} is fixed to {self._fixed[name]} in this space. Leave it out, or search it."
        return f"{name!r} is not searched in this space{nearest(name, self._names)}"

    def _value(self, label: str, name: str, node: Node) -> ParamValue | None:
        known = self._vocabulary.parameters[name] if self._vocabulary else None
        try:
            return checked_value(name, node.plain, known)
        except ValueError as error:
            self._problems.add(node.where, f"{label}: {error}")
            return None

    def _fits(self, label: str, name: str, point: Params, node: Node) -> bool:
        """Whether the value can be proposed in this point; what is wrong is noted, or told where an override is the cause."""
        params = {**self._fixed, **point}
        candidates = [dimension for dimension in self._dimensions if dimension.name == name]
        wrong = _misfit(name, params, candidates)
        if not wrong:
            return True
        asked = {condition.name for dimension in candidates for condition in dimension.when}
        if not candidates or any(parent in self._overrides for parent in asked):
            self.notes.append(f"{node.where}: {label} without its {name}, which does not go with what --set fixes.")
        else:
            self._problems.add(node.where, f"{label}: {wrong}")
        return False


def _misfit(name: str, params: Params, candidates: Sequence[Dimension]) -> str:
    active = [dimension for dimension in candidates if dimension.is_active(params)]
    if active:
        dimension = active[0]
        return "" if dimension.contains(params[name]) else f"{name} is {params[name]}; here it is {dimension}."
    unmet = [condition for dimension in candidates for condition in dimension.when if not condition.holds(params)]
    missing = [condition.name for condition in unmet if condition.name not in params]
    if missing:
        return f"{name} depends on {missing[0]}, which the point does not give. Add it."
    found = f"; here {unmet[0].name} is {params[unmet[0].name]}" if unmet else ""
    return f"{name} is only there when {unmet[0] if unmet else 'never'}{found}. Leave it out."


def read_parameter_limit(root: Node, vocabulary: Vocabulary | None, problems: Problems) -> int | None:
    """`limits.num_parameters`, or None where the file says nothing: `MAX_PARAMETERS` is then the limit."""
    node = root.value.get("limits")
    if node is None:
        return None
    if vocabulary is None or not isinstance(node.value, dict):
        rule = "a space of plain names has no limits" if vocabulary is None else "it must hold num_parameters: NUMBER"
        problems.add(node.where, f"`limits`: {rule}.")
        return None
    limit: int | None = None
    for key, item in node.value.items():
        if key != "num_parameters":
            problems.add(item.where, f"limits: unknown key {key!r}{nearest(key, ['num_parameters'])} Known: num_parameters.")
        elif isinstance(item.value, bool) or not isinstance(item.value, int) or item.value < 1:
            problems.add(item.where, f"limits.num_parameters is {item.plain!r}; it must be a positive integer.")
        else:
            limit = item.value
    return limit


def check_networks(
    placed: Sequence[Placed],
    fixed: Params,
    limit: int,
    vocabulary: Vocabulary,
    problems: Problems,
    choice_at: Mapping[tuple[str, ParamValue], str],
) -> None:
    """Counts the parameters of the networks that the space can propose, against `limit`.

    Of several numbers for one backbone the smallest and the largest come first, the others only where one of these is wrong:
    building a network to count it takes a tenth of a second.
    """
    largest = {one.dimension.name: _largest(one.dimension) for one in placed}
    known = {**{name: largest[name] for name in ("image_px",) if name in largest}, **fixed}
    searched = [one.dimension for one in placed if one.dimension.name in NETWORK]
    if "backbone" not in known and "backbone" not in largest:
        return
    wrong: set[ParamValue] = set()
    for network in sorted(_networks(searched, known), key=lambda network: _is_between(network, searched)):
        whole = {**known, **network}
        if _is_between(network, searched) and whole["backbone"] not in wrong:
            continue
        named = ", ".join(f"{name} {whole[name]}" for name in NETWORK if name in whole)
        message = _too_large(whole, named, limit, vocabulary)
        if message:
            wrong.add(whole["backbone"])
            problems.add(choice_at[("backbone", whole["backbone"])], message)


def _too_large(whole: Params, named: str, limit: int, vocabulary: Vocabulary) -> str:
    try:
        count = vocabulary.num_parameters(whole)
    except InputError as error:
        return str(error)
    if count <= limit:
        return ""
    return f"{named} has {count:,} parameters; limits.num_parameters allows {limit:,}. Remove that choice."


def _is_between(network: Params, searched: Sequence[Dimension]) -> bool:
    """Whether a number in `network` is neither the smallest nor the largest of its dimension."""
    for dimension in searched:
        numbers = [value for value in _extremes(dimension) if not isinstance(value, str)]
        value = network.get(dimension.name, "")
        if not isinstance(value, str) and numbers and min(numbers) < value < max(numbers):
            return True
    return False


def _networks(searched: Sequence[Dimension], fixed: Params) -> list[Params]:
    """Each combination of the searched values that can be proposed together."""
    options = [[(dimension, value) for value in (*_extremes(dimension), None)] for dimension in searched]
    networks: list[Params] = []
    for combination in itertools.product(*options):
        chosen: Params = {dimension.name: value for dimension, value in combination if value is not None}
        params = {**fixed, **chosen}
        wanted = all((value is not None) == _may_be_active(dimension, params) for dimension, value in combination)
        if wanted and chosen not in networks:
            networks.append(chosen)
    return networks or [{}]


def _may_be_active(dimension: Dimension, params: Params) -> bool:
    return all(condition.holds(params) for condition in dimension.when if condition.name in params or condition.name in NETWORK)


def _extremes(dimension: Dimension) -> tuple[ParamValue, ...]:
    return dimension.choices or (dimension.low, dimension.high)


def _largest(dimension: Dimension) -> ParamValue:
    values = _extremes(dimension)
    return max((value for value in values if not isinstance(value, str)), default=values[0])
