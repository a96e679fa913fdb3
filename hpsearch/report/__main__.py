"""`python -m hpsearch.report RUN [RUN …]`: writes tables and page of runs again; several are also compared on one page."""

from __future__ import annotations

from pathlib import Path

from hpsearch.cli import Parser, guarded, leave
from hpsearch.errors import InputError
from hpsearch.files import require_place


def parser() -> Parser:
    """The command's options."""
    options = Parser(
        prog="python -m hpsearch.report",
        description="Writes trials.csv and report.html of runs again, also of runs that still go on; compares several runs.",
    )
    options.add_argument("runs", nargs="+", metavar="RUN", help="run directory, e.g. runs/first, or s3://BUCKET/PREFIX/NAME")
    options.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="page that compares several runs (default: comparison.html beside the first one)",
    )
    return options


def command(argv: list[str]) -> int:
    """Writes everything and prints where the pages are."""
    options = parser().parse_args(argv)
    if options.out is not None:
        if len(options.runs) == 1:
            raise InputError(f"--out {options.out}: the page that compares runs needs several; name another, or leave it out.")
        require_place(options.out, "--out")
    from hpsearch.job.place import looked_at
    from hpsearch.report.rebuild import rebuild

    places = [looked_at(run) for run in options.runs]
    contents = [rebuild(place.layout.root, driven=place.is_driven()) for place in places]
    for place in places:
        print(place.layout.page)
    if len(contents) > 1:
        from hpsearch.report.page.comparison import write_comparison

        out = options.out or places[0].layout.root.resolve().parent / "comparison.html"
        write_comparison(out, contents)
        print(out)
    return 0


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    return guarded(command, argv)


if __name__ == "__main__":
    leave(main)
