"""Networks as opponents.

Shapes: M boards, A actions.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lightning_dqn.collecting.exploration import epsilon_greedy
from lightning_dqn.games.game import Game
from lightning_dqn.transitions import Policy

if TYPE_CHECKING:
    from lightning_dqn.agent import Agent
    from lightning_dqn.environments.spec import EnvironmentSpec


class PolicyOpponent:
    """Lets a policy play: it sees what a learner in its place would see.

    Args:
        policy: an agent, or anything else that chooses actions by observations.
        epsilon: probability of a random legal move.
    """

    def __init__(self, policy: Policy, epsilon: float = 0.0) -> None:
        if not 0 <= epsilon <= 1:
            raise ValueError(f"epsilon={epsilon}: a probability, between 0 and 1")
        self.policy = policy
        self.epsilon = epsilon

    def act(self, game: Game, state: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Return the policy's moves, int64[M]."""
        legal = game.legal_moves(state)
        action = self.policy.act(game.encode(state), legal)
        if self.epsilon > 0:
            action, _ = epsilon_greedy(action, self.epsilon, game.num_actions, legal, generator)
        return action


class CheckpointOpponent:
    """An agent that was trained before; it is loaded when it makes its first move.

    Args:
        path: a run's folder or a checkpoint.
        epsilon: probability of a random legal move.
        game: load it now and refuse an agent of another game.

    Raises:
        ValueError: there is nothing to load, or the agent is one of another game.
    """

    def __init__(self, path: str | Path, epsilon: float = 0.0, *, game: Game | None = None) -> None:
        self.path = Path(path)
        self.epsilon = epsilon
        if not self.path.exists():
            raise ValueError(f"opponent={path}: there is no such file or folder")
        self._player: PolicyOpponent | None = None
        if game is not None:
            self._player = self._load(game)

    def act(self, game: Game, state: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Return the agent's moves, int64[M]."""
        if self._player is None:
            self._player = self._load(game)
        return self._player.act(game, state, generator)

    def _load(self, game: Game) -> PolicyOpponent:
        from lightning_dqn.formats.saved import load_agent

        agent: Agent = load_agent(self.path)
        check_plays(agent.spec, game, f"opponent={self.path}")
        return PolicyOpponent(agent.eval(), self.epsilon)


def check_plays(spec: EnvironmentSpec, game: Game, who: str) -> None:
    """Refuse an agent that learned another game, or to see this one otherwise.

    Args:
        spec: what the agent learned in.
        game: what is to be played.
        who: what the message calls the agent.

    Raises:
        ValueError: naming both.
    """
    if spec.game not in (None, game.name):
        raise ValueError(f"{who} learned to play {spec.game}, not {game.name}")
    if spec.num_actions != game.num_actions:
        raise ValueError(
            f"{who} chooses among {spec.num_actions} actions, but {game.name} has "
            f"{game.num_actions}"
        )
    shape = game.observation_space.shape
    if spec.stacked_shape != shape:
        raise ValueError(
            f"{who} learned from observations of the shape {spec.stacked_shape}, but here "
            f"{game.name} is observed as {shape}; choose the encoding it learned with"
        )
