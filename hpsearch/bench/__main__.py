"""`python -m hpsearch.bench COMMAND`: this machine's figures, and the peers they are compared with."""

from __future__ import annotations

from hpsearch.bench.cluster_command import add_cluster
from hpsearch.bench.confirm_command import add_confirm
from hpsearch.bench.overhead_command import add_overhead
from hpsearch.bench.search_command import add_search
from hpsearch.bench.shift_command import add_shift
from hpsearch.bench.train_command import add_train
from hpsearch.cli import Parser, guarded, leave


def main(argv: list[str] | None = None) -> int:
    """Runs the benchmark that the first argument names."""
    return guarded(_command, argv)


def _command(argv: list[str]) -> int:
    parser = Parser(prog="python -m hpsearch.bench", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    add_search(commands)
    add_train(commands)
    add_overhead(commands)
    add_cluster(commands)
    add_confirm(commands)
    add_shift(commands)
    arguments = parser.parse_args(argv)
    print(arguments.run(arguments))
    return 0


if __name__ == "__main__":
    leave(main)
