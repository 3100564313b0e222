"""Where the replay ring lies, how large it is, and whether that fits."""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.extra_columns import NO_COLUMNS, ExtraColumns, bytes_learned_from
from lightning_dqn.replay.gathering import wants_stack_last
from lightning_dqn.replay.reading import Reading
from lightning_dqn.system.disk import reserve
from lightning_dqn.system.memory import available_bytes, available_disk_bytes, check_fits
from lightning_dqn.system.numbers import keep_whole
from lightning_dqn.transitions import Rows


@dataclass(frozen=True)
class ReplayConfig(Reading):
    """What the replay ring keeps, and how it is read.

    Args:
        gamma: see :class:`lightning_dqn.replay.reading.Reading`.
        n_step: see there.
        reward_clip: see there.
        sequence_length: see there.
        capacity: rows kept, over all environments together.
        storage: ``"cpu"``, ``"accelerator"`` (the memory of the device that learns), or
            ``"memmap"``, a file under ``directory``.
        directory: of the memory-mapped file; the run's directory if None.
    """

    capacity: int = 100_000
    storage: str = "cpu"
    directory: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_whole(self, capacity=2)
        if self.storage not in ("cpu", "accelerator", "memmap"):
            raise ValueError(f"storage={self.storage!r}: choose cpu, accelerator or memmap")
        if self.directory is not None and self.storage != "memmap":
            raise ValueError(
                f"directory={self.directory}: is that of a file, and storage={self.storage} has "
                "none; choose storage=memmap, or set directory to null"
            )

    def with_capacity(self, capacity: int) -> ReplayConfig:
        """Return the same of another size."""
        return replace(self, capacity=capacity)


def ring_layout(
    spec: EnvironmentSpec, extra_columns: ExtraColumns = NO_COLUMNS
) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Return the shape and type of one row's columns, the extra ones last.

    Raises:
        ValueError: an extra column has the name of another.
    """
    layout: dict[str, tuple[tuple[int, ...], torch.dtype]] = {
        "observation": (spec.observation_shape, getattr(torch, spec.observation_dtype)),
        "action": ((), torch.int64),
        "reward": ((), torch.float32),
        "terminated": ((), torch.bool),
        "truncated": ((), torch.bool),
    }
    if spec.has_action_mask:
        layout["action_mask"] = ((spec.num_actions,), torch.bool)
    if spec.has_life_losses:
        layout["life_lost"] = ((), torch.bool)
    for name, column in extra_columns.items():
        if name in Rows._fields:
            raise ValueError(
                f"extra_columns[{name!r}]: rows have a column of that name; choose another"
            )
        layout[name] = (column.shape, getattr(torch, column.dtype))
    return layout


def ring_rows(num_envs: int, capacity: int) -> int:
    """Return the rows that a ring has: the capacity, rounded up to whole times."""
    return -(-capacity // num_envs) * num_envs


def ring_bytes(
    spec: EnvironmentSpec, num_envs: int, capacity: int, extra_columns: ExtraColumns = NO_COLUMNS
) -> int:
    """Return the size of the whole ring, its list of starts included."""
    row_bytes = _row_bytes(spec, extra_columns) + torch.int64.itemsize
    return ring_rows(num_envs, capacity) * row_bytes


def _row_bytes(spec: EnvironmentSpec, extra_columns: ExtraColumns) -> int:
    columns = ring_layout(spec, extra_columns).values()
    return sum(int(np.prod(shape, dtype=np.int64)) * dtype.itemsize for shape, dtype in columns)


def check_ring_fits(
    spec: EnvironmentSpec,
    num_envs: int,
    config: ReplayConfig,
    *,
    device: torch.device | str = "cpu",
    directory: str | Path | None = None,
    beside_bytes: int = 0,
    extra_columns: ExtraColumns = NO_COLUMNS,
) -> None:
    """Refuse a ring that would take more than 80 % of what is free where it is to lie.

    Args:
        spec: of its rows.
        num_envs: E.
        config: its size and its place.
        device: that learns.
        directory: of the run.
        beside_bytes: that a sampler keeps beside it, in memory.
        extra_columns: of its rows.

    Raises:
        ValueError: with the bytes needed and free.
    """
    rows = ring_rows(num_envs, config.capacity)
    in_file, in_memory = 0, rows * torch.int64.itemsize + beside_bytes
    if (folder := ring_folder(config, directory)) is None:
        in_memory += rows * _row_bytes(spec, extra_columns)
    else:
        in_file = rows * _row_bytes(spec, extra_columns)
        what = f"replay.capacity={config.capacity}: the replay ring ({config.storage})"
        remedy = "lower it or choose another directory"
        check_fits(in_file, available_disk_bytes(folder), what, remedy)
    free = available_bytes(ring_device(config, device))
    kept = " with what its sampler keeps" if beside_bytes else ""
    part = "the starts of the replay ring" if in_file else "the replay ring"
    what = f"replay.capacity={config.capacity}: {part} ({config.storage}){kept}"
    check_fits(
        in_memory, free, what, "lower it" if in_file else "lower it or choose storage=memmap"
    )


def check_batches_fit(
    spec: EnvironmentSpec,
    num_updates: int,
    batch_size: int,
    sequence_length: int | None = None,
    *,
    extra_columns: ExtraColumns = NO_COLUMNS,
) -> None:
    """Refuse minibatches of one iteration that would take more than 80 % of the free memory."""
    needed = batches_bytes(
        spec, num_updates, batch_size, sequence_length, extra_columns=extra_columns
    )
    what = f"batch_size={batch_size} x updates_per_iteration={num_updates}: one iteration"
    check_fits(needed, available_bytes(torch.device("cpu")), what, "lower one of them")


def batches_bytes(
    spec: EnvironmentSpec,
    num_updates: int,
    batch_size: int,
    sequence_length: int | None = None,
    *,
    extra_columns: ExtraColumns = NO_COLUMNS,
) -> int:
    """Return what the minibatches of one iteration take in memory."""
    frame_bytes = getattr(torch, spec.observation_dtype).itemsize
    observation = int(np.prod(spec.stacked_shape, dtype=np.int64)) * frame_bytes
    copies = 3 if wants_stack_last(spec) else 2  # stacks are arranged from a copy
    steps = sequence_length or 0  # frames are shared, but who learns makes a copy of each stack
    extra = (1 + steps) * bytes_learned_from(extra_columns)
    return num_updates * batch_size * ((copies + 2 * steps) * observation + extra + 32)


def allocate(
    size: tuple[int, ...], dtype: torch.dtype, device: torch.device, folder: Path | None
) -> Tensor:
    """Return zeros of ``size``, in a memory-mapped file if ``folder`` is given.

    Raises:
        ValueError: the disk doesn't hold the file; it is gone again.
    """
    if folder is None:
        return torch.zeros(size, dtype=dtype, device=device)
    folder.mkdir(parents=True, exist_ok=True)
    handle, path = tempfile.mkstemp(prefix="replay_", suffix=".bin", dir=folder)
    elements = int(np.prod(size, dtype=np.int64))
    try:
        reserve(handle, elements * dtype.itemsize, f"replay.directory={folder}: the replay ring")
        return torch.from_file(path, shared=True, size=elements, dtype=dtype).view(size)
    finally:
        os.close(handle)
        with contextlib.suppress(OSError):  # a system that can't remove an open file keeps it
            os.unlink(path)  # the disk is free again when the process ends, however it ends


def ring_device(config: ReplayConfig, device: torch.device | str) -> torch.device:
    """Return the device that the ring lies on; ``device`` is the one that learns."""
    return torch.device(device if config.storage == "accelerator" else "cpu")


def ring_folder(config: ReplayConfig, directory: str | Path | None) -> Path | None:
    """Return the folder of the memory-mapped file, None where there is none."""
    if config.storage != "memmap":
        return None
    return Path(config.directory or directory or tempfile.gettempdir())
