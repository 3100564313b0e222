"""Temporal-difference learning, one equation a function.

Pure functions of tensors. Shapes: B batch, A actions; a trailing N stands for what a
distributional head keeps of each action. The discount is data: 0 after termination.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def greedy_action(q_values: Tensor, action_mask: Tensor | None = None) -> Tensor:
    """Return argmax_a Q(s, a) over the legal actions.

    Args:
        q_values: float[B, A].
        action_mask: bool[B, A], True where legal: only such actions are chosen, whatever their
            values. In a state without a legal action (after a game's end) the answer is 0; its
            value is multiplied by a discount of 0.

    Returns:
        int64[B].
    """
    _check_rank(2, q_values=q_values)
    if action_mask is not None:
        _check_same_shape(q_values=q_values, action_mask=action_mask)
        legal = q_values.clamp(min=torch.finfo(q_values.dtype).min)  # above what stands for illegal
        q_values = legal.masked_fill(~action_mask, -torch.inf)
    return q_values.argmax(dim=1)


def select_action(output: Tensor, action: Tensor) -> Tensor:
    """Return what ``output`` says of the chosen actions.

    Args:
        output: float[B, A] or float[B, A, N].
        action: int64[B].

    Returns:
        float[B] or float[B, N].
    """
    _check_rank(1, action=action)
    index = action.reshape(-1, *[1] * (output.ndim - 1)).expand(-1, 1, *output.shape[2:])
    return output.gather(1, index).squeeze(1)


def td_target(reward: Tensor, discount: Tensor, bootstrap: Tensor) -> Tensor:
    """Return r + discount * V(s'), eq. 3 of Mnih et al. 2015 (doi.org/10.1038/nature14236).

    Args:
        reward: float[B], summed over the n-step chain.
        discount: float[B], gamma^n, 0 after termination, sign -1 per ply in zero-sum turn games.
        bootstrap: float[B], the value of the state at the chain's end.

    Returns:
        float[B].
    """
    _check_rank(1, reward=reward, discount=discount, bootstrap=bootstrap)
    _check_same_shape(reward=reward, discount=discount, bootstrap=bootstrap)
    return reward + discount * bootstrap


def softmax_policy(
    q_values: Tensor, temperature: float, action_mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return pi and log pi of softmax(Q(s, .) / temperature) over the legal actions.

    Args:
        q_values: float[B, A].
        temperature: above 0, in units of return.
        action_mask: bool[B, A], True where legal. In a state without a legal action all count
            as legal; its value is multiplied by a discount of 0.

    Returns:
        float[B, A] both; illegal actions have pi = 0 and log pi = 0.
    """
    _check_rank(2, q_values=q_values)
    if action_mask is not None:
        _check_same_shape(q_values=q_values, action_mask=action_mask)
        illegal = ~(action_mask | ~action_mask.any(dim=1, keepdim=True))
        q_values = q_values.masked_fill(illegal, -torch.inf)
    # Half precision is coarser than a usual temperature.
    precise = q_values if q_values.dtype == torch.float64 else q_values.float()
    log_policy = torch.log_softmax(precise / temperature, dim=1)
    policy = log_policy.exp()
    return policy, log_policy if action_mask is None else log_policy.masked_fill(illegal, 0.0)


def lambda_returns(
    reward: Tensor, discount: Tensor, next_value: Tensor, continues: Tensor, trace: float
) -> Tensor:
    """Return Peng's Q(lambda), as Gallici et al. 2024 use it (arxiv.org/abs/2407.04811).

    R_t = r_t + discount_t * ((1 - lambda) * V(s_t+1) + lambda * R_t+1) while the episode goes on,
    and r_t + discount_t * V(s_t+1) at its end or the end of what is stored.

    Args:
        reward: float[T, E].
        discount: float[T, E], 0 after termination, negative where the opponent moves next.
        next_value: float[T, E], V of the observation that follows.
        continues: bool[T, E], whether t+1 is stored and belongs to the same episode.
        trace: lambda, between 0 and 1.

    Returns:
        float[T, E].
    """
    _check_same_shape(reward=reward, discount=discount, next_value=next_value, continues=continues)
    returns = torch.empty_like(reward)
    following = next_value[-1]
    for t in range(len(reward) - 1, -1, -1):
        mixed = torch.lerp(next_value[t], following, trace)
        ahead = torch.where(continues[t], mixed, next_value[t])
        following = returns[t] = reward[t] + discount[t] * ahead
    return returns


def categorical_projection(
    probabilities: Tensor, reward: Tensor, discount: Tensor, support: Tensor
) -> Tensor:
    """Return the distribution of r + discount * Z on the atoms of Z.

    Eq. 7 of Bellemare et al. 2017 (arxiv.org/abs/1707.06887): each shifted atom, clamped to the
    support, gives its probability to its two neighbours in proportion to their nearness. Any
    sign of the discount will do.

    Args:
        probabilities: float[B, N] of Z's atoms.
        reward: float[B].
        discount: float[B].
        support: float[N], the atoms, evenly spaced and rising.

    Returns:
        float[B, N]; sums to 1 like ``probabilities``.
    """
    _check_rank(1, reward=reward, discount=discount, support=support)
    low, high = support[0], support[-1]
    atoms = (reward.unsqueeze(1) + discount.unsqueeze(1) * support).clamp(low, high)
    distance = (atoms.unsqueeze(2) - support).abs() * ((len(support) - 1) / (high - low))
    return (probabilities.unsqueeze(2) * (1 - distance).clamp_min(0)).sum(dim=1)


def quantile_huber_error(
    prediction: Tensor,
    target: Tensor,
    fractions: Tensor,
    target_weights: Tensor,
    threshold: float = 1.0,
) -> Tensor:
    """Return the quantile Huber error of each sample, eq. 3 of Dabney et al. 2018.

    The mean over the predicted quantiles of the expectation over the target's values, each
    weighted |fraction - [target < prediction]| and divided by the threshold
    (arxiv.org/abs/1806.06923). QR-DQN's eq. 10 (arxiv.org/abs/1710.10044) doesn't divide, which is
    the same at a threshold of 1.

    Args:
        prediction: float[B, N], predicted quantiles.
        target: float[B, M], values of the target distribution.
        fractions: float[B, N] or float[N], the fractions that ``prediction`` stands for.
        target_weights: float[B, M] or float[M], their probabilities; sum to 1.
        threshold: where Huber's error turns linear; 0 is plain quantile regression.

    Returns:
        float[B].
    """
    _check_rank(2, prediction=prediction, target=target)
    td_error = target.unsqueeze(1) - prediction.unsqueeze(2)
    size = huber_error(td_error, threshold) / threshold if threshold > 0 else td_error.abs()
    fractions = fractions.unsqueeze(-1)
    asymmetry = torch.where(td_error.detach() < 0, 1 - fractions, fractions)
    return (asymmetry * size * target_weights.unsqueeze(-2)).sum(dim=2).mean(dim=1)


def fraction_error(edges: Tensor, at_edges: Tensor, at_midpoints: Tensor) -> Tensor:
    """Return zeros whose gradient moves fractions as proposition 1 of Yang et al. 2019.

    The 1-Wasserstein error of a step function whose steps are cut at ``edges``
    (arxiv.org/abs/1911.02140) has the gradient 2 F(edge_i) - F(midpoint_i) - F(midpoint_i+1). That
    holds where quantiles rise with their fractions. A network's may cross; then the gradient is
    taken all the same, as in the paper, where some implementations turn its sign.

    Args:
        edges: float[B, N-1], the inner edges between N steps, with a gradient.
        at_edges: float[B, N-1], quantiles F^-1 there.
        at_midpoints: float[B, N], quantiles in the middle of each step.

    Returns:
        float[B].
    """
    _check_same_shape(edges=edges, at_edges=at_edges)
    gradient = 2 * at_edges - at_midpoints[:, :-1] - at_midpoints[:, 1:]
    return (gradient.detach() * (edges - edges.detach())).sum(dim=1)


def squared_error(td_error: Tensor) -> Tensor:
    """Return delta^2 / 2, so that its gradient is delta: float[B] -> float[B]."""
    return 0.5 * td_error.square()


def huber_error(td_error: Tensor, threshold: float = 1.0) -> Tensor:
    """Return delta^2 / 2 near 0 and ``threshold`` * (|delta| - threshold / 2) beyond.

    Its gradient is the TD error clipped to +-threshold, as in Mnih et al. 2015, "Methods".
    """
    return nn.functional.huber_loss(
        td_error, torch.zeros_like(td_error), reduction="none", delta=threshold
    )


def _check_rank(rank: int, **tensors: Tensor) -> None:
    """Refuse [B] against [B, 1], which would broadcast to [B, B] without a word."""
    for name, tensor in tensors.items():
        assert tensor.ndim == rank, f"{name} has shape {tuple(tensor.shape)}, not rank {rank}"


def _check_same_shape(**tensors: Tensor) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    assert len(set(shapes.values())) == 1, f"shapes differ: {shapes}"
