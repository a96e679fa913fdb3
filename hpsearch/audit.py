"""`python -m hpsearch.audit`: what is wrong with a data set: leaks between splits, shortcuts, duplicates, bad files."""

from __future__ import annotations

from pathlib import Path

from hpsearch.cli import Parser, add_set_option, guarded, leave
from hpsearch.config import DataConfig, RunConfig
from hpsearch.errors import EXIT_DONE, EXIT_PROBLEM
from hpsearch.files import require_place, write_text


def parser() -> Parser:
    """The command's options."""
    options = Parser(prog="python -m hpsearch.audit", description=__doc__)
    add = options.add_argument
    add("--data", required=True, metavar="DIR", help="labelled images, as for hpsearch.run")
    add("--html", type=Path, metavar="FILE", help="also write the audit as a page")
    add("--quick", action="store_true", help="look at some thousand images only, as every search does first")
    add_set_option(options)
    return options


def command(argv: list[str]) -> int:
    """Audits and prints; returns 1 where a problem was found."""
    options = parser().parse_args(argv)
    if options.html is not None:
        require_place(options.html, "--html")
    from hpsearch.job.inputs import configured, read_dataset, scanner
    from hpsearch.judge.audit import audit
    from hpsearch.judge.audit_page import as_html, as_text

    config, _ = configured(RunConfig(data=DataConfig(source=options.data)), options.overrides)
    found = audit(read_dataset(config), scanner(config.data), thorough=not options.quick)
    print(as_text(found))
    if options.html is not None:
        write_text(options.html, as_html(found))
    return EXIT_DONE if found.passed else EXIT_PROBLEM


def main() -> int:
    """Entry point."""
    return guarded(command)


if __name__ == "__main__":
    leave(main)
