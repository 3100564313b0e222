"""How actors explore, each in its own way."""

from __future__ import annotations

from dataclasses import dataclass

from lightning_dqn.collecting.exploration import Exploration
from lightning_dqn.schedules import Schedule, as_schedule


@dataclass(frozen=True)
class Power:
    """A schedule to the power of a number.

    Args:
        base: the schedule.
        exponent: the number.
    """

    base: Schedule
    exponent: float

    def __call__(self, env_steps: int) -> float:
        """Return the value after so many env steps."""
        return float(self.base(env_steps) ** self.exponent)


def exploration_of(
    config: Exploration, index: int, num_actors: int, alpha: float | None
) -> Exploration:
    """Return one actor's exploration.

    Args:
        config: of all.
        index: i, of the actor.
        num_actors: N.
        alpha: epsilon_i = epsilon^(1 + alpha i / (N - 1)), Horgan et al. 2018
            (arxiv.org/abs/1803.00933), section 4.1; None: all have the same.
    """
    epsilon = config.epsilon
    if alpha is not None and index > 0:
        epsilon = Power(as_schedule(epsilon), 1 + alpha * index / (num_actors - 1))
    return Exploration(
        epsilon=epsilon,
        random_actions=config.random_actions,
        random_action_max_steps=config.random_action_max_steps,
        temperature=config.temperature,
    )
