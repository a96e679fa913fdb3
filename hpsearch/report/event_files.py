"""TensorBoard's event files, written one short append at a time.

tensorboard's own `EventFileWriter` keeps a file and a thread for each run, which 500 trials cannot afford; here a file is
open only while a few records are appended. A process never appends to a file of an earlier one, whose last record may be
torn: readers skip from a torn end to the next file, but not over it.
"""

from __future__ import annotations

import io
import os
import socket
import struct
import time
from collections.abc import Sequence
from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.plugins.hparams.metadata import NULL_TENSOR
from tensorboard.summary.writer.record_writer import RecordWriter

from hpsearch.errors import StorageError


class EventDirectory:
    """One run in TensorBoard's sense: a directory of event files."""

    def __init__(self, directory: Path, suffix: str = "") -> None:
        """Of its files, those that end in `suffix`; `written` looks at all."""
        self.directory = directory
        self._suffix = suffix
        self._file: Path | None = None

    def written(self) -> dict[str, set[int]]:
        """Steps by tag in the files that are already there; a torn end is left out."""
        steps: dict[str, set[int]] = {}
        for file in sorted(self.directory.glob("*.tfevents.*")):
            for event in LegacyEventFileLoader(str(file)).Load():
                for value in event.summary.value:
                    steps.setdefault(value.tag, set()).add(event.step)
        return steps

    def append(self, summaries: Sequence[tuple[int, Summary]], at: float) -> None:
        """Appends one event for each `(step, summary)`, dated `at` (Unix seconds).

        Raises:
            StorageError: the directory cannot be written, or the disk is full; the next call then starts a new file.
        """
        buffer = io.BytesIO()
        records = RecordWriter(buffer)
        if self._file is None:
            records.write(Event(wall_time=at, file_version="brain.Event:2").SerializeToString())
        for step, summary in summaries:
            records.write(Event(wall_time=at, step=step, summary=summary).SerializeToString())
        writer = f"{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
        file = self._file or self.directory / f"events.out.tfevents.{writer}{self._suffix}"
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with file.open("ab") as stream:
                stream.write(buffer.getvalue())
        except OSError as error:
            self._file = None
            raise StorageError(
                f"{file} cannot be written: {error.strerror}. Free space or make {self.directory} writable."
            ) from error
        self._file = file

    def exists(self) -> bool:
        """Whether any of its files is there."""
        return any(self.directory.glob(f"*.tfevents.*{self._suffix}"))

    def remove(self) -> None:
        """Takes its files back, since TensorBoard keeps the first metadata of a tag for ever.

        Raises:
            StorageError: they cannot be removed.
        """
        self._file = None
        try:
            for file in self.directory.glob(f"*.tfevents.*{self._suffix}"):
                file.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"{self.directory} cannot be changed: {error.strerror}. Make it writable.") from error


def scalars(values: dict[str, float]) -> Summary:
    """One summary with a scalar for each tag."""
    return Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])


def metadata_only(tag: str, metadata: SummaryMetadata) -> Summary:
    """A summary whose content is all in its metadata, as TensorBoard's plugins keep theirs."""
    return Summary(value=[Summary.Value(tag=tag, metadata=metadata, tensor=NULL_TENSOR)])


def text(tag: str, markdown: str) -> Summary:
    """A summary for TensorBoard's text tab."""
    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
    tensor = TensorProto(dtype=7, string_val=[markdown.encode()])  # 7: DT_STRING
    return Summary(value=[Summary.Value(tag=tag, metadata=metadata, tensor=tensor)])


def picture(tag: str, png: bytes) -> Summary:
    """A summary for TensorBoard's images tab; `png` is a PNG file."""
    width, height = struct.unpack(">II", png[16:24])  # of its first chunk
    image = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=png)
    return Summary(value=[Summary.Value(tag=tag, image=image)])
