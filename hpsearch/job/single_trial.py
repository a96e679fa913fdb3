"""One trial outside of a study: a start point of a space, some that a search may draw, or one that a study has tried."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.config import DataConfig, RunConfig
from hpsearch.errors import InputError
from hpsearch.job.inputs import configured, full_budget_of, read_dataset, read_inputs, read_run

if TYPE_CHECKING:
    from hpsearch.config import Params
    from hpsearch.data.dataset import Dataset
    from hpsearch.job.inputs import Inputs
    from hpsearch.search.types import TrialState

NUM_DRAWN = 4
"""Configurations that a picture shows where none is asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SingleTrial:
    """What to train."""

    config: RunConfig
    """Where the images come from, and how it computes."""
    dataset: Dataset
    """The images."""
    notes: tuple[str, ...]
    """What a user should know of data set and space."""
    params: Params
    """The configuration."""
    rungs: tuple[int, ...]
    """Images at which it is evaluated; the last one is the full training."""
    stored_px: int
    """Side at which images are stored."""
    seed: int
    """Seed of its training."""
    journaled: TrialState | None = None
    """What the study says of it, for a replay of the same."""


def of_space(data: str, space: str, seed: int | None, overrides: list[str]) -> Inputs:
    """Data set and space that a command names; the sample set and the first space where it names none.

    Raises:
        InputError: data or space are wrong.
    """
    config = RunConfig(data=DataConfig(source=data or "sample"), space=space, seed=seed or 0)
    config, fixed = configured(config, overrides)
    return read_inputs(config, fixed)


def from_start(inputs: Inputs, number: int | None) -> SingleTrial:
    """Start point `number` of the space, completed by drawing as the search does; None: the first, or a drawn one without any.

    Raises:
        InputError: there is no such start point.
    """
    start = inputs.space.start
    if number is not None and not 0 <= number < len(start):
        have = f"{len(start)} of them, counted from 0" if start else "none; leave --start out to draw a configuration"
        raise InputError(f"--start {number}: there is no such start point in the space; it has {have}.")
    return _drawn_around(inputs, number or 0, start[number or 0] if start else {})


def drawn(inputs: Inputs) -> list[SingleTrial]:
    """Some configurations that the search may draw, of one image size; they train on the same images, so that they compare."""
    first = _drawn_around(inputs, 0, {})
    size = {name: value for name, value in first.params.items() if name == "image_px"}
    others = [_drawn_around(inputs, number, size) for number in range(1, NUM_DRAWN)]
    return [first, *(dataclasses.replace(other, seed=first.seed) for other in others)]


def _drawn_around(inputs: Inputs, number: int, given: Params) -> SingleTrial:
    """What the search draws as trial `number` around what is given."""
    from hpsearch.search.sampler import random_generator
    from hpsearch.train.settings import trial_seed

    params = inputs.space.draw(random_generator(inputs.config.seed, number), given)
    return SingleTrial(
        config=inputs.config,
        dataset=inputs.dataset,
        notes=inputs.notes,
        params=params,
        rungs=inputs.rungs,
        stored_px=inputs.stored_px(params),
        seed=trial_seed(inputs.config.seed, number),
    )


def replayed(run: str, number: int, *, data: str, seed: int | None, overrides: list[str]) -> SingleTrial:
    """Trial `number` of a run, with its data, seed and rungs as far as nothing else is asked for.

    Args:
        run: The run's directory, or its address on an object store.
        number: Of the trial.
        data: Other images; empty: those of the run.
        seed: Another seed; None: the run's.
        overrides: Settings as `--set` gives them.

    Raises:
        InputError: there is no such run or trial, its data is not there any more, or it needs a plugin that is not named.
    """
    from hpsearch.job.place import looked_at
    from hpsearch.report.rebuild import run_events
    from hpsearch.search.fold import fold

    layout = looked_at(run, whole=False).layout
    study = fold(run_events(layout), str(layout.journal))
    if number not in study.trials:
        have = f"{len(study.trials)} trials, counted from 0" if study.trials else "no trial yet"
        raise InputError(f"--trial {number}: {run} has {have}.")
    state = study.trials[number]

    from hpsearch.search.space import Space
    from hpsearch.train.augment import cache_px  # brings torch, which a mistake above need not wait for
    from hpsearch.train.plugins import import_plugins
    from hpsearch.train.settings import settings_from, trial_seed
    from hpsearch.train.vocabulary import TrainVocabulary

    config, stored_px = read_run(layout)
    config, fixed = configured(config, overrides)
    _require_named(config, overrides, layout.config)
    if data:
        config = dataclasses.replace(config, data=dataclasses.replace(config.data, source=data))
    import_plugins(config.plugins)
    dataset = read_dataset(config)
    given = {"fixed": state.params, "limits": study.header["space"]["limits"]}
    params = Space.from_dict(given, TrainVocabulary(), fixed).fixed
    settings = settings_from(params)
    same = not fixed and seed is None and dataset.fingerprint == study.header["identity"]["data.fingerprint"]
    return SingleTrial(
        config=config,
        dataset=dataset,
        notes=dataset.notes,
        params=params,
        rungs=tuple(study.rungs) if same else config.search.rungs(full_budget_of(params, len(dataset.train))),
        stored_px=stored_px.get(settings.image_px) or cache_px(settings.augment, settings.image_px),
        seed=trial_seed(config.seed if seed is None else seed, state.number),
        journaled=state if same else None,
    )


def _require_named(config: RunConfig, overrides: list[str], file: Path) -> None:
    """A run may come from somebody else, so what it names is not imported for that alone."""
    named = configured(RunConfig(), overrides)[0].plugins
    if config.plugins != named:
        listed = ",".join(config.plugins)
        raise InputError(
            f"{file}: the run needs the Python module {config.plugins[0]!r}, which was not named. If you trust that module, "
            f"add --set 'plugins=[{listed}]'"
        )
