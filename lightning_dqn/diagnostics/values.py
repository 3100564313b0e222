"""What the networks say of a minibatch: values, errors, the choice between actions.

Shapes: B batch, A actions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_dqn.diagnostics.percentiles import percentiles
from lightning_dqn.dqn import DQN
from lightning_dqn.learning.looking import looking_on
from lightning_dqn.networks.modes import in_evaluation_mode
from lightning_dqn.transitions import Transitions


def value_diagnostics(module: DQN, minibatch: Transitions) -> dict[str, Tensor]:
    """Return what the module says of a minibatch now, under keys of the glossary.

    Values and errors are those of :meth:`DQN.loss`, noise included; the gap is one without noise.

    Args:
        module: that learns; it is left as it was.
        minibatch: columns [B, ...], on its device.
    """
    with looking_on(module):
        judged = module.loss(minibatch)
        outside = _share_outside(module, minibatch)
        with in_evaluation_mode(module.q_network):
            q_values = module.agent.head.q_values(module.q_network(minibatch.observation))
    found = percentiles("values/q_value", judged.q_value)
    found |= percentiles("values/td_error", judged.td_error)
    if (gap := action_gap(q_values, minibatch.action_mask)) is not None:
        found["values/action_gap"] = gap
    if outside is not None:
        found["values/target_outside_range"] = outside
    return found


def action_gap(q_values: Tensor, action_mask: Tensor | None = None) -> Tensor | None:
    """Return how much better the best action is than the second best: mean over states.

    Eq. 2 of Bellemare et al. 2016 (arxiv.org/abs/1512.04860). Healthy: above the size of the
    network's errors; about 0, the greedy action changes with every update.

    Args:
        q_values: float[B, A].
        action_mask: bool[B, A], True where legal, or None where all are. States with less than
            two legal actions don't count.

    Returns:
        float[], NaN where no state counts; None where A is 1.
    """
    if q_values.shape[1] < 2:
        return None
    if action_mask is None:
        best, second = q_values.topk(2, dim=1).values.unbind(1)
        return (best - second).mean()
    has_choice = action_mask.sum(dim=1) > 1
    legal = q_values.masked_fill(~action_mask, -torch.inf)
    best, second = legal.topk(2, dim=1).values.unbind(1)
    return torch.where(has_choice, best - second, 0.0).sum() / has_choice.sum()


def _share_outside(module: DQN, minibatch: Transitions) -> Tensor | None:
    """Return how much of the targets the head can't say; None where it can say all."""
    head = module.agent.head
    if not head.judges_targets:
        return None
    output = module.q_network(minibatch.observation)
    reward, bootstrap = module.bootstrap(minibatch, output)
    return head.share_outside(reward, minibatch.discount, bootstrap)
