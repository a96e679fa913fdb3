"""What a command is to work on: options, data set and space, read and checked before any training."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.cli import find_space
from hpsearch.config import DataConfig, Params, ResourcesConfig, RunConfig, config_from
from hpsearch.errors import InputError
from hpsearch.layout import RunLayout
from hpsearch.overrides import parse_value, with_overrides
from hpsearch.train.settings import TrialSettings, full_budget, known_parameters, settings_from
from hpsearch.yaml_text import YamlMistakeError, read_plain

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hpsearch.data.dataset import Dataset
    from hpsearch.judge.scan import ImageScan
    from hpsearch.search.fold import Study
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
    earlier: dict[str, Study]
    """Run directory → the study there, for a warm start."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of data set and space: what was found, and what of it is not used."""
        return (*self.dataset.notes, *self.space.notes)

    def stored_px_by_size(self) -> dict[int, int]:
        """`image_px` → side at which its images are stored; one for all trials of a size, so that they share a cache."""
        from hpsearch.train.augment import cache_px

        modes = self.space.values_of("augment.crop.mode") or ("resize",)
        ratios = [value for value in self.space.values_of("augment.crop.ratio") if isinstance(value, int | float)]
        scales = [value for value in self.space.values_of("augment.crop.scale_min") if isinstance(value, int | float)]
        widest = {**({"ratio": max(ratios)} if ratios else {}), **({"scale_min": min(scales)} if scales else {})}
        crops = [{"crop": {"mode": mode, **widest}} for mode in modes]
        return {px: max(cache_px(crop, px) for crop in crops) for px in self._image_sizes()}

    def stored_px(self, params: Params) -> int:
        """Side at which the images of one configuration are stored."""
        return self.stored_px_by_size()[settings_from(params).image_px]

    def _image_sizes(self) -> list[int]:
        sizes: set[int] = set()
        for dimension in self.space.dimensions:
            if dimension.name == "image_px":
                sizes.update(
                    int(px) for px in dimension.choices or range(int(dimension.low), int(dimension.high) + 1, dimension.step)
                )
        return sorted(sizes) or [int(self.space.fixed.get("image_px", TrialSettings().image_px))]


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
        InputError: an unknown key (where it is a parameter of a trial the message says how to fix that), or a lack of one.
    """
    settings, fixed = split_overrides(options)
    for option in settings:
        name = option.partition("=")[0]
        if name in known_parameters() or name.startswith("augment."):
            raise InputError(f"--set {option}: {name} is a parameter of a trial; write --set {FIXED}{option}")
    config = with_overrides(config, settings)
    _require_request(config.resources)
    return config, fixed


def _require_request(resources: ResourcesConfig) -> None:
    """What an autoscaler is asked for has to be known before there is a node to look at."""
    missing = [name for name in ("gpus_per_trial", "cpus_per_trial", "max_slots") if getattr(resources, name) in (None, "auto")]
    if resources.autoscale and missing:
        named = " ".join(f"resources.{name}=N" for name in missing)
        raise InputError(f"resources.autoscale=true needs to know what to ask for; add --set {named}")


def read_inputs(config: RunConfig, fixed: dict[str, Any]) -> Inputs:
    """Reads data set and space.

    Raises:
        InputError: whatever is wrong with them, with file and line.
    """
    space_file = find_space(config.space or DEFAULT_SPACE)
    _require_source(config.data)

    from hpsearch.job.start_weights import check_start_weights  # brings torch, for which a mistake above need not wait
    from hpsearch.search.space import Space
    from hpsearch.train.plugins import import_plugins
    from hpsearch.train.vocabulary import TrainVocabulary

    import_plugins(config.plugins)
    space = Space.load(space_file, TrainVocabulary(), fixed)
    check_start_weights(space, config.train.weights_policy)
    dataset = read_dataset(config)
    images = full_budget_of(space.fixed, len(dataset.train))
    return Inputs(
        config=config,
        dataset=dataset,
        space=space,
        images_per_trial=images,
        rungs=config.search.rungs(images),
        earlier=earlier_studies(config, space) if config.warm_start else {},
    )


def _require_source(data: DataConfig) -> None:
    from hpsearch.data.find import require_layout
    from hpsearch.data.remote import is_remote

    if data.source != SAMPLE and not is_remote(data.source):
        require_layout(Path(data.source))


def earlier_studies(config: RunConfig, space: Space) -> dict[str, Study]:
    """The studies that `--warm-start` names, by the names of their runs.

    Raises:
        InputError: one of them is no run, is this run itself, or has none of the parameters of `space`.
    """
    from hpsearch.job.place import looked_at, name_of, run_of
    from hpsearch.report.rebuild import run_events
    from hpsearch.search.fold import fold
    from hpsearch.search.warm_start import earlier_events

    studies: dict[str, Study] = {}
    for given in config.warm_start:
        name = name_of(given)
        if name == name_of(run_of(config)):
            raise InputError(f"--warm-start {name}: this is the run itself, which knows its own trials. Leave it out.")
        layout = looked_at(given, whole=False).layout
        studies[name] = fold(run_events(layout), str(layout.journal))
        earlier_events(space, studies[name], name, config.seed)
    return studies


def read_dataset(config: RunConfig) -> Dataset:
    """The data set that `--data` names, split as the configuration says; the sample set is made first, where it is not there.

    Raises:
        InputError: whatever is wrong with its files, or too few groups for the split.
    """
    from hpsearch.data.find import find_dataset
    from hpsearch.data.remote import is_remote
    from hpsearch.data.sample_set import make_sample_set
    from hpsearch.judge.splits import SplitRules, judged

    data = config.data
    source = _fetched(data) if is_remote(data.source) else Path(data.source)
    if data.source == SAMPLE and not source.exists():
        source = make_sample_set(cache_directory(data) / f"sample-{config.seed}", seed=config.seed)
    rules = SplitRules(
        val_fraction=data.val_fraction,
        holdout=config.judge.holdout,
        shift=config.judge.shift,
        objective=config.search.objective,
        seed=config.seed,
    )
    dataset = find_dataset(source, val_fraction=data.val_fraction, seed=config.seed)
    if is_remote(data.source):
        dataset = replace(dataset, source=data.source)  # every node fetches it from there
    features = _network_features(data) if config.judge.clusters == "network" else None
    return judged(dataset, rules, scanner(data), features)


def _fetched(data: DataConfig) -> Path:
    from hpsearch.data.remote import ON_DRIVER, link_on_driver, local_copy

    if data.source.startswith(ON_DRIVER):
        return link_on_driver(data.source, cache_directory(data))

    def show(done: int, total: int) -> None:
        if done % 1000 == 0 or done == total:
            sys.stderr.write(f"fetched {done:,} of {total:,} files from {data.source}\n")

    return local_copy(data.source, cache_directory(data), show)


def scanner(data: DataConfig) -> Callable[[Sequence[str]], ImageScan]:
    """What scans image files with this node's cores and cache, and says so on a terminal."""
    from hpsearch.data.processes import num_cores
    from hpsearch.judge.scan import scan

    show = functools.partial(_show, "looking at images")
    return functools.partial(scan, cache_dir=cache_directory(data), num_workers=num_cores(), progress=show)


def _network_features(data: DataConfig) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    from hpsearch.data.processes import num_cores
    from hpsearch.judge.network_features import network_features

    show = functools.partial(_show, "a network looks at images")
    return functools.partial(network_features, cache_dir=cache_directory(data), num_workers=num_cores(), progress=show)


def _show(what: str, done: int, total: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{what}: {done:,} of {total:,}" + "\n" * (done == total))


def cache_directory(data: DataConfig) -> Path:
    """Where decoded images lie on this node."""
    if data.cache_dir:
        return Path(data.cache_dir).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "hpsearch"


def read_run(layout: RunLayout) -> tuple[RunConfig, dict[int, int]]:
    """The configuration of a run, and the sides at which its images are stored.

    Raises:
        InputError: it has none, or one of another version.
    """
    try:
        content = read_plain(layout.config.read_text(encoding="utf-8"))
        return config_from(content["config"]), dict(content["data"]["stored_px"])
    except (OSError, UnicodeDecodeError, YamlMistakeError, KeyError, TypeError) as error:
        raise InputError(f"{layout.config}: cannot be read ({error}). Start the run again to write it anew.") from error


def full_budget_of(params: Params, num_train: int) -> int:
    """Images of a full training of `params` on `num_train` images."""
    return full_budget(settings_from(params), num_train)
