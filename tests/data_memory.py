"""Unpickles a data set as a worker of Ray does, its arrays mapped from a file, and opens its cache; prints what that took."""

import gc
import mmap
import pickle
import sys
from pathlib import Path

from hpsearch.data.training_data import open_training_data


def own_memory() -> int:
    """Bytes of this process that no file on the disk stands for."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def main(directory: Path, px: int) -> None:
    """Prints the bytes by which this process grew, and the images that it opened."""
    sizes = [int(size) for size in (directory / "sizes").read_text().split()]
    with (directory / "buffers").open("rb") as file:
        mapped = memoryview(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
    before = own_memory()
    ends = [sum(sizes[: number + 1]) for number in range(len(sizes))]
    buffers = [mapped[end - size : end] for end, size in zip(ends, sizes, strict=True)]
    dataset = pickle.loads((directory / "pickled").read_bytes(), buffers=buffers)
    data = open_training_data(dataset, px=px, cache_dir=directory / "cache", num_workers=1, max_unreadable_fraction=0.0)
    gc.collect()
    sys.stdout.write(f"{own_memory() - before} {len(data.train) + len(data.val)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
