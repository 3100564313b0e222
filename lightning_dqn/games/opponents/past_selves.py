"""A learner's own past as its opponent.

Shapes: M boards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy

import numpy as np
from gymnasium.vector import VectorEnv
from torch import Tensor

from lightning_dqn.agent import Agent
from lightning_dqn.collecting.exploration import random_actions
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.games.game import Game
from lightning_dqn.games.opponents.policy import PolicyOpponent
from lightning_dqn.policy import GreedyPolicy
from lightning_dqn.system.numbers import finite_number, whole_number
from lightning_dqn.transitions import Policy

GROWING = "PastSelves, which get stronger during the run"
"""Why returns against them tell nothing of which policy is the better one."""

IN_CHECKPOINT = "past_selves"
"""Where their weights lie in what a checkpoint keeps of ``PromotePastSelf``."""


class PastSelves:
    """A pool of past selves; each move is made by one of them, drawn at random.

    As long as the pool is empty moves are random.
    :class:`lightning_dqn.callbacks.PromotePastSelf` fills it.

    Args:
        p_latest: probability of the newest; else each of the pool is equally likely.
        epsilon: probability of a random legal move instead.
        capacity: how many are kept; the oldest goes first.
    """

    def __init__(self, *, p_latest: float = 0.5, epsilon: float = 0.05, capacity: int = 10) -> None:
        for name, value in (("p_latest", p_latest), ("epsilon", epsilon)):
            if not 0 <= finite_number(name, value) <= 1:
                raise ValueError(f"{name}={value}: a probability, between 0 and 1")
        self.p_latest = p_latest
        self.epsilon = epsilon
        self.capacity = whole_number("capacity", capacity, least=1)
        self.policies: tuple[Policy, ...] = ()

    def add(self, policy: Policy) -> None:
        """Make ``policy`` the newest past self; it must not learn any more."""
        self.policies = (*self.policies, policy)[-self.capacity :]

    def clear(self) -> None:
        """Forget all past selves."""
        self.policies = ()

    def act(self, game: Game, state: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Return a move for each board, each by a past self drawn for it, int64[M]."""
        action = random_actions(len(state), game.num_actions, game.legal_moves(state), generator)
        policies = self.policies
        if not policies:
            return action
        number = generator.integers(len(policies), size=len(state))
        number[generator.random(len(state)) < self.p_latest] = len(policies) - 1
        for drawn in np.unique(number):
            boards = number == drawn
            player = PolicyOpponent(policies[drawn], self.epsilon)
            action[boards] = player.act(game, state[boards], generator)
        return action


def pool_of(factory: EnvironmentFactory | None) -> PastSelves | None:
    """Return the past selves that are played in a factory's environments; None: none are."""
    if factory is None:
        return None
    if isinstance(factory.id, VectorEnv):
        opponent = getattr(factory.id.unwrapped, "opponent", None)
    else:
        opponent = factory.kwargs.get("opponent")
    return opponent if isinstance(opponent, PastSelves) else None


def restored(agent: Agent, weights: Sequence[Mapping[str, Tensor]]) -> list[GreedyPolicy]:
    """Return past selves of an agent by the weights that a checkpoint has of each."""
    policies = []
    for one in weights:
        network = deepcopy(agent.q_network).requires_grad_(False).eval()
        network.load_state_dict(one)
        policies.append(GreedyPolicy(network, agent.head, agent.spec))
    return policies
