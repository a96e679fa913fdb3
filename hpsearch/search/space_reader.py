"""Reads the dimensions of a space: ranges and choices, ranges by family, conditions and their order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from hpsearch.config import KnownParameter, Params, ParamValue, nearest
from hpsearch.errors import InputError
from hpsearch.search.dimension import Condition, Dimension, Kind
from hpsearch.search.space_conditions import ConditionRules, Placed
from hpsearch.search.space_entries import RANGE_KEYS, Entry, flattened, searched_entries
from hpsearch.search.space_file import Problems
from hpsearch.search.vocabulary import Vocabulary, checked_value
from hpsearch.yaml_text import Node

BACKBONE = "backbone"
"""The parameter whose value has a family."""
FIDELITY = ("images_per_trial", "epochs")
"""Parameters that decide how long a full training is; rungs need one answer for all trials."""


class SpaceReader:
    """Reads one tree; what is wrong goes to `problems`, and reading goes on."""

    def __init__(self, root: Node, vocabulary: Vocabulary | None, overrides: Mapping[str, Node], problems: Problems) -> None:
        self._root = root
        self._vocabulary = vocabulary
        self._overrides = overrides
        self._problems = problems
        self.fixed: Params = {}
        self.notes: list[str] = []
        self._families: dict[str, list[str]] = {}
        self._asked_at: dict[tuple[str, str], str] = {}
        self.value_at: dict[tuple[str, ParamValue], str] = {}
        """(parameter, fixed value or choice) → where it stands."""

    def read(self) -> list[Placed]:
        """Dimensions in an order in which each comes after all that it depends on; fills `fixed`."""
        entries = searched_entries(self._root, self._vocabulary, self._problems)
        entries = [entry for entry in entries if entry.name not in self._overrides]
        self._read_fixed({entry.name: entry.node for entry in entries})
        self._read_families(entries)
        placed = [dimension for entry in entries for dimension in self._read_entry(entry)]
        rules = ConditionRules(fixed=self.fixed, overridden=self._overrides, asked_at=self._asked_at, problems=self._problems)
        rules.check(placed)
        return rules.ordered(placed)

    def _read_fixed(self, searched: Mapping[str, Node]) -> None:
        node = self._root.value.get("fixed")
        if node is not None and not isinstance(node.value, dict):
            self._problems.add(node.where, "`fixed` must hold names and values, such as image_px: 256.")
            node = None
        values = flattened(node, self._vocabulary, self._problems) if node is not None else {}
        values |= self._overrides
        for name, value in values.items():
            if name in searched:
                self._problems.add(
                    value.where, f"{name} is fixed here and searched at {searched[name].where}. Remove one of the two."
                )
            checked = self._value(name, value)
            if checked is not None:
                self.fixed[name] = checked
                self.value_at[(name, checked)] = value.where

    def _read_families(self, entries: Sequence[Entry]) -> None:
        """Sorts the backbones of this space by family, in the order of the file."""
        if self._vocabulary is None:
            return
        searched = next((entry.node.value.get("choices") for entry in entries if entry.name == BACKBONE), None)
        choices = searched.value if searched is not None and isinstance(searched.value, list) else []
        where = {str(node.value): node.where for node in choices}
        if BACKBONE in self.fixed:
            where = {str(self.fixed[BACKBONE]): self.value_at[(BACKBONE, self.fixed[BACKBONE])]}
        for backbone, place in where.items():
            try:
                self._families.setdefault(self._vocabulary.family(backbone), []).append(backbone)
            except InputError as error:
                self._problems.add(place, str(error))

    def _read_entry(self, entry: Entry) -> list[Placed]:
        items: dict[str, Node] = entry.node.value
        if self._vocabulary is not None and entry.name in FIDELITY:
            rule = "trials are compared at the same number of images, so it cannot be searched"
            self._problems.add(entry.node.where, f"{entry.name}: {rule}. Give one value under `fixed:`.")
        whens = (*entry.whens, items["when"]) if "when" in items else entry.whens
        conditions = self._conditions(entry.name, whens)
        is_range = any(key in RANGE_KEYS for key in items) or self._vocabulary is None
        if is_range:
            read = self._read_range(entry.name, entry.name, entry.node, conditions)
            return [read] if read else []
        return self._read_by_family(entry, conditions)

    def _read_by_family(self, entry: Entry, conditions: tuple[Condition, ...]) -> list[Placed]:
        given: dict[str, Node] = {key: node for key, node in entry.node.value.items() if key != "when"}
        if not any(isinstance(node.value, dict) for node in given.values()) or not self._families:
            wrong = next(iter(given), "")
            hint = f"{wrong!r} is none of them{nearest(wrong, RANGE_KEYS)}" if wrong else "nothing is given."
            self._problems.add(entry.node.where, f"{entry.name} needs {{low: …, high: …}} or {{choices: […]}}; {hint}")
            return []
        placed = []
        for family, backbones in self._families.items():
            if family not in given:
                self._problems.add(
                    entry.node.where,
                    f"{entry.name} has no range for the family {family!r} of the backbone {backbones[0]!r}"
                    f"{nearest(family, given)} Add one below {', '.join(given)}.",
                )
                continue
            node = given[family]
            if not isinstance(node.value, dict):
                self._problems.add(node.where, f"{entry.name}.{family} is {node.plain!r}; give it {{low: …, high: …}}.")
                continue
            inner = self._conditions(entry.name, (node.value["when"],)) if "when" in node.value else ()
            of_family = Condition(name=BACKBONE, values=tuple(backbones))
            read = self._read_range(f"{entry.name}[{family}]", entry.name, node, (of_family, *conditions, *inner))
            placed += [read] if read else []
        unused = [family for family in given if family not in self._families]
        if unused:
            said = f"no backbone here is of the family {', '.join(unused)}"
            self.notes.append(f"{entry.node.where}: {said}; its range of {entry.name} is not used.")
        return placed

    def _read_range(self, key: str, name: str, node: Node, when: tuple[Condition, ...]) -> Placed | None:
        items: dict[str, Node] = {part: below for part, below in node.value.items() if part != "when"}
        for part, below in items.items():
            if part not in RANGE_KEYS:
                known = ", ".join([*RANGE_KEYS, "when"])
                self._problems.add(below.where, f"{name}: unknown key {part!r}{nearest(part, RANGE_KEYS)} Known: {known}.")
        is_choice = "choices" in items
        others = [part for part in items if part != "choices" and part in RANGE_KEYS]
        if is_choice and others:
            self._problems.add(node.where, f"{name} has choices and {', '.join(others)}; give either choices or a range.")
            return None
        read = self._read_choices(name, items["choices"]) if is_choice else self._read_bounds(name, node, items)
        return Placed(dimension=replace(read, key=key, when=when), where=node.where) if read else None

    def _read_choices(self, name: str, node: Node) -> Dimension | None:
        if not isinstance(node.value, list) or not node.value:
            self._problems.add(node.where, f"{name} has no choices; write them as [first, second].")
            return None
        checked = [(self._value(name, item), item.where) for item in node.value]
        values = [value for value, _ in checked if value is not None]
        self.value_at |= {(name, value): where for value, where in checked if value is not None}
        twice = [value for index, value in enumerate(values) if value in values[:index]]
        if twice:
            self._problems.add(node.where, f"{name} has the choice {twice[0]!r} twice. Remove one.")
        return Dimension(key=name, name=name, kind="categorical", choices=tuple(dict.fromkeys(values))) if values else None

    def _read_bounds(self, name: str, node: Node, items: Mapping[str, Node]) -> Dimension | None:
        known = self._vocabulary.parameters[name] if self._vocabulary else None
        missing = [bound for bound in ("low", "high") if bound not in items]
        if missing:
            self._problems.add(node.where, f"{name} has no {' and no '.join(missing)}; a range needs both.")
            return None
        if known is not None and known.kind == "text":
            self._problems.add(node.where, f"{name} is a text and has no range; write {{choices: […]}}.")
            return None
        bounds = [self._bound(name, bound, items[bound], known) for bound in ("low", "high")]
        if bounds[0] is None or bounds[1] is None:
            return None
        kind = self._kind(name, items, known, bounds)
        log = self._flag(name, items.get("log"))
        step = self._step(name, items.get("step"), known, kind)
        dimension = Dimension(key=name, name=name, kind=kind, low=bounds[0], high=bounds[1], log=log, step=step)
        wrong = _wrong_range(dimension)
        if wrong:
            self._problems.add(node.where, f"{name}: {wrong}")
        return None if wrong else dimension

    def _kind(self, name: str, items: Mapping[str, Node], known: KnownParameter | None, bounds: Sequence[float | None]) -> Kind:
        default: Kind = "int" if all(isinstance(bound, int) for bound in bounds) else "float"
        if known is not None:
            default = "float" if known.kind == "float" else "int"
        node = items.get("type")
        if node is None:
            return default
        if node.value not in ("int", "float") or (known is not None and node.value != known.kind):
            allowed = default if known is not None else "int or float"
            self._problems.add(node.where, f"{name}: type is {node.plain!r}; it must be {allowed}.")
            return default
        return "float" if node.value == "float" else "int"

    def _bound(self, name: str, bound: str, node: Node, known: KnownParameter | None) -> float | None:
        label = f"{name}.{bound}"
        if isinstance(node.value, bool) or not isinstance(node.value, int | float) or not math.isfinite(node.value):
            self._problems.add(node.where, f"{label} is {node.plain!r}; it must be a number.")
            return None
        value = self._value(label, node, known)
        return None if value is None or isinstance(value, str) else value

    def _flag(self, name: str, node: Node | None) -> bool:
        if node is not None and not isinstance(node.value, bool):
            self._problems.add(node.where, f"{name}: log is {node.plain!r}; it must be true or false.")
        return node is not None and node.value is True

    def _step(self, name: str, node: Node | None, known: KnownParameter | None, kind: Kind) -> int:
        multiple = (known.multiple_of if known else None) or 1
        if node is None:
            return multiple if kind == "int" else 1
        is_integer = isinstance(node.value, int) and not isinstance(node.value, bool)
        if kind != "int" or not is_integer or node.value < 1 or node.value % multiple:
            rule = f"a positive multiple of {multiple}" if multiple > 1 else "an integer of at least 1"
            self._problems.add(node.where, f"{name}: step is {node.plain!r}; it must be {rule}, and {name} an integer.")
            return multiple
        return int(node.value)

    def _value(self, label: str, node: Node, known: KnownParameter | None = None) -> ParamValue | None:
        """The checked value of `node`; None after noting what is wrong with it."""
        if known is None and self._vocabulary is not None:
            known = self._vocabulary.parameters.get(label)
            if known is None:
                return None
        try:
            return checked_value(label, node.plain, known)
        except ValueError as error:
            self._problems.add(node.where, str(error))
            return None

    def _conditions(self, name: str, whens: Sequence[Node]) -> tuple[Condition, ...]:
        conditions = []
        for node in whens:
            if not isinstance(node.value, dict) or not node.value:
                example = "{backbone: [resnet18]}"
                self._problems.add(node.where, f"{name}: `when` must name parameters and their values, such as {example}.")
                continue
            for parent, below in flattened(node, self._vocabulary, self._problems).items():
                items = below.value if isinstance(below.value, list) else [below]
                values = [self._value(parent, item) for item in items]
                conditions.append(Condition(name=parent, values=tuple(value for value in values if value is not None)))
                self._asked_at[(name, parent)] = below.where
        return tuple(conditions)


def _wrong_range(dimension: Dimension) -> str:
    if not dimension.low < dimension.high:
        equal = dimension.low == dimension.high
        remedy = "Write a single value under `fixed:`." if equal else "Swap the two."
        return f"empty range, low {dimension.low:g} is not below high {dimension.high:g}. {remedy}"
    if dimension.log and dimension.low <= 0:
        return f"log is true and low is {dimension.low:g}; a logarithmic range must begin above 0."
    if dimension.log and dimension.step > 1:
        return f"log is true and the step is {dimension.step}; give the values as choices instead."
    if dimension.kind == "int" and not (float(dimension.low).is_integer() and float(dimension.high).is_integer()):
        return f"low {dimension.low:g} and high {dimension.high:g} must be integers."
    if (dimension.high - dimension.low) % dimension.step and dimension.kind == "int":
        return f"high {dimension.high:g} is not low {dimension.low:g} plus a multiple of {dimension.step}."
    return ""
