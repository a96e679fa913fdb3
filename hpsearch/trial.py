"""`python -m hpsearch.trial`: trains one configuration here, without Ray: a start point of a space, or a trial of a run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.cli import Parser, add_set_option, guarded, leave
from hpsearch.errors import InputError
from hpsearch.files import require_place
from hpsearch.layout import MODEL_DESCRIPTION

if TYPE_CHECKING:
    import argparse

    import numpy as np
    from numpy.typing import NDArray

    from hpsearch.config import Params
    from hpsearch.data.training_data import TrainingData
    from hpsearch.job.single_trial import SingleTrial
    from hpsearch.train.result import RungResult
    from hpsearch.train.trial import TrialTrainer


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
    trials = asked_for(options)
    if options.show is not None:
        return picture(trials, options.show)
    (trial,) = trials
    return train(trial, options.device, options.export)


def asked_for(options: argparse.Namespace) -> list[SingleTrial]:
    """The trial to train; where a picture is asked for and none is named, several."""
    from hpsearch.job.single_trial import drawn, from_start, of_space, replayed

    data = options.data or ""
    if options.run is not None:
        return [replayed(options.run, options.trial, data=data, seed=options.seed, overrides=options.overrides)]
    inputs = of_space(data, options.space or "", options.seed, options.overrides)
    return drawn(inputs) if options.show is not None and options.start is None else [from_start(inputs, options.start)]


def picture(trials: Sequence[SingleTrial], file: Path) -> int:
    """Writes the first batch of each of `trials`, which are of one image size, as a PNG; returns the exit code."""
    from hpsearch.job.show import first_batch, title, write_grid
    from hpsearch.train.settings import settings_from

    data = opened(trials[0])
    for trial in trials[1:]:
        print("another configuration:")
        tell(trial.params)
    sections = [
        (first_batch(data.train, settings_from(trial.params), trial.seed), title(trial.params, trial.stored_px))
        for trial in trials
    ]
    write_grid(sections, file)
    print(f"above: as stored; below: as the network sees it. Written to {file}")
    return 0


def train(trial: SingleTrial, device: str, export: Path | None) -> int:
    """Trains `trial` rung by rung, and exports the model if asked to; returns the exit code."""
    from hpsearch.train.chosen_device import chosen_device
    from hpsearch.train.compiled import CompiledNetworks
    from hpsearch.train.settings import settings_from
    from hpsearch.train.trial import TrialTrainer

    device = chosen_device(device)
    data = opened(trial)
    budget = trial.rungs[-1]
    trainer = TrialTrainer(
        settings_from({**trial.params, "images_per_trial": budget}),
        data,
        seed=trial.seed,
        device=device,
        precision=trial.config.train.precision,
        compiled=CompiledNetworks(trial.config.train.compile),
        on_progress=lambda now: show(f"{now.images:,} of {budget:,} images, {now.images_per_second:,.0f} images/s"),
    )
    print(f"{trainer.num_parameters:,} parameters, weights {trainer.weights}, on {device}; {len(data.train):,} training images")
    print(
        f"{'images':>12} {'loss':>8} {'AUC':>8} {'accuracy':>9} {'majority':>9} {'images/s':>9}"
        + " journaled" * bool(trial.journaled)
    )
    for result in trainer.run(trial.rungs):
        show("")
        print(row(result, trial), flush=True)
        last = result
    if export is not None:
        write(trial, trainer, last, data.val.labels_n, export)
        print(f"model written to {export}")
    return 0


def opened(trial: SingleTrial) -> TrainingData:
    """The decoded images; says what is trained on which."""
    from hpsearch.data.processes import num_cores
    from hpsearch.data.training_data import open_training_data
    from hpsearch.job.inputs import cache_directory

    for note in trial.notes:
        print(note)
    tell(trial.params)
    data = open_training_data(
        trial.dataset,
        px=trial.stored_px,
        cache_dir=cache_directory(trial.config.data),
        num_workers=num_cores(),
        max_unreadable_fraction=trial.config.data.max_unreadable_fraction,
        progress=lambda done, total: show(f"decoding: {done:,} of {total:,} images"),
    )
    show("")
    return data


def tell(params: Params) -> None:
    """Prints a configuration."""
    print("\n".join(f"  {name} = {value}" for name, value in params.items()))


def row(result: RungResult, trial: SingleTrial) -> str:
    """One line of the table."""
    scores = result.scores
    line = f"{result.images:>12,} {result.train_loss:>8.4f} {scores.auc:>8.4f} {scores.accuracy:>9.4f}"
    line += f" {scores.majority_accuracy:>9.4f} {result.images_per_second:>9,.0f}"
    value = trial.journaled.values.get(result.images) if trial.journaled else None
    return line if value is None else f"{line} {value:>9.4f}"


def write(trial: SingleTrial, trainer: TrialTrainer, last: RungResult, labels_n: NDArray[np.int64], directory: Path) -> None:
    """Exports the trained model."""
    from hpsearch.final.export import export_trained

    export_trained(
        directory,
        trainer,
        params=trial.params,
        stored_px=trial.stored_px,
        seed=trial.seed,
        labels_n=labels_n,
        last=last,
        dataset=trial.dataset,
        plugins=trial.config.plugins,
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
    leave(main)
