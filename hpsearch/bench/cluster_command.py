"""`python -m hpsearch.bench cluster`: its options; Ray is loaded when it runs."""

from __future__ import annotations

import argparse
import sys

from hpsearch.cli import Parser


def add_cluster(commands: argparse._SubParsersAction[Parser]) -> None:
    """Adds the subcommand."""
    cluster = commands.add_parser("cluster", help="what the driver costs as a cluster grows, with trials that sleep")
    cluster.add_argument("--workers", type=int, nargs="+", default=[2, 8, 32], metavar="N", help="default: 2 8 32")
    cluster.add_argument("--seconds", type=float, default=4.0, metavar="S", help="sleep to each rung (default: %(default)s)")
    cluster.add_argument("--rungs", type=int, default=8, metavar="N", help="rungs of each worker (default: %(default)s)")
    cluster.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> str:
    from hpsearch.bench.cluster_scaling import as_text, measure

    rows = []
    for workers in arguments.workers:
        sys.stderr.write(f"{workers} workers\n")
        rows.append(measure(workers, seconds=arguments.seconds, rungs_per_worker=arguments.rungs))
    return as_text(rows, arguments.seconds)
