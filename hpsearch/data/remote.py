"""Images that nodes do not see as files: copied once into each node's cache, then read like any folder.

A copy lies in `<cache_dir>/fetched/<name>-<hash of the address>`. Those of an object store are fetched here, by pyarrow,
several files at a time; one that is there with the right size is not fetched again, so a fetch that was cut short goes on. Such
a copy is never compared with its source again: images that change want another address, or the copy removed.
Those of the driver's machine (`driver://DIR`) are brought by `execute.shipping`; on that machine the copy is a link.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.data.cache_lock import only_one_builder
from hpsearch.errors import InputError, StorageError

if TYPE_CHECKING:
    from hpsearch.data.cache_files import Progress

ON_DRIVER = "driver://"
"""Begins the address of a folder of the driver's machine."""
FETCHED = "fetched"
"""Folder of the copies in a cache directory."""
PARTIAL = ".partial"
"""End of the name of a copy that is not finished, and of a file on its way."""
NUM_STREAMS = 16
"""Files on their way at the same time: small images are bound by round trips."""


def is_remote(source: str) -> bool:
    """Whether `source` is an address such as `s3://BUCKET/PREFIX`, and no path."""
    return "://" in source


def local_copy(source: str, cache_dir: Path, progress: Progress | None = None) -> Path:
    """Where this node's copy of `source` lies; fetched first where it is not there yet.

    Args:
        source: `s3://BUCKET/PREFIX`, or what else pyarrow reads; `?region=…` and `?endpoint_override=…` may follow.
        cache_dir: parent of the node's caches.
        progress: called with the files that are there and all files.

    Raises:
        InputError: no such address, or nothing below it.
        StorageError: it cannot be reached or read, or the disk does not hold it.
    """
    copy = copy_of(source, cache_dir)
    if copy.is_dir():
        return copy
    if source.startswith(ON_DRIVER):
        raise StorageError(f"{copy}: the images of {source} are not on this node. Start the run again; it copies them first.")
    copy.parent.mkdir(parents=True, exist_ok=True)
    with only_one_builder(copy, 0, None):
        if not copy.is_dir():
            _fetch(source, copy.with_name(copy.name + PARTIAL), progress)
            copy.with_name(copy.name + PARTIAL).rename(copy)
    return copy


def copy_of(source: str, cache_dir: Path) -> Path:
    """Where a node's copy of `source` lies, whether it is there or not."""
    address = source.partition("?")[0].rstrip("/")
    digest = hashlib.blake2b(address.encode(), digest_size=6).hexdigest()
    return cache_dir / FETCHED / f"{address.rpartition('/')[2]}-{digest}"


def link_on_driver(source: str, cache_dir: Path) -> Path:
    """Makes the driver's own "copy" of its folder, a link. Without the folder, a copy that an earlier driver has sent serves.

    Raises:
        InputError: no such folder, and no copy.
        StorageError: the link cannot be made.
    """
    folder, copy = Path(source.removeprefix(ON_DRIVER)), copy_of(source, cache_dir)
    if not folder.is_absolute():
        raise InputError(f"{source}: give the whole path, {ON_DRIVER}{folder.absolute()}")
    try:
        if copy.is_symlink() and not copy.is_dir():
            copy.unlink()
        if folder.is_dir() and not copy.is_symlink():
            if copy.is_dir():
                shutil.rmtree(copy)  # of another driver's folder; that of this machine is what was asked for
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.symlink_to(folder, target_is_directory=True)
    except OSError as error:
        raise StorageError(
            f"{copy}: cannot be made ({error.strerror}). Give another directory with --set data.cache_dir=DIR."
        ) from error
    if not copy.is_dir():
        raise InputError(f"{source}: there is no folder {folder} on this machine.")
    return copy


def _fetch(source: str, target: Path, progress: Progress | None) -> None:
    try:
        file_system, sizes = _listed(source)
    except ValueError as error:
        raise InputError(f"{source}: not an address of an object store ({error}). Give s3://BUCKET/PREFIX.") from error
    except OSError as error:
        raise _unreachable(source, error) from error
    if not sizes:
        raise InputError(f"{source}: there is nothing below this address. Look at it with your provider's own tool.")
    missing = [name for name, (_, size) in sizes.items() if not _is_there(target / name, size)]
    require_disk(f"the copy of {source}", target.parent, sum(sizes[name][1] for name in missing))
    jobs = ((file_system, sizes[name][0], target / name) for name in missing)
    with ThreadPoolExecutor(NUM_STREAMS) as pool:
        try:
            for number, _ in enumerate(pool.map(_fetch_file, jobs), start=1):
                if progress:
                    progress(len(sizes) - len(missing) + number, len(sizes))
        except OSError as error:
            pool.shutdown(cancel_futures=True)
            raise _unreachable(source, error) from error


def _listed(source: str) -> tuple[Any, dict[str, tuple[str, int]]]:
    """The file system, and each file below `source`: its name there → its path and size."""
    from pyarrow import fs

    file_system, root = fs.FileSystem.from_uri(source.replace("/?", "?"))
    found = file_system.get_file_info(fs.FileSelector(root, recursive=True, allow_not_found=True))
    files = ((info.path, info.size) for info in found if info.type == fs.FileType.File)
    return file_system, dict(_named(files, root.rstrip("/") + "/"))


def _named(files: Iterator[tuple[str, int]], root: str) -> Iterator[tuple[str, tuple[str, int]]]:
    for path, size in files:
        name = path.removeprefix(root)
        if ".." not in Path(name).parts:  # an object's name may be anything; a file of ours lies below its folder
            yield name, (path, size)


def _fetch_file(job: tuple[Any, str, Path]) -> None:
    file_system, path, target = job
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + PARTIAL)
    with file_system.open_input_stream(path) as source, partial.open("wb") as stream:
        shutil.copyfileobj(source, stream, 2**20)
    partial.replace(target)


def _is_there(file: Path, size: int) -> bool:
    try:
        return file.stat().st_size == size
    except FileNotFoundError:
        return False


def require_disk(what: str, directory: Path, needed: int) -> None:
    """Checks that `directory` has room for `needed` bytes.

    Raises:
        StorageError: it has not.
    """
    free = shutil.disk_usage(directory).free
    if needed > free:
        raise StorageError(
            f"{directory}: {what} needs {needed:,} bytes more, and {free:,} are free. Free some, or give a directory on a "
            "larger disk with --set data.cache_dir=DIR."
        )


def _unreachable(source: str, error: OSError) -> StorageError:
    reason = str(error).strip().partition("\n")[0]
    return StorageError(
        f"{source}: cannot be read ({reason}). Check the address, its region (?region=… at its end, or AWS_REGION) and this "
        "machine's credentials; what was fetched is kept, and the same command goes on."
    )
