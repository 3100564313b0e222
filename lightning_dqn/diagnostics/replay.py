"""What is learned from: how full the ring is, how old what is drawn, how often it is the same.

Shapes: U updates, B batch, E environments.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_dqn.diagnostics.percentiles import percentiles
from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.samplers.sampler import Sampler
from lightning_dqn.transitions import Iteration

MOST_TRANSITIONS = 1_024
"""Of an iteration's, those of its newest minibatches that are looked at, one minibatch at least."""


def replay_diagnostics(
    sampler: Sampler, iteration: Iteration, priority: Tensor
) -> dict[str, Tensor | float]:
    """Return what an iteration was learned from, under keys of the glossary.

    Args:
        sampler: that drew it; of one that doesn't replay nothing is told.
        iteration: U minibatches.
        priority: float[U, B], what there was to learn from each.
    """
    if not sampler.replays:
        return {}
    replay, (num_updates, batch_size) = sampler.replay, iteration.transitions.action.shape
    found: dict[str, Tensor | float] = {
        "replay/fill": replay.times_stored / replay.num_times,
        "replay/ratio": num_updates / iteration.new_env_steps,
        **_of_rows(replay),
    }
    cells = replay.newest_read
    newest = max(1, MOST_TRANSITIONS // batch_size)
    if sampler.uses_priorities and cells is not None and len(cells) == priority.numel():
        stored = sampler.stored_priorities(cells)
        if stored is not None:
            found["replay/priority_stale"] = stale_share(cells, stored, priority.flatten())
    if cells is not None and len(cells) == num_updates * batch_size:
        cells = cells.view(num_updates, batch_size)[-newest:]
        age = ages(cells, replay)
        found |= {"replay/age_mean": age.float().mean(), **percentiles("replay/age", age)}
        if batch_size > 1:
            found["replay/duplicates"] = duplicate_share(cells)
    if sampler.uses_priorities:
        found |= percentiles("replay/priority", priority[-newest:])
    return found


def _of_rows(replay: ReplayBuffer) -> dict[str, Tensor]:
    """Return how episodes end in the ring, and the largest reward that is learned from."""
    rows = slice(0, replay.num_rows)  # times fill the ring from its beginning
    reward = replay.read("reward", rows).abs().max()
    clip = replay.config.reward_clip
    return {
        "replay/terminated": replay.read("terminated", rows).float().mean(),
        "replay/truncated": replay.read("truncated", rows).float().mean(),
        "replay/largest_reward": reward if clip is None else reward.clamp(max=clip),
    }


def stale_share(cells: Tensor, stored: Tensor, priority: Tensor) -> Tensor:
    """Return how often what a sampler keeps doesn't follow what came back from learning.

    Ordered by the priority that came back, what is kept must not fall. Healthy: 0, whatever
    power it is kept to; about 0.5 where it isn't kept at all.

    Args:
        cells: int64[M], that were drawn, M at least 2; of one drawn again its largest counts.
        stored: float[M], what is kept of them.
        priority: float[M], that came back.
    """
    size = priority.abs().to(stored.dtype)
    kinds, which = cells.unique(return_inverse=True)
    largest = torch.zeros(len(kinds), dtype=stored.dtype, device=cells.device)
    largest = largest.scatter_reduce(0, which, size.to(cells.device), "amax")
    kept = torch.zeros_like(largest).scatter(0, which, stored)
    kept = kept[largest.argsort(stable=True)]
    falls = kept.diff() < -1e-6 * kept.abs().amax()
    return falls.float().mean()


def ages(cells: Tensor, replay: ReplayBuffer) -> Tensor:
    """Return how many rows ago the rows of cells were written.

    The newest rows of all environments have the age 0, those before them E. That is env steps,
    and one more for each episode that ended since. Healthy: uniform sampling has a mean of half
    of what the ring holds; much below it the newest are learned from too often.

    Args:
        cells: int64[...].
        replay: their ring, as it was when they were drawn.

    Returns:
        int64[...].
    """
    newest = replay.total_times - 1
    return (newest - cells // replay.num_envs) % replay.num_times * replay.num_envs


def duplicate_share(cells: Tensor) -> Tensor:
    """Return the share of a minibatch's transitions that stand in it already.

    Healthy: about (B - 1) / 2N where B of N are drawn uniformly; far above, a few transitions are
    nearly all that is learned from.

    Args:
        cells: int64[U, B], B at least 2.

    Returns:
        float[], the mean over the minibatches.
    """
    ordered = cells.sort(dim=1).values
    is_again = ordered[:, 1:] == ordered[:, :-1]
    return is_again.sum() / torch.tensor(float(cells.numel()), device=cells.device)
