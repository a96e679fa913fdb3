"""`python -m hpsearch.check CSV --template FILE`: whether a submission, whoever made it, is valid for its template."""

from __future__ import annotations

from pathlib import Path

from hpsearch.cli import Parser, guarded, leave
from hpsearch.errors import EXIT_DONE, EXIT_PROBLEM


def parser() -> Parser:
    """The command's options."""
    options = Parser(prog="python -m hpsearch.check", description=__doc__)
    options.add_argument("submission", type=Path, metavar="CSV", help="the submission: img_name,y_pred")
    options.add_argument(
        "--template", type=Path, required=True, metavar="FILE", help="image names that it must answer, in order"
    )
    return options


def command(argv: list[str]) -> int:
    """Names every rule that the submission breaks; returns 1 where it breaks one."""
    options = parser().parse_args(argv)

    from hpsearch.data.folders import require_exists
    from hpsearch.data.tables import read_table
    from hpsearch.final.submission import submission_problems

    require_exists(options.submission, "CSV")
    require_exists(options.template, "--template")
    names = read_table(options.template, required=("name",)).names
    problems = submission_problems(options.submission, names)
    if problems:
        print("\n  ".join([f"{options.submission} is not a valid submission for {options.template}:", *problems]))
        return EXIT_PROBLEM
    print(f"{options.submission}: valid, {len(names):,} rows")
    return EXIT_DONE


def main() -> int:
    """Entry point."""
    return guarded(command)


if __name__ == "__main__":
    leave(main)
