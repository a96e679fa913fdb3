"""`python -m hpsearch.status RUN`: what a study is doing, from another shell."""

from __future__ import annotations

import sys
from pathlib import Path

from hpsearch.cli import Parser, guarded


def parser() -> Parser:
    """The command's options."""
    options = Parser(prog="python -m hpsearch.status", description=__doc__)
    options.add_argument("run", type=Path, help="run directory, for example runs/first")
    return options


def command(argv: list[str]) -> int:
    """Prints the state of the study; returns the exit code."""
    directory: Path = parser().parse_args(argv).run
    from rich.console import Console

    from hpsearch.job.spending import budget_use, read_budget
    from hpsearch.layout import RunLayout
    from hpsearch.report.moment import moment_of
    from hpsearch.report.panels import status_group
    from hpsearch.report.rebuild import run_events
    from hpsearch.report.result import read_result
    from hpsearch.search.fold import fold
    from hpsearch.search.journal_file import is_driven

    layout = RunLayout(directory)
    study = fold(run_events(layout))
    result = read_result(layout)
    ended = "interrupted" if result is None or result["status"] == "running" else result["status"]
    phase = "running" if is_driven(layout.journal) else ended
    moment = moment_of(study, budget=budget_use(study, read_budget(layout)))
    Console().print(status_group(directory.resolve().name, phase, moment))
    return 0


def main() -> int:
    """Entry point."""
    return guarded(command)


if __name__ == "__main__":
    sys.exit(main())
