"""Rings that hold the rows of scripts, and what is found in them by its place in an episode."""

from __future__ import annotations

from typing import Any

import torch

from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.storage import ReplayConfig
from lightning_dqn.transitions import Transitions
from support.naive_replay import chunks
from support.scripted_env import Scripts, frame, scripted_rows, spec_of


def ring_of(
    scripts: Scripts,
    num_times: int,
    *,
    keeps: int | None = None,
    spec: Any = None,
    seed: int = 0,
    chunk: int | None = None,
    **config: Any,
) -> ReplayBuffer:
    """Return a ring that kept the last ``keeps`` of ``num_times`` rows of each environment."""
    spec = spec or spec_of()
    num_envs = len(scripts)
    capacity = (keeps or num_times) * num_envs
    ring = ReplayBuffer(spec, num_envs, ReplayConfig(capacity=capacity, **config), seed=seed)
    rows = scripted_rows(scripts, num_times, spec)
    for part in chunks(rows, [chunk or min(num_times, keeps or num_times)]):
        ring.extend(part)
    return ring


def transition_from(ring: ReplayBuffer, env: int, episode: int, step: int) -> Transitions:
    """Return the only transition that starts at this place."""
    cells = ring.start_cells()
    all_of_them = ring.transitions_at(cells)
    observation = all_of_them.observation
    newest_frame = observation[:, -1] if ring.spec.frame_stack > 1 else observation
    place = torch.from_numpy(frame(env, episode, step))
    (found,) = torch.nonzero((newest_frame == place).all(dim=1)).flatten().tolist()
    return Transitions(*(None if c is None else c[found].clone() for c in all_of_them))  # type: ignore[arg-type]


def places_sampled(ring: ReplayBuffer, batch: int = 4_000) -> set[tuple[int, ...]]:
    """Return (env, episode, step) of all that ``sample`` draws from."""
    observation = ring.sample(1, batch).observation[0]
    frames = observation[:, -1] if ring.spec.frame_stack > 1 else observation
    return {tuple(int(x) for x in row) for row in frames}
