"""Observations and masks that a caller gives: one or a batch, in any type that says the same.

Shapes: B batch, A actions.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lightning_dqn.environments.exact import exact, zeros_and_ones
from lightning_dqn.environments.spec import EnvironmentSpec


def is_single(observation: np.ndarray | Tensor, spec: EnvironmentSpec) -> bool:
    """Tell whether this is one observation, not a batch of them."""
    return tuple(np.shape(observation)) == spec.stacked_shape


def as_batch(observation: np.ndarray | Tensor, spec: EnvironmentSpec) -> np.ndarray | Tensor:
    """Return one observation as a batch of one, and a batch as it is.

    Raises:
        ValueError: it is neither.
    """
    if not isinstance(observation, Tensor):
        observation = np.asarray(observation)
    if is_single(observation, spec):
        return observation[None]
    if tuple(observation.shape[1:]) != spec.stacked_shape or observation.ndim == 0:
        batch = f"(B, {', '.join(map(str, spec.stacked_shape))})"
        raise ValueError(
            f"observation has the shape {tuple(observation.shape)}, expected {batch}, or "
            f"{spec.stacked_shape} for a single one"
        )
    return observation


def exact_action_mask(
    action_mask: np.ndarray | Tensor, shape: tuple[int, ...]
) -> np.ndarray | Tensor:
    """Return a mask as bool of this shape, whatever type its zeros and ones are of.

    Raises:
        ValueError: it holds something else, or is of another shape.
    """
    found = tuple(np.shape(action_mask))
    if found != shape:
        as_said = "(B, A)" if len(shape) == 2 else "(A,) with a single observation"
        raise ValueError(f"action_mask has the shape {found}, expected {shape}, as {as_said}")
    if isinstance(action_mask, Tensor):
        if action_mask.dtype == torch.bool:
            return action_mask
        action_mask = action_mask.detach().cpu().numpy()
    return zeros_and_ones("action_mask", np.asarray(action_mask), giver="caller")


def exact_observation(
    observation: np.ndarray | Tensor, spec: EnvironmentSpec
) -> np.ndarray | Tensor:
    """Return an observation whose cast to the environment's type changes no value.

    Args:
        observation: [B, ...]; what lies on an accelerator in the declared type is taken as it is,
            for a look would stall it.
        spec: says the type.

    Raises:
        ValueError: a value would become another, or is no state of those that there are.
    """
    if not isinstance(observation, Tensor):
        return exact(np.asarray(observation), spec, giver="caller")
    is_declared = observation.dtype == getattr(torch, spec.observation_dtype)
    if is_declared and (spec.num_states is None or observation.device.type != "cpu"):
        return observation
    values = exact(observation.detach().cpu().numpy(), spec, giver="caller")
    return torch.from_numpy(values)
