"""The `KEY=VALUE` options of `--set`, applied to a configuration."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, Literal

from hpsearch.config import RunConfig, nearest, shortened
from hpsearch.errors import InputError
from hpsearch.yaml_text import YamlMistakeError, read_tree

_KINDS = {int: "a whole number", float: "a number", bool: "true or false"}


def with_overrides(config: RunConfig, options: list[str]) -> RunConfig:
    """`config` with `KEY=VALUE` options applied, values read as YAML.

    Raises:
        InputError: an option without `=`, an unknown key (with the nearest known one), or a value of the wrong type.
    """
    for option in options:
        key, equals, text = option.partition("=")
        said = shortened(option)
        if not equals:
            raise InputError(f"--set {said}: expected KEY=VALUE, for example --set search.eta=4")
        config = _replaced(config, key.split("."), parse_value(text, said), said)
    return config


def parse_value(text: str, option: str) -> Any:
    """The YAML value of the right side of `option`.

    Raises:
        InputError: not valid YAML.
    """

    def refuse(where: str, message: str) -> None:
        raise YamlMistakeError(message.removesuffix("."))

    try:
        tree = read_tree(text, lambda line: f"line {line} of the value", refuse)
    except YamlMistakeError as error:
        raise InputError(f"--set {shortened(option)}: the value cannot be used: {error.reason}.") from error
    return None if tree is None else tree.plain


def _replaced(node: Any, path: list[str], value: Any, option: str) -> Any:
    names = [f.name for f in dataclasses.fields(node)]
    if path[0] not in names:
        raise InputError(f"--set {option}: unknown key {path[0]!r}{nearest(path[0], names)} Known here: {', '.join(names)}.")
    current = getattr(node, path[0])
    is_section = dataclasses.is_dataclass(current)
    if is_section != (len(path) > 1):
        inner = ", ".join(f.name for f in dataclasses.fields(current)) if dataclasses.is_dataclass(current) else ""
        raise InputError(
            f"--set {option}: {path[0]!r} is a section; name one of its keys: {inner}."
            if is_section
            else f"--set {option}: {path[0]!r} has no keys below it; write {path[0]}=VALUE."
        )
    if is_section:
        return dataclasses.replace(node, **{path[0]: _replaced(current, path[1:], value, option)})
    hint = typing.get_type_hints(type(node))[path[0]]
    return dataclasses.replace(node, **{path[0]: _typed(value, hint, option)})


def _typed(value: Any, hint: Any, option: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        words = [word for argument in arguments for word in typing.get_args(argument)]
        kind = next(argument for argument in arguments if argument is not type(None) and not typing.get_args(argument))
        return value if value in words else _typed(value, kind, option)
    if origin is Literal:
        if value in arguments:
            return value
        raise InputError(
            f"--set {option}: must be one of {', '.join(map(str, arguments))}{nearest(shortened(str(value)), arguments)}"
        )
    if origin is tuple:
        items = value if isinstance(value, list) else [value]
        return tuple(_typed(item, arguments[0], option) for item in items)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if hint is bool and isinstance(value, bool):
        return value
    if hint is str and isinstance(value, str) and "\0" in value:
        raise InputError(f"--set {option}: no name or path holds a character of code 0. Remove it.")
    if hint is str and (value is None or isinstance(value, str)):
        return value or ""
    if hint is str:
        found = f"text is needed, and YAML reads this as {type(value).__name__}"
        raise InputError(f"--set {option}: {found}. If it is text, quote it twice: '\"…\"'.")
    raise InputError(f"--set {option}: {_KINDS[hint]} is needed, not {shortened(repr(value))}.")
