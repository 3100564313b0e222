"""One seed, and a stream of chance of its own for each who draws.

Generators that are seeded with the same number give the same numbers, whoever draws: exploration
would follow the environment's chance. And where environment i gets seed + i, the runs of seeds 0
and 1 share all environments but one. So whoever draws spawns a stream by its own name.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def spawned(seed: int, *user: str | int) -> np.random.SeedSequence:
    """Return the stream of one user of a seed.

    Args:
        seed: from 0, of a run.
        user: who draws, as ``"environments", 0``; other names have independent streams.
    """
    key = [zlib.crc32(repr(part).encode()) for part in user]
    return np.random.SeedSequence(seed, spawn_key=key)


def generator_of(seed: int, *user: str | int) -> np.random.Generator:
    """Return the NumPy generator of one user of a seed."""
    return np.random.default_rng(spawned(seed, *user))


def seed_of(seed: int, *user: str | int) -> int:
    """Return a seed of one user, 32 bits, for what takes a number alone."""
    return int(spawned(seed, *user).generate_state(1)[0])


def seeds_of(seed: int, *user: str | int, count: int) -> list[int]:
    """Return so many independent seeds, 31 bits each, as simulators in C take them."""
    return [int(word) >> 1 for word in spawned(seed, *user).generate_state(count)]


def global_generators() -> dict[str, Any]:
    """Return the states of Python's, NumPy's and torch's own generators, as plain values.

    Environments and networks of other people draw from them.
    """
    numpy: Any = np.random.get_state(legacy=False)  # noqa: NPY002 (other people's)
    key = numpy["state"]["key"].tolist()
    return {
        "python": random.getstate(),
        "numpy": {**numpy, "state": {"key": key, "pos": numpy["state"]["pos"]}},
        "torch": torch.get_rng_state(),
    }


def set_global_generators(states: dict[str, Any]) -> None:
    """Take back what :func:`global_generators` gave."""
    random.setstate(states["python"])
    numpy = states["numpy"]
    key = np.array(numpy["state"]["key"], np.uint32)
    np.random.set_state({**numpy, "state": {**numpy["state"], "key": key}})  # noqa: NPY002
    torch.set_rng_state(states["torch"])


def seed_environments_generators(seed: int) -> None:
    """Seed Python's and NumPy's own generators, from which other people's environments draw.

    Of several ranks each has another seed for them. torch's stays the same in all ranks, for what
    learning draws, as noise and new weights, must be the same in all.
    """
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (other people's)


def device_generator(device: torch.device) -> dict[str, Any] | None:
    """Return the state of the accelerator's own generator; None on the CPU, which has torch's.

    Noise and dropout of a network on an accelerator draw from there.
    """
    if device.type == "cpu":
        return None
    module = torch.get_device_module(device)
    state = module.get_rng_state() if device.type == "mps" else module.get_rng_state(device)
    return {"type": device.type, "state": state}


def set_device_generator(device: torch.device, saved: dict[str, Any] | None) -> None:
    """Take back what :func:`device_generator` gave, where it was of such a device."""
    if saved is None or saved["type"] != device.type:
        return
    module, state = torch.get_device_module(device), saved["state"]
    if device.type == "mps":
        module.set_rng_state(state)
    else:
        module.set_rng_state(state, device)


def set_generator(generator: torch.Generator, state: torch.Tensor | None) -> None:
    """Take back a generator's state, where it was of such a device, by its size: 16 bytes of CUDA.

    Else the generator stays as it is seeded: a run may be continued on another kind of device.
    """
    if state is not None and state.shape == generator.get_state().shape:
        generator.set_state(state.cpu())


@contextmanager
def generators_kept() -> Iterator[None]:
    """Give Python's, NumPy's and torch's own generators back as they were before the block."""
    states = global_generators()
    try:
        yield
    finally:
        set_global_generators(states)
