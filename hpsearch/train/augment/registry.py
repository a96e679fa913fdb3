"""Which augmentations there are, what a space file may say of each, and how a user adds one of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpsearch.config import KnownParameter, nearest
from hpsearch.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from hpsearch.config import ParamValue

AugmentationFunction = Callable[..., "Tensor"]
"""`(images_bchw, uniforms_bu, **parameters) -> images_bchw`; images are float32 in [0, 1], uniforms in [0, 1)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """One parameter of an augmentation."""

    known: KnownParameter
    """What a space file may say of it."""
    default: ParamValue
    """Its value where the space file does not name it."""
    unit: str = ""
    """What its values count, as the axis of a plot says it; empty: a bare number or a word."""


def number(default: float, low: float, high: float, unit: str = "") -> Parameter:
    """A parameter that is a number in [low, high]."""
    return Parameter(known=KnownParameter(kind="float", low=low, high=high), default=default, unit=unit)


def integer(default: int, low: int, high: int, unit: str = "") -> Parameter:
    """A parameter that is a whole number in [low, high]."""
    return Parameter(known=KnownParameter(kind="int", low=low, high=high), default=default, unit=unit)


def text(default: str, *choices: str) -> Parameter:
    """A parameter that is one of `choices`."""
    return Parameter(known=KnownParameter(kind="text", choices=choices), default=default)


@dataclass(frozen=True, kw_only=True, slots=True)
class Declaration:
    """An augmentation as the registry knows it."""

    name: str
    """Its name below `augment.` in a space file."""
    parameters: Mapping[str, Parameter]
    """Its parameters; one called `p` is the share of images that it is applied to."""
    switch: str | None
    """The parameter whose default turns it off; None: it is on wherever it is named."""
    num_uniforms: int
    """Random numbers that it draws for each image; 0: it draws them itself, with the labels at hand."""
    apply: AugmentationFunction | None
    """What it does to images that drew it; None: part of the sampling or the colour pass, or of both."""
    order: int
    """Place among the functions; the sampling and the colour pass come before all of them."""
    builtin: bool
    """Whether it comes with hpsearch."""


_declarations: dict[str, Declaration] = {}


def register_augmentation(
    name: str,
    apply: AugmentationFunction,
    *,
    parameters: Mapping[str, Parameter],
    num_uniforms: int = 1,
    order: int = 250,
) -> None:
    """Makes an augmentation of your own known to space files as `augment.<name>.<parameter>`.

    Call it in a module that `--set plugins=[my_module]` names. Where there is a parameter `p`, `apply` is given only
    the images that drew it, and no `p`.

    Args:
        name: a new name.
        apply: `(images_bchw, uniforms_bu, **parameters) -> images_bchw`, on any device, of the same shape: float32 in
            [0, 1]. All randomness has to come from `uniforms_bu` (see also `randomness.pixel_normals`).
        parameters: made with `number`, `integer` and `text`.
        num_uniforms: columns of `uniforms_bu`.
        order: place among gamma 200, downscale 300, blur 400, noise 500, jpeg 600 and erase 700.

    Raises:
        InputError: the name is taken or has a dot.
    """
    known = _declarations.get(name)
    if known and (known.builtin or _origin(known.apply) != _origin(apply)):
        raise InputError(f"augmentation {name!r} is already registered; give yours another name.")
    if "." in name or any("." in parameter for parameter in parameters):
        raise InputError(f"augmentation {name!r}: its name and its parameters cannot have a dot; use an underscore.")
    declare(
        Declaration(
            name=name,
            parameters=dict(parameters),
            switch="p" if "p" in parameters else None,
            num_uniforms=num_uniforms,
            apply=apply,
            order=order,
            builtin=False,
        )
    )


def declare(declaration: Declaration) -> None:
    """Adds `declaration` to the registry, or replaces the one of its name."""
    _declarations[declaration.name] = declaration


def declaration(name: str) -> Declaration:
    """What the registry knows of the augmentation `name`.

    Raises:
        InputError: nothing; with the nearest known name.
    """
    if name not in _declarations:
        known = ", ".join(sorted(_declarations))
        raise InputError(f"augment.{name}: unknown augmentation{nearest(name, _declarations)} Known: {known}.")
    return _declarations[name]


def known_augmentations() -> dict[str, dict[str, KnownParameter]]:
    """What a space file may say below `augment.`: augmentation → parameter → its rule."""
    return {
        name: {key: parameter.known for key, parameter in entry.parameters.items()} for name, entry in _declarations.items()
    }


def unit_of(name: str) -> str:
    """Unit of `augment.<augmentation>.<parameter>`; empty: it has none, or nobody has registered it here."""
    _, _, rest = name.partition("augment.")
    augmentation, _, parameter = rest.partition(".")
    entry = _declarations.get(augmentation)
    return entry.parameters[parameter].unit if entry and parameter in entry.parameters else ""


def resolved(augment: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """`augment` with every parameter of every augmentation in it filled in and checked.

    Raises:
        InputError: an unknown augmentation or parameter (with the nearest known one), a value outside its range, or
            parameters of an augmentation that stays off because the one that turns it on is not given.
    """
    return {name: _with_defaults(declaration(name), given) for name, given in augment.items()}


def _with_defaults(entry: Declaration, given: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in given.items():
        if key not in entry.parameters:
            raise InputError(
                f"augment.{entry.name}.{key}: unknown parameter{nearest(key, entry.parameters)} "
                f"Known: {', '.join(entry.parameters)}."
            )
        _check(f"augment.{entry.name}.{key}", value, entry.parameters[key].known)
    if entry.switch and entry.switch not in given:
        raise InputError(
            f"augment.{entry.name}: given without {entry.switch!r}, so it would do nothing. "
            f"Add augment.{entry.name}.{entry.switch}, or leave {entry.name!r} out."
        )
    return {key: given.get(key, parameter.default) for key, parameter in entry.parameters.items()}


def _check(name: str, value: object, rule: KnownParameter) -> None:
    if rule.kind == "text":
        if rule.choices and value not in rule.choices:
            raise InputError(f"{name} is {value!r}{nearest(str(value), rule.choices)} Allowed: {', '.join(rule.choices)}.")
        return
    is_number = isinstance(value, int if rule.kind == "int" else int | float) and not isinstance(value, bool)
    low = float("-inf") if rule.low is None else rule.low
    high = float("inf") if rule.high is None else rule.high
    if not (is_number and low <= value <= high):  # type: ignore[operator]  # a number by now
        raise InputError(f"{name} is {value!r}; it must be {_KINDS[rule.kind]} between {low:g} and {high:g}.")


_KINDS = {"int": "a whole number", "float": "a number"}


def _origin(function: AugmentationFunction | None) -> tuple[str, str]:
    return getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
