"""`python -m hpsearch.cache`: the caches of decoded images on this machine: lists them, removes what is named."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.cli import Parser, guarded, leave
from hpsearch.config import DataConfig, nearest
from hpsearch.errors import InputError
from hpsearch.report import wording

if TYPE_CHECKING:
    from hpsearch.data.cache_list import KeptCache

OUTDATED = "outdated"
"""Word that stands for every cache that is outdated or unfinished."""


def parser() -> Parser:
    """The command's options."""
    options = Parser(prog="python -m hpsearch.cache", description=__doc__)
    options.add_argument("--cache-dir", default="", metavar="DIR", help="as data.cache_dir of runs; default: ~/.cache/hpsearch")
    options.add_argument(
        "--remove",
        nargs="+",
        default=[],
        metavar="NAME",
        help=f"caches to remove; `{OUTDATED}`: all that are outdated or unfinished. A run that needs one builds it again",
    )
    return options


def command(argv: list[str]) -> int:
    """Lists or removes caches; returns the exit code."""
    options = parser().parse_args(argv)
    from hpsearch.data.cache_list import kept_caches, remove_cache
    from hpsearch.job.inputs import cache_directory

    cache_dir = cache_directory(DataConfig(cache_dir=options.cache_dir))
    caches = kept_caches(cache_dir)
    if not options.remove:
        print(listing(cache_dir, caches))
        return 0
    for cache in chosen(caches, options.remove):
        remove_cache(cache)
        print(f"removed {cache.directory} ({wording.size(cache.num_bytes)})")
    return 0


def chosen(caches: Sequence[KeptCache], names: Sequence[str]) -> list[KeptCache]:
    """The caches that `names` name.

    Raises:
        InputError: there is none of a name.
    """
    by_name = {cache.directory.name: cache for cache in caches}
    found = {}
    for name in names:
        if name == OUTDATED:
            found.update({key: cache for key, cache in by_name.items() if cache.state in ("outdated", "unfinished")})
        elif name in by_name:
            found[name] = by_name[name]
        else:
            have = ", ".join(by_name) or "no cache"
            raise InputError(
                f"--remove {name}: no such cache{nearest(name, by_name)} There is {have}, and the word {OUTDATED}."
            )
    return list(found.values())


def listing(cache_dir: Path, caches: Sequence[KeptCache]) -> str:
    """One line a cache, and the disk."""
    width = max([4, *(len(cache.directory.name) for cache in caches)])
    lines = [f"{'name':<{width}} {'px':>5} {'images':>9} {'disk':>9}  {'state':<12} last used"]
    for cache in caches:
        size, ago = wording.size(cache.num_bytes), wording.duration(time.time() - cache.used)
        lines.append(
            f"{cache.directory.name:<{width}} {cache.px:>5} {cache.num_images:>9,} {size:>9}  {cache.state:<12} {ago} ago"
        )
    total = f"{wording.size(sum(cache.num_bytes for cache in caches))} in {cache_dir}"
    free = f"; {wording.size(shutil.disk_usage(cache_dir).free)} free there" if cache_dir.is_dir() else ""
    return "\n".join([*lines, total + free] if caches else [f"no cache of decoded images in {cache_dir}{free}"])


def main() -> int:
    """Entry point."""
    return guarded(command)


if __name__ == "__main__":
    leave(main)
