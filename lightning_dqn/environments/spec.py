"""What the learner must know of an environment: shapes, types, the number of actions."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch

LIFE_LOST = "life_lost"
"""In ``info``, from the reset on: whether the step cost a life, for learning to end there."""


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
        action_start: the environment's number of its first action; here they count from 0.
        has_life_losses: whether ``info["life_lost"]`` tells of lives, at whose end learning expects
            nothing more while the episode goes on.
    """

    observation_shape: tuple[int, ...]
    observation_dtype: str
    num_actions: int
    num_states: int | None = None
    has_action_mask: bool = False
    frame_stack: int = 1
    zero_sum_turns: bool = False
    game: str | None = None
    action_start: int = 0
    has_life_losses: bool = False

    @property
    def stacked_shape(self) -> tuple[int, ...]:
        """Shape of one observation as the network gets it."""
        stack = (self.frame_stack,) if self.frame_stack > 1 else ()
        return (*stack, *self.observation_shape)

    def example_observations(self, batch: int) -> torch.Tensor:
        """Return a batch of zeros as the network gets it, [B, (S,) *shape]."""
        return torch.zeros(batch, *self.stacked_shape, dtype=getattr(torch, self.observation_dtype))


def check_same(module: EnvironmentSpec, other: EnvironmentSpec, where: str) -> None:
    """Refuse a module that was made for another kind of environment.

    Who moves next (``zero_sum_turns``) and where lives end (``has_life_losses``) is none of its
    business: that is in the discounts.

    Args:
        module: what it was made for.
        other: what it meets.
        where: how messages call the latter.

    Raises:
        ValueError: naming what differs.
    """
    apart = {"zero_sum_turns", "has_life_losses"}
    if module.game is None:  # so in files of before there were games
        apart.add("game")
    for name in [f.name for f in fields(EnvironmentSpec) if f.name not in apart]:
        expected, found = getattr(module, name), getattr(other, name)
        if expected != found:
            raise ValueError(
                f"{name}: the module was made for {name}={expected}, but {where} has "
                f"{name}={found}; make both of the same environment"
            )
