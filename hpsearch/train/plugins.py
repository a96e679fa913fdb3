"""Imports a user's own modules, which register backbones or augmentations."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable

from hpsearch.errors import InputError
from hpsearch.model.backbones import registered_backbones
from hpsearch.train.augment import known_augmentations


def import_plugins(modules: Iterable[str]) -> None:
    """Imports each of `modules`; those that this process has imported already are left as they are.

    Raises:
        InputError: no such module, one that fails on import, or one that registers nothing.
    """
    for module in modules:
        if module not in sys.modules:
            _import(module)


def _import(module: str) -> None:
    before = _registered()
    try:
        importlib.import_module(module)
    except InputError:
        raise
    except ModuleNotFoundError as error:
        if not error.name or not f"{module}.".startswith(f"{error.name}."):
            raise InputError(f"plugin {module!r} needs {error.name!r}, which is not installed here.") from error
        raise InputError(
            f"plugin {module!r}: no such Python module. Give its import name (my_module for my_module.py) and put its "
            "folder on PYTHONPATH."
        ) from error
    except Exception as error:
        raise InputError(f"plugin {module!r} fails on import: {type(error).__name__}: {error}") from error
    if _registered() == before:
        del sys.modules[module]
        raise InputError(
            f"plugin {module!r} registers nothing. Call hpsearch.model.backbones.register_backbone or "
            "hpsearch.train.augment.register_augmentation in it, on import."
        )


def _registered() -> tuple[frozenset[str], frozenset[str]]:
    return registered_backbones(), frozenset(known_augmentations())
