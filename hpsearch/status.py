"""`python -m hpsearch.status RUN`: what a study is doing, from another shell."""

from __future__ import annotations

from hpsearch.cli import Parser, guarded, leave


def parser() -> Parser:
    """The command's options."""
    options = Parser(prog="python -m hpsearch.status", description=__doc__)
    options.add_argument("run", help="run directory, for example runs/first, or s3://BUCKET/PREFIX/NAME")
    return options


def command(argv: list[str]) -> int:
    """Prints the state of the study; returns the exit code."""
    run: str = parser().parse_args(argv).run
    from rich.console import Console

    from hpsearch.job.last_words import how_it_goes_on, what_came_of_it
    from hpsearch.job.place import looked_at
    from hpsearch.job.spending import budget_use, read_budget
    from hpsearch.report.moment import moment_of
    from hpsearch.report.panels import status_group
    from hpsearch.report.rebuild import run_events
    from hpsearch.report.result import read_result
    from hpsearch.search.fold import fold

    place = looked_at(run)
    layout = place.layout
    study = fold(run_events(layout), str(layout.journal))
    result = read_result(layout)
    ended = "interrupted" if result is None or result["status"] == "running" else result["status"]
    phase = "running" if place.is_driven() else ended
    moment = moment_of(study, budget=budget_use(study, read_budget(layout)))
    Console().print(status_group(layout.root.resolve().name, phase, moment))
    if result is not None and phase == "done":
        print("\n".join(what_came_of_it(layout, result)))
    elif phase == "interrupted":
        error = result.get("error") if result is not None else None
        print(*([f"\nwhat ended it: {error}"] if error else []), "", how_it_goes_on(layout), sep="\n")
    return 0


def main() -> int:
    """Entry point."""
    return guarded(command)


if __name__ == "__main__":
    leave(main)
