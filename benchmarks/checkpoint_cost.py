"""Print what saving costs: a checkpoint with the replay ring inside, and segments beside it.

    python benchmarks/checkpoint_cost.py
    python benchmarks/checkpoint_cost.py --rings floats:1000000 frames:100000 --repeats 3

Each save runs in a process of its own that holds the ring. Its seconds and the memory it takes at
its peak above what the process held before are printed, medians over the repeats, which take turns;
the ratios are to ``torch.save`` of checkpoint and ring together, which is Lightning's idea without
its copy in memory. All files are on the disk when the clock stops.

    torch.save        the ring's columns in one file with the checkpoint, synced
    lightning         likewise through Lightning's own TorchCheckpointIO, which doesn't sync
    inside            likewise through SafeCheckpointIO, as small rings are kept
    checkpoint        SafeCheckpointIO, without a ring
    segments, first   checkpoint, and all rows of the ring in segments
    segments, later   checkpoint, and the newest 5,000 rows
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from text_table import format_table, ratio_text
from torch import Tensor

from lightning_dqn.replay.segments import SegmentWriter
from lightning_dqn.safekeeping.checkpoint_files import SafeCheckpointIO

NEW_ROWS = 5_000
SMALL = ("floats:10000", "floats:100000", "floats:1000000", "frames:10000")
OBSERVATIONS = {"floats": ((4,), torch.float32), "frames": ((84, 84), torch.uint8)}
REFERENCE = "torch.save"
MEBIBYTE = 2**20


class FilledRing:
    """A full ring of one environment, and some rows more than fit."""

    def __init__(self, kind: str, num_rows: int) -> None:
        shape, dtype = OBSERVATIONS[kind]
        self.num_times = self.times_stored = self.total_times = num_rows
        observation = torch.empty(num_rows, 1, *shape, dtype=dtype)
        if dtype == torch.uint8:
            observation.random_(256)
        else:
            observation.normal_()
        self.columns = {
            "observation": observation,
            "action": torch.ones(num_rows, 1, dtype=torch.int64),
            "reward": torch.ones(num_rows, 1),
            "terminated": torch.ones(num_rows, 1, dtype=torch.bool),
            "truncated": torch.ones(num_rows, 1, dtype=torch.bool),
        }

    def read_times(self, first: int, end: int) -> Mapping[str, Tensor]:
        """Return the rows of these times, a copy where they cross the end."""
        begin = first % self.num_times
        if begin + end - first <= self.num_times:
            return {n: c[begin : begin + end - first] for n, c in self.columns.items()}
        times = torch.arange(first, end) % self.num_times
        return {name: column[times] for name, column in self.columns.items()}

    def write_times(self, first: int, columns: Mapping[str, Tensor]) -> None:
        """Refuse: nothing is loaded here."""
        raise NotImplementedError


def checkpoint() -> dict[str, Any]:
    """Return what a run has beside its ring: the networks and moments of 256 x 256 units."""
    return {"state_dict": {str(n): torch.randn(256, 256) for n in range(8)}, "updates": 1}


def _plain(ring: FilledRing, folder: Path) -> Callable[[], object]:
    def save() -> None:
        with (folder / "a.ckpt").open("wb") as file:
            torch.save({**checkpoint(), "ring": ring.columns}, file)
            file.flush()
            os.fsync(file.fileno())

    return save


def _through(files: TorchCheckpointIO, content: dict[str, Any], folder: Path) -> Any:
    return lambda: files.save_checkpoint({**checkpoint(), **content}, folder / "a.ckpt")


def _segments(ring: FilledRing, folder: Path, *, later: bool) -> Callable[[], object]:
    writer, files = SegmentWriter(folder / "replay"), SafeCheckpointIO()
    files.before_save.append(lambda one, path: one.update(segments=writer.save(ring)))
    if later:
        writer.save(ring)
        ring.total_times += NEW_ROWS
    return _through(files, {}, folder)


WAYS: dict[str, Callable[[FilledRing, Path], Callable[[], object]]] = {
    REFERENCE: _plain,
    "lightning": lambda ring, folder: _through(TorchCheckpointIO(), {"ring": ring.columns}, folder),
    "inside": lambda ring, folder: _through(SafeCheckpointIO(), {"ring": ring.columns}, folder),
    "checkpoint": lambda ring, folder: _through(SafeCheckpointIO(), {}, folder),
    "segments, first": lambda ring, folder: _segments(ring, folder, later=False),
    "segments, later": lambda ring, folder: _segments(ring, folder, later=True),
}
"""Name -> from a ring and a folder to the save that is measured."""


def measure(way: str, kind: str, num_rows: int, folder: Path) -> tuple[float, float]:
    """Return the seconds of one save and its peak of memory in MiB, in this process."""
    ring = FilledRing(kind, num_rows)
    SafeCheckpointIO().save_checkpoint(checkpoint(), folder / "warm.ckpt")  # imports, first touch
    save = WAYS[way](ring, folder)
    held = _largest_memory()
    os.sync()
    start = time.perf_counter()
    save()
    return time.perf_counter() - start, (_largest_memory() - held) / MEBIBYTE


def _largest_memory() -> int:
    """Return the largest memory that this process ever had, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def in_fresh_process(way: str, ring: str, parent: Path | None) -> tuple[float, float]:
    """Return what :func:`measure` returns, of a process that does nothing else."""
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        command = [sys.executable, __file__, "--measure", way, ring, folder]
        result = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, memory = map(float, result.stdout.split())
    return seconds, memory


def rows_of(ring: str, repeats: int, folder: Path | None) -> Iterator[list[str]]:
    """Yield a row of the table for each way to save a ring."""
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for _ in range(repeats):
        for way in WAYS:
            found[way].append(in_fresh_process(way, ring, folder))
    medians = {
        way: [statistics.median(c) for c in zip(*r, strict=True)] for way, r in found.items()
    }
    for way, (seconds, memory) in medians.items():
        ratio = seconds / medians[REFERENCE][0]
        kind, _, size = ring.partition(":")
        name = f"{int(size):,} {kind}: {way}"
        yield [name, f"{seconds:.3f}", ratio_text(ratio), f"{memory:,.0f}"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rings", nargs="+", default=SMALL, help="as floats:10000 frames:10000")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="on the disk that is measured")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        way, ring, folder = arguments.measure
        kind, _, size = ring.partition(":")
        print(*measure(way, kind, int(size), Path(folder)))
        return
    table = [["ring and way", "seconds", "ratio", "MiB more at the peak"]]
    for ring in arguments.rings:
        table += rows_of(ring, arguments.repeats, arguments.folder)
    print(format_table(table))


if __name__ == "__main__":
    main()
