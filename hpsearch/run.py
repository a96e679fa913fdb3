"""`python -m hpsearch.run`: searches, retrains the best configuration, exports it, writes the submission and the report."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.cli import Parser, add_set_option, guarded, leave, stderr_line, use_json_lines
from hpsearch.config import BudgetConfig, DataConfig, RunConfig
from hpsearch.errors import EXIT_DONE, InputError

if TYPE_CHECKING:
    import argparse

    from hpsearch.job.inputs import Inputs
    from hpsearch.job.phases import Run

DEFAULT_TRIALS = 24
"""Trials of a run that names no budget."""
SAMPLE_MINUTES = 4.0
"""Minutes of such a run on the sample set, which is there to see the whole job done soon."""
DISPLAY_MODES = ("auto", "rich", "plain", "json", "quiet")


def parser() -> Parser:
    """The command's options."""
    options = Parser(prog="python -m hpsearch.run", description=__doc__)
    add = options.add_argument
    add(
        "--data",
        metavar="DIR",
        help="labelled images: the competition's layout, real/ and fake/, or a CSV; also s3://BUCKET/PREFIX, or driver://DIR "
        "for a cluster that does not see DIR; default: a sample set",
    )
    add("--space", metavar="FILE", help="what is searched: a path or the name of a shipped space; default: quickstart")
    add("--retrain", type=Path, metavar="FILE", help="train the configuration of a model.json to the end, without a search")
    add("--name", help="name of the run directory; the same name continues the same study; default: a new one")
    add("--out", metavar="DIR", help="parent of run directories, or s3://BUCKET/PREFIX; default: runs")
    add("--address", help="Ray cluster: auto, HOST:PORT or ray://HOST:PORT; default: a Ray inside this machine")
    add("--plan", action="store_true", help="print what would happen and stop, with --json as one JSON line")
    add("--trials", type=int, metavar="N", help=f"trials to start at most; default: {DEFAULT_TRIALS} where no budget is given")
    add("--minutes", type=float, metavar="M", help="wall minutes of the whole command, restarts and retraining included")
    add("--gpu-hours", type=float, metavar="H", help="GPU hours of trials and retraining, over restarts")
    add("--warm-start", nargs="+", metavar="RUN", help="runs over the same parameters whose trials the sampler is told of")
    add("--seed", type=int, metavar="S", help="seed of sampler, splits and training; default: 0")
    add(
        "--display",
        choices=DISPLAY_MODES,
        default="auto",
        help="how progress is shown; auto: a panel on a terminal, else lines",
    )
    for mode, what in (("quiet", "show only how it ended, or the plan"), ("json", "show events and end as JSON lines")):
        add(f"--{mode}", dest="display", action="store_const", const=mode, help=f"{what}; the same as --display {mode}")
    add_set_option(options)
    return options


def requested(options: argparse.Namespace) -> RunConfig:
    """The configuration that the named options ask for."""
    budget = BudgetConfig(trials=options.trials, minutes=options.minutes, gpu_hours=options.gpu_hours)
    names = ("space", "name", "out", "address", "seed")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    config = RunConfig(budget=budget, warm_start=tuple(options.warm_start or ()), **given)
    return dataclasses.replace(config, data=DataConfig(source=options.data)) if options.data is not None else config


def with_defaults(config: RunConfig) -> RunConfig:
    """`config` with the name and the budget that it leaves open."""
    budget = config.budget
    if budget.trials is None and budget.minutes is None and budget.gpu_hours is None:
        minutes = SAMPLE_MINUTES if config.data.source == DataConfig().source else None
        config = dataclasses.replace(config, budget=BudgetConfig(trials=DEFAULT_TRIALS, minutes=minutes))
    return config if config.name else dataclasses.replace(config, name=new_name(config))


def new_name(config: RunConfig, what: str = "") -> str:
    """`<space>-<date>-<n>` with the first n that is free below `config.out`; `what` stands in for the space."""
    from hpsearch.job.place import is_taken

    stem = f"{what or Path(config.space or 'quickstart').stem}-{time.strftime('%Y%m%d')}"
    return next(name for n in range(1, 10_000) if not is_taken(config, name := f"{stem}-{n}"))


def reserved(config: RunConfig) -> RunConfig:
    """`config`, its run directory made; with the next free name where another call has taken that one meanwhile."""
    from hpsearch.data.remote import is_remote

    while not is_remote(config.out):
        try:
            Path(config.out, config.name).mkdir(parents=True)
        except FileExistsError:
            taken, config = config.name, dataclasses.replace(config, name=new_name(config))
            if config.name == taken:  # `out` itself is a file, which is said where it is used
                break
        except OSError:  # likewise
            break
        else:
            break
    return config


def command(argv: list[str]) -> int:
    """Does the whole job; returns the exit code."""
    began = time.monotonic()
    options = parser().parse_args(argv)
    if options.display == "json":
        use_json_lines()
    from hpsearch.job.inputs import configured, read_inputs

    config, fixed = configured(requested(options), options.overrides)
    if options.retrain is not None:
        return retrained(options, config, fixed, began)
    has_name = bool(config.name)
    inputs = read_inputs(with_defaults(config), fixed)
    if options.plan:
        return planned(inputs, options.display)
    from hpsearch.job.phases import Run

    if not has_name:
        inputs = dataclasses.replace(inputs, config=reserved(inputs.config))
    return driven(Run(inputs, display_mode=options.display, began=began), as_json=options.display == "json")


def planned(inputs: Inputs, display: str) -> int:
    """Prints what the run would do, with `--quiet` too, since it was asked for; returns the exit code."""
    from hpsearch.job.plan import plan

    def say(text: str) -> None:
        if display != "quiet":
            sys.stderr.write(stderr_line("event", text))

    found = plan(inputs, say)
    facts = {"time": time.time(), "kind": "plan", **dataclasses.asdict(found), "text": found.text}
    print(json.dumps(facts) if display == "json" else found.text)
    return EXIT_DONE


def retrained(options: argparse.Namespace, config: RunConfig, fixed: dict[str, Any], began: float) -> int:
    """Trains the configuration of `--retrain`; returns the exit code.

    Raises:
        InputError: an option that belongs to a search.
    """
    searching = ("space", "warm_start", "trials", "minutes", "gpu_hours")
    named = [f"--{name.replace('_', '-')}" for name in searching if getattr(options, name) is not None]
    named += ["--plan"] * options.plan
    if named:
        raise InputError(f"--retrain trains one known configuration, so {', '.join(named)} has no meaning; leave it out.")
    from hpsearch.job.retrain_given import GivenRun, given_inputs

    config = dataclasses.replace(config, budget=BudgetConfig(trials=1), name=config.name or new_name(config, "retrained"))
    run = GivenRun(given_inputs(options.retrain, config, fixed), display_mode=options.display, began=began)
    return driven(run, as_json=options.display == "json")


def driven(run: Run, *, as_json: bool) -> int:
    """Does the whole job and prints how it ended; returns the exit code."""
    from hpsearch.execute.interrupt import listen_everywhere

    listen_everywhere()
    code = run.whole_job()
    ending = {"time": time.time(), "kind": "ended", "exit_code": code, "result": str(run.layout.result), "text": run.last_words}
    try:
        print(json.dumps(ending) if as_json else run.last_words, flush=True)
    except OSError:  # nobody reads any more; `hpsearch.status` says it again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def main() -> int:
    """Entry point."""
    return guarded(command)


if __name__ == "__main__":
    leave(main)
