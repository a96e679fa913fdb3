"""`python -m hpsearch.bench confirm`: how much too good a winner's first score is, and what fresh seeds change."""

from __future__ import annotations

import argparse
import sys
from typing import get_args

from hpsearch.cli import Parser
from hpsearch.config import Sampler
from hpsearch.errors import InputError


def add_confirm(commands: argparse._SubParsersAction[Parser]) -> None:
    """Adds the command."""
    confirm = commands.add_parser("confirm", help="optimism of winners before and after fresh seeds, in virtual time")
    default = " (default: %(default)s)"
    add = confirm.add_argument
    add("--tables", type=int, default=5, metavar="N", help=f"the first N{default}")
    add("--seeds", type=int, default=1, metavar="N", help=f"studies of each table{default}")
    add("--budget", type=int, default=10, metavar="N", help=f"full trainings of a search{default}")
    add("--finalists", type=int, default=5, metavar="N", help=f"trials that are trained again at most{default}")
    add("--repeats", type=int, default=3, metavar="N", help=f"fresh seeds of one at most{default}")
    add("--sampler", choices=get_args(Sampler), default="gp", help=f"what proposes trials{default}")
    confirm.set_defaults(run=_confirm)


def _confirm(arguments: argparse.Namespace) -> str:
    from hpsearch.bench.confirmed_study import as_text, run_study
    from hpsearch.bench.table_tasks import TABLES

    if not 1 <= arguments.tables <= len(TABLES):
        raise InputError(f"--tables {arguments.tables}: there are 1 to {len(TABLES)}.")
    for name in ("seeds", "budget", "finalists", "repeats"):
        if getattr(arguments, name) < 1:
            raise InputError(f"--{name} {getattr(arguments, name)}: must be at least 1.")
    studies = []
    for table in range(arguments.tables):
        for seed in range(arguments.seeds):
            sys.stderr.write(f"\rtable {table + 1} of {arguments.tables}, study {seed + 1} ")
            studies.append(
                run_study(
                    table,
                    seed,
                    budget=arguments.budget,
                    sampler=arguments.sampler,
                    num_finalists=arguments.finalists,
                    max_repeats=arguments.repeats,
                )
            )
    return as_text(studies)
