"""Where a run lies: a directory, or an object store with a copy of it on this machine."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from hpsearch.config import DataConfig, RunConfig
from hpsearch.data.remote import is_remote
from hpsearch.errors import InputError
from hpsearch.files import replacing
from hpsearch.job.inputs import cache_directory
from hpsearch.layout import MODEL_DESCRIPTION, RunLayout
from hpsearch.object_store import ObjectStore
from hpsearch.run_files import MirroredFiles, RunFiles, SharedFiles
from hpsearch.search.journal import Journal
from hpsearch.search.journal_file import is_driven
from hpsearch.search.journal_lease import is_held
from hpsearch.search.journal_segments import SegmentStore, read_segments

COPIES = "runs"
"""Folder of the copies in a cache directory, with those that a driver and its workers write."""
VIEWS = "runs-looked-at"
"""The same for those that are only read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a run lies."""

    layout: RunLayout
    """Its directory, or the copy of it on this machine."""
    files: RunFiles
    """How files get there and to the nodes."""
    objects: ObjectStore | None
    """The object store; None: it is a directory that all nodes share."""

    def open_journal(self) -> Journal:
        """The journal, held by this process from now on; the copy has then all that an earlier driver has left.

        Raises:
            StorageError: another driver holds it, or it cannot be read or written.
        """
        if self.objects is None:
            return Journal(self.layout.journal)
        journal = Journal(self.layout.journal, store=SegmentStore(self.objects, self.layout.journal))
        try:
            self.files.fetch_below(self.layout.root)
        except BaseException:
            journal.close()
            raise
        return journal

    def where(self) -> str:
        """What the last words of a run add, where its files do not only lie where they say."""
        return "" if self.objects is None else f"\n\nAll of it is kept at {self.objects.address}; these are copies."

    def is_driven(self) -> bool:
        """Whether a driver works on the run; asked without holding it up."""
        return is_driven(self.layout.journal) if self.objects is None else is_held(self.objects)


def place_of(config: RunConfig) -> Place:
    """Where the run of `config` lies.

    Raises:
        InputError: `--out` is no address of an object store.
    """
    if not is_remote(config.out):
        return Place(layout=RunLayout(Path(config.out) / config.name), files=SharedFiles(), objects=None)
    return _mirrored(_below(config.out, config.name), cache_directory(config.data) / COPIES)


def is_taken(config: RunConfig, name: str) -> bool:
    """Whether there is a run of this name below `config.out` already."""
    if is_remote(config.out):
        return bool(ObjectStore(_below(config.out, name)).names())
    return (Path(config.out) / name).exists()


def name_of(run: str) -> str:
    """What a run is called in other places: its address without options, or its absolute path."""
    return run.partition("?")[0].rstrip("/") if is_remote(run) else str(Path(run).resolve())


def run_of(config: RunConfig) -> str:
    """The run of `config`, as a reader would give it."""
    return _below(config.out, config.name) if is_remote(config.out) else str(Path(config.out) / config.name)


def looked_at(run: str, *, whole: bool = True) -> Place:
    """A run for a reader: the directory itself, or a copy of what the object store has now, without locking anything.

    Args:
        run: Its directory, or `s3://BUCKET/PREFIX/NAME`.
        whole: All but checkpoints; else journal and configuration alone.

    Raises:
        InputError: no address of an object store, or no run there.
        StorageError: it does not answer.
    """
    if not is_remote(run):
        return Place(layout=RunLayout(Path(run)), files=SharedFiles(), objects=None)
    place = _mirrored(run, cache_directory(DataConfig()) / VIEWS)
    assert place.objects is not None
    if whole:
        place.files.fetch_below(place.layout.root)
    else:
        place.files.fetch(place.layout.config)
    segments = read_segments(place.objects)
    if not segments:
        raise InputError(f"{name_of(run)}: no run there, it has no journal. Give s3://BUCKET/PREFIX/NAME?region=REGION.")
    with replacing(place.layout.journal) as partial:
        partial.write_bytes(b"".join(segments))
    return place


def exported(run: str) -> Path:
    """A run, or the folder of an export, on this machine; from an object store the export alone is fetched.

    Raises:
        InputError: no address of an object store, or no export there.
        StorageError: it does not answer.
    """
    if not is_remote(run):
        return Path(run)
    place = _mirrored(run, cache_directory(DataConfig()) / VIEWS)
    root, best = place.layout.root, place.layout.best
    for folder in (root, best):
        place.files.fetch(folder / MODEL_DESCRIPTION)
        if (folder / MODEL_DESCRIPTION).is_file():
            place.files.fetch_below(folder)
            return folder
    raise InputError(
        f"{name_of(run)}: no {MODEL_DESCRIPTION} there, nor below best/. Give the address of a run that has ended."
    )


def _below(address: str, name: str) -> str:
    path, question, options = address.partition("?")
    return f"{path.rstrip('/')}/{name}{question}{options}"


def _mirrored(address: str, copies: Path) -> Place:
    objects = ObjectStore(address)
    path = address.partition("?")[0].rstrip("/")
    digest = hashlib.blake2b(path.encode(), digest_size=6).hexdigest()
    root = copies.resolve() / digest / path.rpartition("/")[2]
    return Place(layout=RunLayout(root), files=MirroredFiles(objects, root), objects=objects)
