"""What a command is to work on: options, data set and space, read and checked before any training."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.cli import find_space
from hpsearch.config import DataConfig, Params, RunConfig, parse_value, with_overrides
from hpsearch.errors import InputError

if TYPE_CHECKING:
    from hpsearch.data.dataset import Dataset
    from hpsearch.search.space import Space

DEFAULT_SPACE = "quickstart"
SAMPLE = "sample"
FIXED = "fixed."


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """Data set and space of one command, checked."""

    config: RunConfig
    """Options, resolved."""
    dataset: Dataset
    """Labelled images, and the template where there is one."""
    space: Space
    """What is searched."""
    images_per_trial: int
    """Full budget of a trial."""
    rungs: tuple[int, ...]
    """Images at each rung."""

    def stored_px(self, params: Params) -> int:
        """Side at which images are stored for `params`; the same for all trials of one image size, so that they share them."""
        from hpsearch.train.augment import cache_px
        from hpsearch.train.settings import settings_from

        crops = [value for value in self.space.values_of("augment.crop.ratio") if isinstance(value, int | float)]
        largest = {"augment.crop.ratio": max(crops)} if "augment.crop.ratio" in params and crops else {}
        settings = settings_from({**params, **largest})
        return cache_px(settings.augment, settings.image_px)


def split_overrides(options: list[str]) -> tuple[list[str], dict[str, Any]]:
    """`--set` options as those of the configuration, and those that fix a parameter of the space (`fixed.NAME=VALUE`)."""
    settings = [option for option in options if not option.startswith(FIXED)]
    fixed = {}
    for option in options:
        if option.startswith(FIXED):
            name, equals, text = option.removeprefix(FIXED).partition("=")
            if not equals:
                raise InputError(f"--set {option}: expected KEY=VALUE, for example --set fixed.image_px=64")
            fixed[name] = parse_value(text, option)
    return settings, fixed


def configured(config: RunConfig, options: list[str]) -> tuple[RunConfig, dict[str, Any]]:
    """`config` with `--set` options applied, and the parameters that they fix.

    Raises:
        InputError: an unknown key; where it is a parameter of a trial the message says how to fix that.
    """
    from hpsearch.train.settings import known_parameters

    settings, fixed = split_overrides(options)
    for option in settings:
        name = option.partition("=")[0]
        if name in known_parameters() or name.startswith("augment."):
            raise InputError(f"--set {option}: {name} is a parameter of a trial; write --set {FIXED}{option}")
    return with_overrides(config, settings), fixed


def read_inputs(config: RunConfig, fixed: dict[str, Any]) -> Inputs:
    """Reads data set and space.

    Raises:
        InputError: whatever is wrong with them, with file and line.
    """
    from hpsearch.search.space import Space
    from hpsearch.train.plugins import import_plugins
    from hpsearch.train.vocabulary import TrainVocabulary

    import_plugins(config.plugins)
    space = Space.load(find_space(config.space or DEFAULT_SPACE), TrainVocabulary(), fixed)
    dataset = read_dataset(config.data, config.seed)
    images = full_budget(space, len(dataset.train))
    return Inputs(config=config, dataset=dataset, space=space, images_per_trial=images, rungs=config.search.rungs(images))


def read_dataset(data: DataConfig, seed: int) -> Dataset:
    """The data set that `--data` names; the sample set is made first, where it is not there yet.

    Raises:
        InputError: whatever is wrong with its files.
    """
    from hpsearch.data.find import find_dataset
    from hpsearch.data.sample_set import make_sample_set

    source = Path(data.source)
    if data.source == SAMPLE and not source.exists():
        source = make_sample_set(cache_directory(data) / f"sample-{seed}", seed=seed)
    return find_dataset(source, val_fraction=data.val_fraction, seed=seed)


def cache_directory(data: DataConfig) -> Path:
    """Where decoded images lie on this node."""
    if data.cache_dir:
        return Path(data.cache_dir).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "hpsearch"


def full_budget(space: Space, num_train: int) -> int:
    """Images of a full training, from `images_per_trial` or `epochs` of the space.

    Raises:
        InputError: one of them is searched, which would make rungs incomparable.
    """
    for name in ("images_per_trial", "epochs"):
        if len(space.values_of(name)) > 1:
            raise InputError(f"{name} has a range in the space file; trials are compared at equal budgets. Move it to `fixed`.")
    images = space.fixed.get("images_per_trial", "none")
    if images != "none":
        return int(images)
    return max(1, round(float(space.fixed.get("epochs", 10.0)) * num_train))


def start_point(space: Space, index: int) -> Params:
    """Start point `index` of the space, from 0.

    Raises:
        InputError: there is no such start point.
    """
    if not 0 <= index < len(space.start):
        have = f"0 to {len(space.start) - 1}" if space.start else "none"
        raise InputError(f"--start {index}: the space file has start points {have}.")
    return space.start[index]
