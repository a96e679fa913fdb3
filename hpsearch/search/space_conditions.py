"""What `when` may ask for, and the order of dimensions that follows from it."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from hpsearch.config import Params, ParamValue, nearest
from hpsearch.search.dimension import Condition, Dimension
from hpsearch.search.space_file import Problems


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """A dimension and where it stands."""

    dimension: Dimension
    """What was read."""
    where: str
    """`file:line`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConditionRules:
    """Checks and sorts the dimensions of one space."""

    fixed: Params
    """Parameters that have one value."""
    overridden: Container[str]
    """Parameters fixed from outside the file, to values of which its conditions need not know."""
    asked_at: Mapping[tuple[str, str], str]
    """(parameter, parameter that it asks for) → `file:line`."""
    problems: Problems
    """Takes what is wrong."""

    def check(self, placed: Sequence[Placed]) -> None:
        """Every condition asks for a value that its parameter can have."""
        by_name: dict[str, list[Dimension]] = {}
        for one in placed:
            by_name.setdefault(one.dimension.name, []).append(one.dimension)
        for one in placed:
            for condition in one.dimension.when:
                if condition.name not in self.overridden:
                    where = self.asked_at.get((one.dimension.name, condition.name), one.where)
                    wrong = self._wrong(condition, by_name)
                    if wrong:
                        self.problems.add(where, f"{one.dimension.name}: {wrong}")

    def _wrong(self, condition: Condition, by_name: Mapping[str, list[Dimension]]) -> str:
        parents = by_name.get(condition.name, [])
        if not parents and condition.name not in self.fixed:
            known = [*by_name, *self.fixed]
            hint = nearest(condition.name, known)
            return f"`when` asks for {condition.name!r}, which this space neither searches nor fixes{hint}"
        if any(parent.kind == "float" for parent in parents):
            return f"`when` asks for {condition.name}, which is a range of numbers; conditions need choices."
        for value in condition.values:
            if not (self.fixed.get(condition.name) == value or any(parent.contains(value) for parent in parents)):
                return f"{condition.name} is never {value!r} here{nearest(str(value), self._values(condition.name, parents))}"
        return ""

    def _values(self, name: str, parents: Sequence[Dimension]) -> list[str]:
        values: list[ParamValue] = [choice for parent in parents for choice in parent.choices]
        return [str(value) for value in (*values, *([self.fixed[name]] if name in self.fixed else []))]

    def ordered(self, placed: Sequence[Placed]) -> list[Placed]:
        """Those that can be there at all, in file order except that each comes after all that it depends on."""
        waiting = [one for one in placed if self._can_be_active(one.dimension)]
        known = {*self.fixed, *(one.dimension.name for one in waiting)}
        ordered: list[Placed] = []
        while waiting:
            open_names = {one.dimension.name for one in waiting}
            ready = [one for one in waiting if not any(condition.name in open_names for condition in one.dimension.when)]
            if not ready:
                names = ", ".join(sorted(open_names))
                self.problems.add(waiting[0].where, f"`when` goes in a circle among {names}; no value can be drawn first.")
                break
            ordered += [one for one in ready if all(condition.name in known for condition in one.dimension.when)]
            waiting = [one for one in waiting if one not in ready]
            known = {*self.fixed, *(one.dimension.name for one in (*ordered, *waiting))}
        return ordered

    def _can_be_active(self, dimension: Dimension) -> bool:
        return all(condition.holds(self.fixed) for condition in dimension.when if condition.name in self.fixed)
