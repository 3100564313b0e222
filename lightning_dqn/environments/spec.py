"""What the learner must know of an environment: shapes, types, the number of actions."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class EnvironmentSpec:
    """What the learner must know of an environment.

    Attributes:
        observation_shape: of one frame; () for a discrete state.
        observation_dtype: as stored: float32, uint8, bool or int64 (a discrete state).
        num_actions: A.
        num_states: number of states where the observation is a discrete state, else None.
        has_action_mask: whether ``info["action_mask"]`` tells the legal actions.
        frame_stack: S; above 1 the network gets [B, S, *observation_shape].
        zero_sum_turns: the next state is the opponent's, so its value counts against the learner.
        game: name of the board game, if it is one.
    """

    observation_shape: tuple[int, ...]
    observation_dtype: str
    num_actions: int
    num_states: int | None = None
    has_action_mask: bool = False
    frame_stack: int = 1
    zero_sum_turns: bool = False
    game: str | None = None

    @property
    def stacked_shape(self) -> tuple[int, ...]:
        """Shape of one observation as the network gets it."""
        stack = (self.frame_stack,) if self.frame_stack > 1 else ()
        return (*stack, *self.observation_shape)

    def example_observations(self, batch: int) -> torch.Tensor:
        """Return a batch of zeros as the network gets it, [B, (S,) *shape]."""
        return torch.zeros(batch, *self.stacked_shape, dtype=getattr(torch, self.observation_dtype))
