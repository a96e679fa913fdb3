"""`python -m hpsearch.trial`: trains one configuration here, without Ray: a start point of a space, or a trial of a run."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.cli import Parser, add_set_option, guarded
from hpsearch.config import DataConfig, RunConfig
from hpsearch.errors import InputError
from hpsearch.files import require_place
from hpsearch.layout import MODEL_DESCRIPTION

if TYPE_CHECKING:
    import argparse

    import numpy as np
    from numpy.typing import NDArray

    from hpsearch.config import Params
    from hpsearch.data.dataset import Dataset
    from hpsearch.data.training_data import TrainingData
    from hpsearch.job.inputs import Inputs
    from hpsearch.search.types import TrialState
    from hpsearch.train.result import RungResult
    from hpsearch.train.trial import TrialTrainer


NUM_DRAWN = 4
"""Configurations that a picture shows where none is asked for."""


def parser() -> Parser:
    """The command's options."""
    options = Parser(prog="python -m hpsearch.trial", description=__doc__)
    add = options.add_argument
    add("--data", metavar="DIR", help="labelled images; default: the sample set, or what the run used")
    add("--space", metavar="FILE", help="a path or the name of a shipped space; default: quickstart")
    add(
        "--start",
        type=int,
        metavar="I",
        help="start point of the space, from 0; what it leaves out is drawn; default: 0, with --show none",
    )
    add("--from", dest="run", metavar="RUN", help="run to replay a trial of: its directory, or s3://BUCKET/PREFIX/NAME")
    add("--trial", type=int, metavar="N", help="number of the trial to replay")
    add("--seed", type=int, metavar="S", help="seed of what is drawn and of the training; default: 0, or the run's")
    add("--device", default="", help="cpu, cuda, cuda:1; default: a GPU where there is one")
    add("--export", type=Path, metavar="DIR", help="write the trained model there, for hpsearch.predict")
    add(
        "--show",
        nargs="?",
        type=Path,
        const=Path("augmented.png"),
        metavar="PNG",
        help="train nothing; write a picture of what the first batch looks like, with labels, of several drawn configurations "
        "where none is named; default: augmented.png",
    )
    add_set_option(options)
    return options


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
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


def command(argv: list[str]) -> int:
    """Trains, printing a line a rung; returns the exit code."""
    options = parser().parse_args(argv)
    if (options.run is None) != (options.trial is None):
        raise InputError("--from RUN and --trial N belong together, for example --from runs/faces --trial 3")
    if options.run is not None and (options.space or options.start is not None):
        raise InputError("--from RUN replays a trial in the space of its run; leave --space and --start out")
    if options.show is not None:
        if options.export is not None:
            raise InputError("--show trains nothing, so there is nothing to --export; leave one of the two out")
        require_place(options.show, "--show")
    if options.export is not None:
        require_place(options.export / MODEL_DESCRIPTION, "--export")
    if options.show is not None and options.run is None and options.start is None:
        return picture(drawn(options), options.show)
    order = replayed(options) if options.run is not None else from_start(options)
    if options.show is not None:
        return picture([order], options.show)
    return train(order, options.device, options.export)


def picture(orders: Sequence[Order], file: Path) -> int:
    """Writes the first batch of each of `orders`, which are of one image size, as a PNG; returns the exit code."""
    from hpsearch.job.show import first_batch, title, write_grid
    from hpsearch.train.settings import settings_from

    data = opened(orders[0])
    for order in orders[1:]:
        print("another configuration:")
        tell(order.params)
    sections = [
        (first_batch(data.train, settings_from(order.params), order.seed), title(order.params, order.stored_px))
        for order in orders
    ]
    write_grid(sections, file)
    print(f"above: as stored; below: as the network sees it. Written to {file}")
    return 0


def from_start(options: argparse.Namespace) -> Order:
    """A start point of the space, completed by drawing as the search does.

    Raises:
        InputError: there is no such start point, or data or space are wrong.
    """
    inputs = of_space(options)
    number, start = options.start or 0, inputs.space.start
    if options.start is not None and not 0 <= number < len(start):
        have = f"{len(start)} of them, counted from 0" if start else "none; leave --start out to draw a configuration"
        raise InputError(f"--start {number}: there is no such start point in the space; it has {have}.")
    return order_of(inputs, number, start[number] if start else {})


def drawn(options: argparse.Namespace) -> list[Order]:
    """Some configurations that the search may draw, of one image size; they train on the same images, so that they compare.

    Raises:
        InputError: data or space are wrong.
    """
    inputs = of_space(options)
    first = order_of(inputs, 0, {})
    size = {name: value for name, value in first.params.items() if name == "image_px"}
    others = [order_of(inputs, number, size) for number in range(1, NUM_DRAWN)]
    return [first, *(dataclasses.replace(order, seed=first.seed) for order in others)]


def of_space(options: argparse.Namespace) -> Inputs:
    """Data set and space that the options name."""
    from hpsearch.job.inputs import configured, read_inputs

    config = RunConfig(data=DataConfig(source=options.data or "sample"), space=options.space or "", seed=options.seed or 0)
    config, fixed = configured(config, options.overrides)
    return read_inputs(config, fixed)


def order_of(inputs: Inputs, number: int, given: Params) -> Order:
    """The configuration that trial `number` draws around `given`."""
    from hpsearch.search.sampler import random_generator
    from hpsearch.train.settings import trial_seed

    params = inputs.space.draw(random_generator(inputs.config.seed, number), given)
    return Order(
        config=inputs.config,
        dataset=inputs.dataset,
        notes=inputs.notes,
        params=params,
        rungs=inputs.rungs,
        stored_px=inputs.stored_px(params),
        seed=trial_seed(inputs.config.seed, number),
    )


def replayed(options: argparse.Namespace) -> Order:
    """A trial of a run, with its data, seed and rungs as far as options do not say otherwise.

    Raises:
        InputError: there is no such run or trial, or its data is not there any more.
    """
    from hpsearch.job.inputs import configured, full_budget_of, read_dataset, read_run
    from hpsearch.job.place import looked_at
    from hpsearch.report.rebuild import run_events
    from hpsearch.search.fold import fold

    layout = looked_at(options.run, whole=False).layout
    study = fold(run_events(layout))
    if options.trial not in study.trials:
        have = f"{len(study.trials)} trials, counted from 0" if study.trials else "no trial yet"
        raise InputError(f"--trial {options.trial}: {options.run} has {have}.")
    state = study.trials[options.trial]

    from hpsearch.search.space import Space
    from hpsearch.train.augment import cache_px  # brings torch, which a mistake above need not wait for
    from hpsearch.train.plugins import import_plugins
    from hpsearch.train.settings import settings_from, trial_seed
    from hpsearch.train.vocabulary import TrainVocabulary

    config, stored_px = read_run(layout)
    config, fixed = configured(config, options.overrides)
    if options.data:
        config = dataclasses.replace(config, data=dataclasses.replace(config.data, source=options.data))
    import_plugins(config.plugins)
    dataset = read_dataset(config)
    given = {"fixed": state.params, "limits": study.header["space"]["limits"]}
    params = Space.from_dict(given, TrainVocabulary(), fixed).fixed
    settings = settings_from(params)
    same = not fixed and options.seed is None and dataset.fingerprint == study.header["identity"]["data.fingerprint"]
    return Order(
        config=config,
        dataset=dataset,
        notes=dataset.notes,
        params=params,
        rungs=tuple(study.rungs) if same else config.search.rungs(full_budget_of(params, len(dataset.train))),
        stored_px=stored_px.get(settings.image_px) or cache_px(settings.augment, settings.image_px),
        seed=trial_seed(config.seed if options.seed is None else options.seed, state.number),
        journaled=state if same else None,
    )


def train(order: Order, device: str, export: Path | None) -> int:
    """Trains `order` rung by rung, and exports the model if asked to; returns the exit code."""
    from hpsearch.train.chosen_device import chosen_device
    from hpsearch.train.compiled import CompiledNetworks
    from hpsearch.train.settings import settings_from
    from hpsearch.train.trial import TrialTrainer

    device = chosen_device(device)
    data = opened(order)
    budget = order.rungs[-1]
    trainer = TrialTrainer(
        settings_from({**order.params, "images_per_trial": budget}),
        data,
        seed=order.seed,
        device=device,
        precision=order.config.train.precision,
        compiled=CompiledNetworks(order.config.train.compile),
        on_progress=lambda now: show(f"{now.images:,} of {budget:,} images, {now.images_per_second:,.0f} images/s"),
    )
    print(f"{trainer.num_parameters:,} parameters, weights {trainer.weights}, on {device}; {len(data.train):,} training images")
    print(
        f"{'images':>12} {'loss':>8} {'AUC':>8} {'accuracy':>9} {'majority':>9} {'images/s':>9}"
        + " journaled" * bool(order.journaled)
    )
    for result in trainer.run(order.rungs):
        show("")
        print(row(result, order), flush=True)
        last = result
    if export is not None:
        write(order, trainer, last, data.val.labels_n, export)
        print(f"model written to {export}")
    return 0


def opened(order: Order) -> TrainingData:
    """The decoded images; says what is trained on which."""
    from hpsearch.data.training_data import open_training_data
    from hpsearch.job.inputs import cache_directory, num_cores

    for note in order.notes:
        print(note)
    tell(order.params)
    data = open_training_data(
        order.dataset,
        px=order.stored_px,
        cache_dir=cache_directory(order.config.data),
        num_workers=num_cores(),
        max_unreadable_fraction=order.config.data.max_unreadable_fraction,
        progress=lambda done, total: show(f"decoding: {done:,} of {total:,} images"),
    )
    show("")
    return data


def tell(params: Params) -> None:
    """Prints a configuration."""
    print("\n".join(f"  {name} = {value}" for name, value in params.items()))


def row(result: RungResult, order: Order) -> str:
    """One line of the table."""
    scores = result.scores
    line = f"{result.images:>12,} {result.train_loss:>8.4f} {scores.auc:>8.4f} {scores.accuracy:>9.4f}"
    line += f" {scores.majority_accuracy:>9.4f} {result.images_per_second:>9,.0f}"
    value = order.journaled.values.get(result.images) if order.journaled else None
    return line if value is None else f"{line} {value:>9.4f}"


def write(order: Order, trainer: TrialTrainer, last: RungResult, labels_n: NDArray[np.int64], directory: Path) -> None:
    """Exports the trained model."""
    from hpsearch.final.export import export_trained

    export_trained(
        directory,
        trainer,
        params=order.params,
        stored_px=order.stored_px,
        seed=order.seed,
        labels_n=labels_n,
        last=last,
        dataset=order.dataset,
        plugins=order.config.plugins,
    )


def show(text: str) -> None:
    """Replaces the line of progress on a terminal; elsewhere nothing."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()


def main() -> int:
    """Entry point."""
    return guarded(command)


if __name__ == "__main__":
    sys.exit(main())
