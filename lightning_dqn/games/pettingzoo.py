"""PettingZoo's two-player games in turn, as a vector environment for self-play.

Shapes: E environments, A actions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from lightning_dqn.environments.families import PETTINGZOO


class PettingZooVectorEnv(VectorEnv):
    """Plays E copies of a two-player zero-sum game of PettingZoo's, the learner on both sides.

    Each step is one move, of the player whose turn it is; what comes back is the board as the next
    player observes it, so the next state's value counts against the mover
    (``metadata["zero_sum_turns"]``). The reward is what the move gave the mover. In NEXT_STEP mode;
    ``info["action_mask"]``, bool[E, A], are the legal moves; none where a game is decided, those of
    the player whose turn it would be where it is truncated.

    The games are stepped one after another in Python: a few thousand moves a second. Those of
    ``lightning_dqn.games`` are a hundred times as fast.

    Args:
        game: an id as ``"pettingzoo/connect_four_v3"``, or a function that makes an ``AECEnv``.
        num_envs: E.
        kwargs: arguments for the game.

    Raises:
        ValueError: PettingZoo isn't installed, has no such game, or the game isn't one of two
            players with Discrete actions and a Box to observe; later, when a move isn't legal, a
            player has two turns on end, or one's gain isn't the other's loss.
    """

    def __init__(self, game: str | Callable[..., Any], num_envs: int = 1, **kwargs: Any) -> None:
        self.name = game if isinstance(game, str) else getattr(game, "__name__", "game")
        self.num_envs = num_envs
        make = _maker(game) if isinstance(game, str) else game
        self.games = [make(**kwargs) for _ in range(num_envs)]
        self._players = self._two_players()
        observed, self._has_mask_inside = _observed_space(self._space("observation"), self.name)
        actions = self._space("action")
        if not isinstance(actions, gym.spaces.Discrete) or actions.start != 0:
            raise ValueError(f"{self.name}: its actions are {actions}, not Discrete from 0")
        self.single_observation_space = observed
        self.single_action_space = actions
        self.observation_space = batch_space(observed, num_envs)
        self.action_space = batch_space(actions, num_envs)
        self.metadata = {
            "autoreset_mode": AutoresetMode.NEXT_STEP,
            "zero_sum_turns": True,
            "game": self.name.removeprefix(PETTINGZOO),
        }
        self._observation = np.zeros((num_envs, *observed.shape), observed.dtype)
        self._legal = np.ones((num_envs, int(actions.n)), bool)
        self._ended = np.zeros(num_envs, bool)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin all games anew; game i gets seed + i."""
        seeds: list[int | None] = seed if isinstance(seed, list) else [None] * self.num_envs
        if isinstance(seed, int):
            seeds = [seed + i for i in range(self.num_envs)]
        super().reset(seed=seeds[0])
        for i, (game, own) in enumerate(zip(self.games, seeds, strict=True)):
            game.reset(seed=own, options=options)
            self._look(i)
        self._ended[:] = False
        return self._observation.copy(), {"action_mask": self._legal.copy()}

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Make a move in each game; where the last call ended one a new one begins instead.

        Raises:
            ValueError: see the class.
        """
        reward = np.zeros(self.num_envs)
        terminated, truncated = np.zeros((2, self.num_envs), bool)
        for i, game in enumerate(self.games):
            if self._ended[i]:
                game.reset()
            else:
                reward[i], terminated[i], truncated[i] = self._move(i, int(actions[i]))
            self._look(i)
        self._ended = terminated | truncated
        self._legal[terminated] = False
        info = {"action_mask": self._legal.copy()}
        return self._observation.copy(), reward, terminated, truncated, info

    def close_extras(self, **kwargs: Any) -> None:
        """Close the games."""
        for game in self.games:
            game.close()

    def _move(self, i: int, action: int) -> tuple[float, bool, bool]:
        """Make a move and return what it gave the mover, and whether the game is over."""
        game, legal = self.games[i], self._legal[i]
        if not 0 <= action < len(legal) or not legal[action]:
            raise ValueError(
                f"{self.name}, game {i}: {action} isn't a legal move; legal are "
                f"{', '.join(map(str, np.flatnonzero(legal)))}. Choose among info['action_mask']"
            )
        mover = game.agent_selection
        game.step(action)
        # A wrapper may drop players when the game is over; what they got stays.
        gains = {player: float(game.rewards.get(player, 0.0)) for player in self._players}
        if abs(sum(gains.values())) > 1e-6:
            raise ValueError(
                f"{self.name}: a move gave {gains}, but here one's gain must be the other's loss"
            )
        terminated = any(game.terminations.values())
        truncated = any(game.truncations.values()) and not terminated
        if game.agent_selection == mover and not (terminated or truncated):
            raise ValueError(
                f"{self.name}: {mover} has two turns on end, but here the players must alternate"
            )
        return gains[mover], terminated, truncated

    def _look(self, i: int) -> None:
        """Observe game ``i`` for the player whose turn it is, or would be."""
        game = self.games[i]
        seen = game.observe(game.agent_selection)
        mask = game.infos.get(game.agent_selection, {}).get("action_mask")
        if self._has_mask_inside:
            seen, mask = seen["observation"], seen["action_mask"]
        self._observation[i] = seen
        self._legal[i] = True if mask is None else np.asarray(mask, bool)

    def _two_players(self) -> list[str]:
        players = list(self.games[0].possible_agents)
        if len(players) != 2:
            raise ValueError(f"{self.name} has {len(players)} players: here it must be two")
        return players

    def _space(self, kind: str) -> gym.Space:
        """Return the observation or action space, which both players must share."""
        own, other = (getattr(self.games[0], f"{kind}_space")(player) for player in self._players)
        if own != other:
            raise ValueError(f"{self.name}: the players' {kind} spaces differ: {own} and {other}")
        return own


def _observed_space(space: gym.Space, name: str) -> tuple[gym.spaces.Box, bool]:
    """Return the Box within an observation space, and whether the legal moves lie beside it."""
    inside = isinstance(space, gym.spaces.Dict) and {"observation", "action_mask"} <= space.keys()
    observed = space["observation"] if inside else space  # type: ignore[index]
    if not isinstance(observed, gym.spaces.Box):
        raise ValueError(f"{name}: it is observed as {space}, but a network needs a Box")
    return observed, inside


def _maker(id: str) -> Callable[..., Any]:
    try:
        from pettingzoo import make
    except ImportError as error:
        raise ValueError(
            f"id={id}: needs the extra 'pettingzoo': pip install 'lightning-dqn[pettingzoo]'"
        ) from error

    def make_one(**kwargs: Any) -> Any:
        try:
            return make("aec", f"classic/{id.removeprefix(PETTINGZOO)}", **kwargs)
        except Exception as error:  # PettingZoo has a class of its own for each reason
            reason = str(error).split(" Available environments")[0]
            raise ValueError(f"id={id}: {reason}") from error

    return make_one
