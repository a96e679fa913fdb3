"""`python -m hpsearch.bench overhead`: what a study costs beside training."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import get_args

from hpsearch.cli import Parser
from hpsearch.config import Sampler, SearchConfig
from hpsearch.errors import InputError


def add_overhead(commands: argparse._SubParsersAction[Parser]) -> None:
    """Declares the command."""
    overhead = commands.add_parser("overhead", help="idle trials on Ray, and the engine's decisions in virtual time")
    add = overhead.add_argument
    add("--trials", type=int, default=100, metavar="N", help="idle trials on Ray (default: %(default)s)")
    add("--workers", type=int, default=2, metavar="N", help="worker processes (default: %(default)s)")
    add("--virtual-trials", type=int, default=2_000, metavar="N", help="simulated trials (default: %(default)s)")
    add("--virtual-workers", type=int, default=200, metavar="N", help="simulated workers (default: %(default)s)")
    add("--sampler", choices=get_args(Sampler), default=SearchConfig().sampler, help="of the simulation (default: %(default)s)")
    add("--json", type=Path, metavar="FILE", help="write all figures")
    overhead.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> str:
    from hpsearch.bench.overhead import as_text, time_engine, time_trials

    for name in ("trials", "workers", "virtual_trials", "virtual_workers"):
        if getattr(options, name) < 2:
            raise InputError(f"--{name.replace('_', '-')} {getattr(options, name)}: must be at least 2.")
    engine = time_engine(num_trials=options.virtual_trials, num_workers=options.virtual_workers, sampler=options.sampler)
    trials = time_trials(num_trials=options.trials, num_workers=options.workers)
    if options.json:
        figures = {"engine": asdict(engine), "trials": asdict(trials)}
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return as_text(engine, trials)
