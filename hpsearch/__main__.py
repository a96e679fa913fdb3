"""`hpsearch COMMAND …`, the same as `python -m hpsearch.COMMAND …`."""

from __future__ import annotations

import importlib
import sys
from typing import NoReturn

from hpsearch.cli import leave
from hpsearch.config import nearest

COMMANDS = {
    "run": "search, retrain, export: the whole job",
    "trial": "train one configuration here, without Ray",
    "status": "what a study is doing",
    "predict": "an export and images to a submission CSV",
    "check": "whether a submission is valid",
    "audit": "what is wrong with a data set",
    "report": "rebuild the page and tables of a run",
    "cache": "list and remove decoded images",
    "bench": "this machine's figures",
}


def main() -> int:
    """Runs the command that the first argument names."""
    command = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if command in COMMANDS:
        module = importlib.import_module(
            f"hpsearch.{command}.__main__" if command in ("report", "bench") else f"hpsearch.{command}"
        )
        sys.argv[0:2] = [f"hpsearch {command}"]
        code: int = module.main()
        return code
    lines = [f"  {name:<8} {purpose}" for name, purpose in COMMANDS.items()]
    usage = "usage: hpsearch COMMAND …\n\n" + "\n".join(lines) + "\n\n`hpsearch COMMAND --help` says more.\n"
    if command in ("-h", "--help"):
        print(usage)
        return 0
    sys.stderr.write(f"hpsearch: unknown command {command!r}{nearest(command, COMMANDS)}\n{usage}")
    return 2


def script() -> NoReturn:
    """What the installed command `hpsearch` calls."""
    leave(main)


if __name__ == "__main__":
    script()
