"""Tiny deterministic environments whose every observation says where it was made.

Shapes: T time, E environments, A actions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.vector import SyncVectorEnv

from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.transitions import NO_ACTION, Rows


class EpisodeScript(NamedTuple):
    """One episode: a reward per env step, how the last of them ends it, and which cost a life."""

    rewards: tuple[float, ...]
    terminated: bool = True
    truncated: bool = False
    lives_lost: tuple[int, ...] = ()


Scripts = Sequence[Sequence[EpisodeScript]]
"""Per environment the episodes it plays, again from the first after the last."""


def episodes(
    *lengths: int, terminated: bool = True, truncated: bool = False
) -> list[EpisodeScript]:
    """Return episodes of these lengths with the rewards 1, 2, 3, ..."""
    return [
        EpisodeScript(tuple(float(i + 1) for i in range(n)), terminated, truncated) for n in lengths
    ]


UNEVEN: Scripts = [
    episodes(1),
    [EpisodeScript((0.5, -1.0, 2.0), terminated=False, truncated=True)],
    [EpisodeScript((1.0, 4.0), terminated=True, truncated=True), *episodes(5)],
]
"""Three environments whose episodes end at different times and in every way."""


def frame(env: int, episode: int, step: int, dtype: str = "float32") -> np.ndarray:
    """Return the observation of this place: no other place has the same."""
    if dtype == "int64":
        return np.array((env * 100 + episode) * 100 + step)
    if dtype == "bool":
        return np.unpackbits(np.array((env, episode, step), np.uint8)).astype(bool)
    return np.array((env, episode, step), dtype)


def legal_actions(env: int, episode: int, step: int, num_actions: int) -> np.ndarray:
    """Return a mask bool[A] that varies from place to place, one action at least is legal."""
    pattern = (5 * env + 3 * episode + step) % (2**num_actions - 1) + 1
    return (pattern >> np.arange(num_actions)) % 2 == 1


def first_steps(script: Sequence[EpisodeScript], number: int) -> list[tuple[int, int]]:
    """Return (episode, step) of the first steps that a script plays.

    Episode 0 is lost: the environment is reset once to describe it.
    """
    steps: list[tuple[int, int]] = []
    episode = 1
    while len(steps) < number:
        length = len(script[episode % len(script)].rewards)
        steps += [(episode, step) for step in range(length)]
        episode += 1
    return steps[:number]


def spec_of(
    dtype: str = "float32",
    *,
    num_actions: int = 4,
    masked: bool = False,
    frame_stack: int = 1,
    has_life_losses: bool = False,
) -> EnvironmentSpec:
    """Return what the learner must know of ``ScriptedEnv``."""
    return EnvironmentSpec(
        observation_shape=frame(0, 0, 0, dtype).shape,
        observation_dtype=dtype,
        num_actions=num_actions,
        num_states=1_000_000 if dtype == "int64" else None,
        has_action_mask=masked,
        frame_stack=frame_stack,
        has_life_losses=has_life_losses,
    )


class ScriptedEnv(gym.Env[Any, Any]):
    """Plays ``script`` and remembers the actions it was given.

    Args:
        script: the episodes, again from the first after the last.
        env: the first number of its observations' code.
        dtype: of the observations: float32, uint8, bool or int64 (a discrete state).
        num_actions: A.
        first_action: what the action space starts at.
        masked: gives ``info["action_mask"]`` and asserts that no other action is taken.
        tells_lives: gives ``info["life_lost"]``.
    """

    def __init__(
        self,
        script: Sequence[EpisodeScript],
        *,
        env: int = 0,
        dtype: str = "float32",
        num_actions: int = 4,
        first_action: int = 0,
        masked: bool = False,
        tells_lives: bool = False,
    ) -> None:
        self.tells_lives = tells_lives
        self.script = script
        self.env = env
        self.dtype = dtype
        self.masked = masked
        self.action_space = gym.spaces.Discrete(num_actions, start=first_action)
        shape = frame(0, 0, 0, dtype).shape
        self.observation_space = {
            "float32": gym.spaces.Box(-1e6, 1e6, shape, np.float32),
            "uint8": gym.spaces.Box(0, 255, shape, np.uint8),
            "bool": gym.spaces.MultiBinary(shape or 1),
            "int64": gym.spaces.Discrete(1_000_000),
        }[dtype]
        self.actions: list[int] = []
        self.episode = -1
        self.time = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.episode += 1
        self.time = 0
        return self._observation(), self._info()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), f"{action} is not in {self.action_space}"
        number = int(action) - int(self.action_space.start)
        assert not self.masked or self._info()["action_mask"][number], f"{number} is not legal"
        self.actions.append(number)
        script = self.script[self.episode % len(self.script)]
        reward = script.rewards[self.time]
        self.time += 1
        last = self.time == len(script.rewards)
        ends = (last and script.terminated, last and script.truncated)
        return self._observation(), reward, *ends, self._info()

    def _observation(self) -> np.ndarray:
        return frame(self.env, self.episode, self.time, self.dtype)

    def _info(self) -> dict[str, Any]:
        info: dict[str, Any] = {}
        if self.masked:
            num_actions = int(self.action_space.n)
            info["action_mask"] = legal_actions(self.env, self.episode, self.time, num_actions)
        if self.tells_lives:
            script = self.script[self.episode % len(self.script)]
            info["life_lost"] = self.time - 1 in script.lives_lost
        return info


def scripted_vector(scripts: Scripts, **kwargs: Any) -> SyncVectorEnv:
    """Return a ``ScriptedEnv`` per script, stepped as one."""

    def make(env: int) -> Any:
        return lambda: ScriptedEnv(scripts[env], env=env, **kwargs)

    return SyncVectorEnv([make(env) for env in range(len(scripts))])


class PaysEachCall(gym.vector.VectorRewardWrapper):
    """Adds 10 to every reward, also where the call only began an episode."""

    def rewards(self, reward: np.ndarray) -> np.ndarray:
        return reward + 10


def scripted_rows(
    scripts: Scripts, num_times: int, spec: EnvironmentSpec, *, seed: int = 0
) -> Rows:
    """Return by plain loops the rows [T, E] that these scripts give, with random legal actions."""
    generator = np.random.default_rng(seed)
    columns = [
        _rows_of_one(script, env, num_times, spec, generator) for env, script in enumerate(scripts)
    ]
    stacked = [np.stack([c[k] for c in columns], axis=1) for k in range(len(columns[0]))]
    mask, life_lost = stacked[5:]
    return Rows(
        *stacked[:5],
        mask if spec.has_action_mask else None,
        life_lost if spec.has_life_losses else None,
    )


def _rows_of_one(
    script: Sequence[EpisodeScript],
    env: int,
    num_times: int,
    spec: EnvironmentSpec,
    generator: np.random.Generator,
) -> list[np.ndarray]:
    rows: list[tuple[Any, ...]] = []
    episode = 0
    while len(rows) < num_times:
        rewards, terminated, truncated, lives_lost = script[episode % len(script)]
        for step in range(len(rewards) + 1):
            is_final = step == len(rewards)
            is_last = step == len(rewards) - 1
            mask = legal_actions(env, episode, step, spec.num_actions)
            legal = np.flatnonzero(mask) if spec.has_action_mask else np.arange(spec.num_actions)
            rows.append(
                (
                    frame(env, episode, step, spec.observation_dtype),
                    NO_ACTION if is_final else generator.choice(legal),
                    np.float32(0.0 if is_final else rewards[step]),
                    is_last and terminated,
                    is_last and truncated,
                    mask,
                    step in lives_lost,
                )
            )
        episode += 1
    return [np.stack(column) for column in zip(*rows[:num_times], strict=True)]


class IdentityEnv(gym.Env[Any, Any]):
    """Rewards the action that equals the state with 1; the easiest thing there is to learn.

    Args:
        num_states: states, and as many actions.
        episode_length: env steps after which an episode is terminated.
        one_hot: observe the state as a one-hot vector, else as a discrete state.
    """

    def __init__(self, num_states: int = 3, *, episode_length: int = 1, one_hot: bool = True):
        self.num_states = num_states
        self.episode_length = episode_length
        self.one_hot = one_hot
        self.action_space = gym.spaces.Discrete(num_states)
        self.observation_space = (
            gym.spaces.Box(0, 1, (num_states,), np.float32)
            if one_hot
            else gym.spaces.Discrete(num_states)
        )

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.time = 0
        return self._next_state(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        reward = float(action == self.state)
        self.time += 1
        return self._next_state(), reward, self.time == self.episode_length, False, {}

    def _next_state(self) -> Any:
        self.state = int(self.np_random.integers(self.num_states))
        return np.eye(self.num_states, dtype=np.float32)[self.state] if self.one_hot else self.state
