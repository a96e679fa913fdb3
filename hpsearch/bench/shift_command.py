"""`python -m hpsearch.bench shift`: what choosing by `shift_auc` is worth where the forgeries of the test are new."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hpsearch.cli import Parser
from hpsearch.errors import InputError


def add_shift(commands: argparse._SubParsersAction[Parser]) -> None:
    """Adds the command."""
    shift = commands.add_parser("shift", help="holdout AUC of what auc and shift_auc choose, on a set with a planted shift")
    default = " (default: %(default)s)"
    add = shift.add_argument
    add("--seeds", type=int, default=8, metavar="N", help=f"planted sets{default}")
    add("--first-seed", type=int, default=0, metavar="N", help=f"the first one{default}")
    add("--dir", type=Path, default=Path("build/planted"), metavar="DIR", help=f"where the images are kept{default}")
    shift.set_defaults(run=_shift)


def _shift(arguments: argparse.Namespace) -> str:
    from hpsearch.bench.planted_shift import as_text, run_seed
    from hpsearch.data.processes import num_cores

    if arguments.seeds < 1:
        raise InputError(f"--seeds {arguments.seeds}: must be at least 1.")
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    results = {seed: run_seed(seed, cache_dir=arguments.dir, num_workers=num_cores(), tell=_tell) for seed in seeds}
    sys.stderr.write("\n")
    return as_text(results)


def _tell(what: str) -> None:
    sys.stderr.write(f"\r{what:<50}")  # written over what was said before
