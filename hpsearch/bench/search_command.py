"""`python -m hpsearch.bench search`: search methods against each other, in virtual time or on real images."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.bench.methods import METHODS, SUITES
from hpsearch.bench.real_search import add_real_options, run_real
from hpsearch.cli import Parser
from hpsearch.config import nearest
from hpsearch.errors import InputError

if TYPE_CHECKING:
    from hpsearch.bench.search_quality import Case


def add_search(commands: argparse._SubParsersAction[Parser]) -> None:
    """Adds the command and its options."""
    search = commands.add_parser("search", help="search methods against each other, in virtual time or (--real) on images")
    search.add_argument("--tasks", default="400:800", metavar="A:B", help="indices of the FT-PFN tasks (default: %(default)s)")
    search.add_argument("--seeds", type=int, default=2, metavar="N", help="seeds of each task (default: %(default)s)")
    search.add_argument("--budgets", default="5,10,20", metavar="N,…", help="full trainings (default: %(default)s)")
    search.add_argument("--methods", nargs="+", default=list(METHODS), metavar="METHOD", help=f"of {', '.join(METHODS)}")
    search.add_argument("--suites", nargs="+", default=list(SUITES), metavar="SUITE", help=f"of {', '.join(SUITES)}")
    search.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    search.add_argument("--plot", type=Path, metavar="FILE", help="draw regret by budget (HTML)")
    search.add_argument("--processes", type=int, default=1, metavar="N", help="simulations at the same time")
    search.add_argument(
        "--results",
        type=Path,
        default=Path("runs/bench/search.jsonl"),
        metavar="FILE",
        help="every simulation's result, for later calls; remove it when a method changes (default: %(default)s)",
    )
    add_real_options(search)
    search.set_defaults(run=_search)


def _search(arguments: argparse.Namespace) -> str:
    if arguments.real:
        return run_real(arguments)
    from hpsearch.bench.search_quality import Results, run_cases
    from hpsearch.bench.search_table import as_text, collect, make_rows, write_json, write_plot

    budgets = tuple(sorted(_numbers("--budgets", arguments.budgets, ",")))
    cases = _cases(arguments, budgets)
    results = Results(arguments.results)
    num_missing = sum(case not in results for case in cases)
    for done in run_cases(cases, results, num_processes=arguments.processes):
        if done % 20 == 0 or done == num_missing:
            sys.stderr.write(f"\r{done} of {num_missing} simulations ")
            sys.stderr.flush()
    rows = make_rows(collect(cases, results), budgets)
    if arguments.json:
        write_json(rows, arguments.json)
    if arguments.plot:
        write_plot(rows, arguments.plot)
    return as_text(rows)


def _cases(arguments: argparse.Namespace, budgets: tuple[int, ...]) -> list[Case]:
    """Task by task, so that an early end leaves whole comparisons."""
    for option, given, known in (("--methods", arguments.methods, METHODS), ("--suites", arguments.suites, SUITES)):
        for name in given:
            if name not in known:
                raise InputError(f"{option} {name}: must be one of {', '.join(known)}{nearest(name, known)}")
    from hpsearch.bench.search_quality import Case, task_indices

    first, last = _range(arguments.tasks)
    return [
        Case(suite=suite, task=task, method=method, seed=seed, budgets=budgets)
        for suite in arguments.suites
        for task in task_indices(suite, first, last)
        for method in arguments.methods
        for seed in range(arguments.seeds)
    ]


def _range(text: str) -> tuple[int, int]:
    numbers = _numbers("--tasks", text, ":")
    if len(numbers) != 2 or numbers[0] >= numbers[1]:
        raise InputError(f"--tasks {text}: expected FIRST:END, for example 400:800.")
    return numbers[0], numbers[1]


def _numbers(option: str, text: str, separator: str) -> list[int]:
    try:
        return [int(part) for part in text.split(separator)]
    except ValueError as error:
        raise InputError(f"{option} {text}: expected whole numbers separated by {separator!r}.") from error
