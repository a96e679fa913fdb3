"""The study's journal: every event in order, one JSON object a line. Everything else is a fold over it.

Schema, version 1. Every event has `event` (its kind), `at` (Unix seconds; for display only, no decision reads it) and `ran`
(seconds since its driver opened the journal, which a step of the clock does not change).

    study      first line: `version`, `space` (canonical content), `rungs` (images, ascending), `eta`, `seed`, `sampler`,
               `identity` (what else identifies the study, flat); none of it changes
    budget     `num_trials` (most trials to start, null: no limit): a driver opened the journal with this; the last one counts
    earlier    `source`, `trial`, `params`, `quality`: a trial of an earlier study that the sampler shall know (`--warm-start`)
    suggested  `trial` (from 0, without gaps), `params`, `origin` (`start` or the sampler's name)
    started    `trial`, `slot`, `from_images`, `to_images`: a slot trains it from one rung to the next; with
               `from_images` > 0 it was promoted from that rung, also where it goes on in place
    rung       `trial`, `images`, `value` (larger is better), `seconds` of this piece, `metrics` (what else was reported)
    stopped    `trial`, `reason`: `paused` (not promoted now), `lost` (its worker was), `preempted` (its worker was, with a
               node that had been given notice: does not count as lost), `restart` (the driver was), `interrupted` (it was
               told to); with `message`. Short of its rung, its stretch will be handed out again
    ended      `trial`, `outcome` (`completed`, `diverged`, `infeasible`, `failed`), `images` seen at the end, `message`;
               nothing comes after it
    phase      `name`, `seconds`, `gpu_seconds`: a phase of the run took so long, in this run
    resources  `gpus`: the GPU share of a trial from now on; 0 before the first one

One driver writes, holding a lock; anybody may read. An event is on disk before its decision takes effect. The last line may be
torn by a crash: readers leave it out, the next driver cuts it off.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import NoneType
from typing import Any, Protocol

import numpy as np

from hpsearch.errors import StorageError
from hpsearch.search.journal_file import FileStore

VERSION = 1
"""Of the schema above; journals of a later version are refused."""

Event = dict[str, Any]
"""One line of the journal."""

_FIELDS = {
    "study": ("version", "space", "rungs", "eta", "seed", "sampler", "identity"),
    "budget": ("num_trials",),
    "earlier": ("source", "trial", "params", "quality"),
    "suggested": ("trial", "params", "origin"),
    "started": ("trial", "slot", "from_images", "to_images"),
    "rung": ("trial", "images", "value", "seconds", "metrics"),
    "stopped": ("trial", "reason", "message"),
    "ended": ("trial", "outcome", "images", "message"),
    "phase": ("name", "seconds", "gpu_seconds"),
    "resources": ("gpus",),
}
"""What each kind of event tells."""

_TYPES: dict[type | tuple[type, ...], tuple[str, ...]] = {
    int: ("version", "seed", "trial", "slot", "from_images", "to_images", "images"),
    (int, float): ("eta", "value", "seconds", "gpu_seconds", "gpus", "quality", "at", "ran"),
    (int, NoneType): ("num_trials",),
    str: ("sampler", "source", "origin", "reason", "message", "outcome", "name"),
    dict: ("space", "identity", "params", "metrics"),
}
_TYPE_OF = {field: kind for kind, fields in _TYPES.items() for field in fields}


class Store(Protocol):
    """Where lines are kept: a file, memory, or numbered segments where nothing can be appended."""

    def read(self) -> bytes:
        """Everything that was appended, a torn end included."""
        ...

    def cut(self, num_bytes: int) -> None:
        """Drops all but the first `num_bytes`."""
        ...

    def append(self, data: bytes) -> None:
        """Adds whole lines, durable on return and never in parts."""
        ...

    def close(self) -> None:
        """Lets another driver in."""
        ...


class MemoryStore:
    """The in-memory twin of a journal file."""

    def __init__(self, data: bytes = b"") -> None:
        self._data = bytearray(data)

    def read(self) -> bytes:
        """Everything that was appended."""
        return bytes(self._data)

    def cut(self, num_bytes: int) -> None:
        """Drops all but the first `num_bytes`."""
        del self._data[num_bytes:]

    def append(self, data: bytes) -> None:
        """Adds whole lines."""
        self._data += data

    def close(self) -> None:
        """Nothing to release."""


class Journal:
    """The one writer of a study's events."""

    def __init__(
        self,
        path: Path,
        *,
        store: Store | None = None,
        clock: Callable[[], float] = time.time,
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        """Opens the journal for writing and cuts a torn last line off.

        Args:
            path: The journal file; named in messages where `store` keeps the lines elsewhere.
            store: Where lines are kept; None: in the file, which this process then locks.
            clock: Unix seconds.
            stopwatch: Seconds since some moment; never steps.

        Raises:
            StorageError: another driver holds it, it cannot be read or written, or a line other than the last is broken.
        """
        self.path = path
        self._store: Store = FileStore(path) if store is None else store
        self._clock = clock
        self._stopwatch = stopwatch
        self._opened = stopwatch()
        try:
            data = self._store.read()
            self.events, num_good_bytes = _parsed(data, str(path))
            if num_good_bytes < len(data):
                self._store.cut(num_good_bytes)
        except BaseException:
            self._store.close()
            raise

    @classmethod
    def in_memory(cls, events: Iterable[Event] = ()) -> Journal:
        """A journal that lives as long as the process, for simulations; it may begin with `events`."""
        return cls(Path("memory"), store=MemoryStore(b"".join(map(_line, events))), clock=_still, stopwatch=_still)

    def stamped(self, event: Event) -> Event:
        """The event as it will be read again: with its times, and in JSON's types."""
        times = {"at": self._clock(), "ran": round(self._stopwatch() - self._opened, 3)}
        stamped: Event = json.loads(_line({**event, **times}))
        return stamped

    def append(self, events: Sequence[Event]) -> None:
        """Writes events, all of them or none.

        Raises:
            StorageError: the file cannot be written, also after waiting.
        """
        self._store.append(b"".join(map(_line, events)))
        self.events += events

    def close(self) -> None:
        """Releases the lock."""
        self._store.close()


def read_events(path: Path) -> list[Event]:
    """The events of a journal file, without locking it: also of a study that still goes on.

    Raises:
        StorageError: not readable, or a line other than the last is broken.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StorageError(f"{path}: cannot read this journal ({error.strerror}). Give the directory of a run.") from error
    return _parsed(data, str(path))[0]


def _still() -> float:
    return 0.0


def _line(event: Event) -> bytes:
    return json.dumps(_finite(event), allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity, which become null, and no numbers of numpy."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def _parsed(data: bytes, path: str) -> tuple[list[Event], int]:
    """The events in `data`, and how many of its bytes they take."""
    events: list[Event] = []
    num_good_bytes = 0
    lines = data.splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        event = _event(line)
        if event is None:
            if number < len(lines):
                raise _broken(path, number, "not an event of a study")
            break
        if number == 1:
            _check_version(event, path)
        if amiss := _amiss(event):
            raise _broken(path, number, f"an event {event['event']!r} with no proper {', '.join(amiss)}")
        events.append(event)
        num_good_bytes += len(line)
    return events, num_good_bytes


def _event(line: bytes) -> Event | None:
    if not line.endswith(b"\n"):
        return None
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


def _amiss(event: Event) -> list[str]:
    """The fields that a known kind of event lacks, or that are not of their type."""
    needed = _FIELDS.get(event["event"], ())
    timed = [field for field in ("at", "ran") if field in event]
    return [field for field in (*needed, *timed) if not (field in event and _is_proper(field, event[field]))]


def _is_proper(field: str, value: object) -> bool:
    if field == "rungs":
        return isinstance(value, list) and bool(value) and all(isinstance(images, int) for images in value)
    # What no float holds, and NaN, is no number that a journal could have.
    return isinstance(value, _TYPE_OF[field]) and (not isinstance(value, int | float) or abs(value) < sys.float_info.max)


def _broken(path: str, number: int, what: str) -> StorageError:
    return StorageError(f"{path}:{number}: {what}. Restore the file, or begin a new study.")


def _check_version(event: Event, path: str) -> None:
    version = event.get("version", VERSION)
    if version != VERSION:
        raise StorageError(
            f"{path}: journal version {version}; this hpsearch reads version {VERSION}. Install the one that wrote it."
        )
