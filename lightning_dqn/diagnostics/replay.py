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
    }
    cells = replay.newest_read
    newest = max(1, MOST_TRANSITIONS // batch_size)
    if cells is not None and len(cells) == num_updates * batch_size:
        cells = cells.view(num_updates, batch_size)[-newest:]
        age = ages(cells, replay)
        found |= {"replay/age_mean": age.float().mean(), **percentiles("replay/age", age)}
        if batch_size > 1:
            found["replay/duplicates"] = duplicate_share(cells)
    if sampler.uses_priorities:
        found |= percentiles("replay/priority", priority[-newest:])
    return found


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
