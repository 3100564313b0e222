"""Where the replay ring lies, how large it is, and whether that fits."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.schedules import Schedule
from lightning_dqn.system.memory import available_bytes, available_disk_bytes, check_fits


@dataclass(frozen=True)
class ReplayConfig:
    """What the replay ring keeps and how it makes transitions of it.

    Args:
        capacity: rows kept, over all environments together.
        gamma: discount of one env step, or a schedule of it over env steps; negative in zero-sum
            games in which the next state is the opponent's.
        n_step: rewards summed before bootstrapping: a number, a schedule of it over env steps,
            or a range [low, high] from which each sample draws its own.
        storage: ``"cpu"``, ``"accelerator"`` (the memory of the device that learns), or
            ``"memmap"``, a file under ``directory``.
        directory: of the memory-mapped file; the run's directory if None.
    """

    capacity: int = 100_000
    gamma: float | Schedule = 0.99
    n_step: int | Sequence[int] | Schedule = 1
    storage: str = "cpu"
    directory: str | None = None

    def __post_init__(self) -> None:
        if self.capacity < 2:
            raise ValueError(f"capacity={self.capacity}: at least 2 rows")
        self.gamma_at(0)
        self.n_step_at(0)
        if self.storage not in ("cpu", "accelerator", "memmap"):
            raise ValueError(f"storage={self.storage!r}: choose cpu, accelerator or memmap")

    def gamma_at(self, env_steps: int) -> float:
        """Return the discount after so many env steps."""
        gamma = float(self.gamma(env_steps) if callable(self.gamma) else self.gamma)
        if not -1 <= gamma <= 1:
            raise ValueError(f"gamma={gamma}: must lie between -1 and 1")
        return gamma

    def n_step_at(self, env_steps: int) -> tuple[int, int]:
        """Return the shortest and longest chain after so many env steps."""
        n_step = self.n_step
        if callable(n_step):
            n_step = round(n_step(env_steps))
        bounds = tuple(n_step) if isinstance(n_step, Sequence) else (n_step, n_step)
        if len(bounds) != 2 or not all(isinstance(bound, int) for bound in bounds):
            raise ValueError(f"n_step={self.n_step}: a whole number, or a range [low, high]")
        if not 1 <= bounds[0] <= bounds[1]:
            raise ValueError(f"n_step={n_step}: at least 1, and the range must rise")
        return bounds


def check_discount(spec: EnvironmentSpec, config: ReplayConfig) -> None:
    """Refuse a discount that adds the opponent's value to the learner's.

    Raises:
        ValueError: the sign is wrong.
    """
    gamma = config.gamma_at(0)
    if spec.zero_sum_turns and gamma > 0:
        raise ValueError(
            f"gamma={gamma}: in this environment the next state is the opponent's, whose gain is "
            f"the learner's loss; set gamma={-gamma}"
        )


def ring_layout(spec: EnvironmentSpec) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Return the shape and type of one row's columns."""
    layout: dict[str, tuple[tuple[int, ...], torch.dtype]] = {
        "observation": (spec.observation_shape, getattr(torch, spec.observation_dtype)),
        "action": ((), torch.int64),
        "reward": ((), torch.float32),
        "terminated": ((), torch.bool),
        "truncated": ((), torch.bool),
    }
    if spec.has_action_mask:
        layout["action_mask"] = ((spec.num_actions,), torch.bool)
    return layout


def ring_bytes(spec: EnvironmentSpec, num_envs: int, capacity: int) -> int:
    """Return the size of the whole ring, its list of starts included."""
    columns = ring_layout(spec).values()
    row = sum(int(np.prod(shape, dtype=np.int64)) * dtype.itemsize for shape, dtype in columns)
    return -(-capacity // num_envs) * num_envs * (row + torch.int64.itemsize)


def check_ring_fits(
    spec: EnvironmentSpec,
    num_envs: int,
    config: ReplayConfig,
    *,
    device: torch.device | str = "cpu",
    directory: str | Path | None = None,
) -> None:
    """Refuse a ring that would take more than 80 % of what is free where it is to lie.

    Raises:
        ValueError: with the bytes needed and free.
    """
    if (folder := ring_folder(config, directory)) is not None:
        free = available_disk_bytes(folder)
        remedy = "lower it or choose another directory"
    else:
        free = available_bytes(ring_device(config, device))
        remedy = "lower it or choose storage=memmap"
    needed = ring_bytes(spec, num_envs, config.capacity)
    what = f"replay.capacity={config.capacity}: the replay ring ({config.storage})"
    check_fits(needed, free, what, remedy)


def check_batches_fit(spec: EnvironmentSpec, num_updates: int, batch_size: int) -> None:
    """Refuse minibatches of one iteration that would take more than 80 % of the free memory."""
    frame_bytes = getattr(torch, spec.observation_dtype).itemsize
    observation = int(np.prod(spec.stacked_shape, dtype=np.int64)) * frame_bytes
    needed = num_updates * batch_size * (2 * observation + 32)
    what = f"batch_size={batch_size} x updates_per_iteration={num_updates}: one iteration"
    check_fits(needed, available_bytes(torch.device("cpu")), what, "lower one of them")


def allocate(
    size: tuple[int, ...], dtype: torch.dtype, device: torch.device, folder: Path | None
) -> Tensor:
    """Return zeros of ``size``, in a memory-mapped file if ``folder`` is given."""
    if folder is None:
        return torch.zeros(size, dtype=dtype, device=device)
    folder.mkdir(parents=True, exist_ok=True)
    handle, path = tempfile.mkstemp(prefix="replay_", suffix=".bin", dir=folder)
    os.close(handle)
    elements = int(np.prod(size, dtype=np.int64))
    mapped = torch.from_file(path, shared=True, size=elements, dtype=dtype).view(size)
    with contextlib.suppress(OSError):  # a system that can't remove an open file keeps it
        os.unlink(path)  # the disk is free again when the process ends, however it ends
    return mapped


def ring_device(config: ReplayConfig, device: torch.device | str) -> torch.device:
    """Return the device that the ring lies on; ``device`` is the one that learns."""
    return torch.device(device if config.storage == "accelerator" else "cpu")


def ring_folder(config: ReplayConfig, directory: str | Path | None) -> Path | None:
    """Return the folder of the memory-mapped file, None where there is none."""
    if config.storage != "memmap":
        return None
    return Path(config.directory or directory or tempfile.gettempdir())
