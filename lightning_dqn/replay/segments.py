"""The rows of a large replay ring as files beside a checkpoint, each written once.

A segment holds the rows of some times that follow each other and never changes; a checkpoint
names its segments. A save writes the rows that are new since the last one, and a segment whose
rows the ring has overwritten is named no more:

    times      0 ......... 5000 ......... 10000 ..... 12000
    save 1     [ 0 - 5000 ]
    save 2     [ 0 - 5000 ][ 5000 - 10000 ]
    save 3                 [ 5000 - 10000 ][ 10000 - 12000 ]     the ring holds 7000 times

Shapes: T times of a segment, E environments. A column is [T, E, ...]; a segment's bytes are its
columns', one after the other.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from lightning_dqn.system.files import staged, sync_file, sync_folder

SEGMENT_BYTES = 64 * 2**20
"""Of one segment at most: what a save or a load takes in memory beside the ring."""

_NAME = re.compile(r"segment_\d+_\d+_[0-9a-f]{8}\.bin")

Segment = dict[str, Any]
"""``file``, ``first_time``, ``end_time``, ``crc32``, and ``columns``: name -> type and shape of a
time, as ``{"action": ["int64", [2]]}``; plain values that a checkpoint may hold."""


class Taker(Protocol):
    """What takes rows that were saved."""

    @property
    def num_times(self) -> int:
        """So many times fit."""

    def write_times(self, first: int, columns: Mapping[str, Tensor]) -> None:
        """Write columns [T, E, ...] as the times from ``first`` on."""


class Ring(Taker, Protocol):
    """What is saved: the newest times of all that were ever written."""

    @property
    def total_times(self) -> int:
        """So many times were ever written; the next has this number."""

    @property
    def times_stored(self) -> int:
        """So many of the newest times are there."""

    def read_times(self, first: int, end: int) -> Mapping[str, Tensor]:
        """Return the columns [end - first, E, ...] of the times [first, end)."""


class SegmentWriter:
    """Writes what is new in a ring since its last save.

    Args:
        folder: of the segments; made with the first one.
        known: description of the checkpoint that the ring was loaded from, whose segments are
            gone on with.
    """

    def __init__(self, folder: Path, known: Iterable[Segment] = ()) -> None:
        self.folder = folder
        self._segments: list[Segment] = list(known)

    def save(self, ring: Ring) -> list[Segment]:
        """Write the new rows and return the description of all that the ring holds.

        When it returns, the segments are on the disk. It writes nothing where nothing is new, and
        a save that fails goes on where it was with the next.

        Raises:
            OSError: the disk is full or can't be written.
        """
        oldest = ring.total_times - ring.times_stored
        kept = [one for one in self._segments if one["end_time"] > oldest]
        if kept and kept[-1]["end_time"] > ring.total_times:
            kept = []  # the ring began anew
        self._segments = kept
        first = kept[-1]["end_time"] if kept else oldest
        if first < ring.total_times:
            row = ring.read_times(first, first + 1).values()
            length = max(1, SEGMENT_BYTES // sum(column.nbytes for column in row))
            for begin in range(first, ring.total_times, length):
                end = min(begin + length, ring.total_times)
                self._segments.append(_write(self.folder, ring, begin, end))
        return list(self._segments)


def load(folder: Path, description: Sequence[Segment], ring: Taker) -> None:
    """Write the rows of segments into a ring, those that it has room for.

    Args:
        folder: of the segments.
        description: that :meth:`SegmentWriter.save` returned, oldest first.
        ring: a new one.

    Raises:
        ValueError: naming a segment that is missing, damaged, or doesn't follow the one before;
            the ring then holds a part of the rows.
    """
    for before, after in pairwise(description):
        if before["end_time"] != after["first_time"]:
            raise ValueError(f"{folder / after['file']}: rows before this segment are missing")
    if not description:
        return
    oldest = description[-1]["end_time"] - ring.num_times
    for segment in description:
        skipped = max(0, oldest - segment["first_time"])
        if segment["first_time"] + skipped < segment["end_time"]:
            columns = _read(folder, segment)
            rows = {name: column[skipped:] for name, column in columns.items()}
            ring.write_times(segment["first_time"] + skipped, rows)


def delete_unnamed(folder: Path, kept_descriptions: Iterable[Iterable[Segment]]) -> None:
    """Delete the segments that no checkpoint names any more.

    Args:
        folder: of the segments; other files there stay.
        kept_descriptions: of all checkpoints that are kept, their generations before included.
    """
    named = {segment["file"] for description in kept_descriptions for segment in description}
    if folder.is_dir():
        for path in folder.iterdir():
            if _NAME.fullmatch(path.name) and path.name not in named:
                path.unlink(missing_ok=True)


def _write(folder: Path, ring: Ring, first: int, end: int) -> Segment:
    """Write one segment; its name tells its content, so that two never share one."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = ring.read_times(first, end)
    crc = 0
    with staged(folder / "segment") as temporary:
        with temporary.open("wb") as file:
            for column in columns.values():
                content = _bytes_of(column)
                crc = zlib.crc32(content, crc)
                file.write(content)
        name = f"segment_{first}_{end}_{crc:08x}.bin"
        sync_file(temporary)
        os.replace(temporary, folder / name)
        sync_folder(folder)
    layout = {
        name: [str(column.dtype).removeprefix("torch."), list(column.shape[1:])]
        for name, column in columns.items()
    }
    return {"file": name, "first_time": first, "end_time": end, "crc32": crc, "columns": layout}


def _read(folder: Path, segment: Segment) -> dict[str, Tensor]:
    """Return the columns of a segment, [T, E, ...]."""
    name = str(segment["file"])
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r}: a checkpoint names this as a segment, and it is none")
    num_times = segment["end_time"] - segment["first_time"]
    columns, crc, is_short = {}, 0, False
    try:
        with (folder / name).open("rb") as file:
            for column, (dtype, shape) in segment["columns"].items():
                values = torch.empty([num_times, *shape], dtype=getattr(torch, dtype))
                content = _bytes_of(values)  # the same memory
                # Memory that a short file leaves as it was may hold what was read before.
                is_short |= file.readinto(content) < len(content)
                crc = zlib.crc32(content, crc)
                columns[column] = values
            is_damaged = is_short or crc != segment["crc32"] or bool(file.read(1))
    except OSError as error:
        raise ValueError(f"{folder / name}: can't be read ({error.strerror})") from error
    if is_damaged:
        raise ValueError(
            f"{folder / name}: this segment of the replay ring is damaged: it differs from its "
            "checksum in the checkpoint"
        )
    return columns


def _bytes_of(column: Tensor) -> memoryview:
    """Return the bytes of a column, without a copy where it is whole and on the CPU."""
    plain = column.detach().cpu().contiguous()
    return plain.reshape(-1).view(torch.uint8).numpy().data
