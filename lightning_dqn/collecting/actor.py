"""Who acts: chooses actions by what was seen, steps the environments, and follows their episodes.

Collecting writes down what an actor does, evaluation counts its episodes.
Shapes: E environments, S stacked frames, A actions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv, VectorEnv

from lightning_dqn.collecting.exploration import (
    Exploration,
    HeldActions,
    epsilon_greedy,
    gumbel_noise,
    random_actions,
)
from lightning_dqn.environments.finite import refuse_non_finite
from lightning_dqn.environments.frame_stack import FrameStack
from lightning_dqn.environments.gate import Gate, Given
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.environments.worker_faults import died
from lightning_dqn.schedules import as_schedule
from lightning_dqn.system.seeding import seeds_of
from lightning_dqn.transitions import Episode, Policy


class Step(NamedTuple):
    """What a step of all environments was.

    Attributes:
        action: int64[E], from 0.
        reward: float[E].
        terminated: bool[E].
        truncated: bool[E].
        is_reset: bool[E], where the step only began a new episode: the action was ignored, and
            the observation before it was the last one's final observation.
        episodes: that ended, each with its environment; not those that a worker's restart cut.
        life_lost: bool[E]; None where no lives are told of.
    """

    action: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    is_reset: np.ndarray
    episodes: list[tuple[int, Episode]]
    life_lost: np.ndarray | None = None


class Actor:
    """Acts in E environments by policies that are handed over at each step.

    Args:
        environment: in NEXT_STEP mode.
        spec: its shapes and types.
        exploration: how actions stray from the policy's.
        generator: the source of chance.

    Attributes:
        observation: [E, *shape], the newest of each environment.
        stacked: the newest with the frames before it, [E, S, *shape]; ``observation`` where S = 1.
        action_mask: bool[E, A], the legal actions there; None where all are.
        ended: bool[E], where ``observation`` is an episode's last.
        epsilon_shift: added to what the schedule of random actions says, within 0 and 1.
        lengths: int64[E], env steps of the episodes so far.
    """

    observation: np.ndarray
    stacked: np.ndarray
    action_mask: np.ndarray | None

    def __init__(
        self,
        environment: VectorEnv,
        spec: EnvironmentSpec,
        exploration: Exploration,
        generator: np.random.Generator,
    ) -> None:
        self.environment = environment
        self.spec = spec
        self.num_envs = environment.num_envs
        self.generator = generator
        self.ended = np.zeros(self.num_envs, bool)
        self._gate = Gate(spec, self.num_envs)
        self._epsilon = as_schedule(exploration.epsilon, "epsilon", most=1.0)
        self.epsilon_shift = 0.0
        self._takes_random_actions = exploration.takes_random_actions
        self._temperature = as_schedule(exploration.temperature, "temperature")
        self._held: HeldActions | None = None
        if exploration.random_action_max_steps > 1:
            most = exploration.random_action_max_steps
            self._held = HeldActions(self.num_envs, most, generator)
        self._frames = FrameStack(spec.frame_stack)
        self._action_start = int(environment.single_action_space.start)  # type: ignore[attr-defined]
        self._returns = np.zeros(self.num_envs)
        self._own_returns: np.ndarray | None = None
        self.lengths = np.zeros(self.num_envs, np.int64)

    def reset(self, seed: int, number: int = 0) -> None:
        """Begin an episode in every environment, each with a stream of ``seed`` of its own.

        Args:
            seed: of the run.
            number: another one where it isn't the first time.
        """
        seeds: Any = seeds_of(seed, "environments", number, count=self.num_envs)
        if not isinstance(self.environment.unwrapped, SyncVectorEnv | AsyncVectorEnv):
            seeds = seeds[0]  # the others have one stream for all, and may take no list
        observation, mask = self._gate.take_reset(*self._ask(self.environment.reset, seed=seeds))
        self.ended = np.zeros(self.num_envs, bool)
        self._returns[:] = 0
        self._own_returns = None
        self.lengths[:] = 0
        if self._held is not None:
            self._held.forget(np.ones(self.num_envs, bool))
        self._see(observation, mask, is_first=None)

    def epsilon(self, policy: Policy | None, env_steps: int) -> float:
        """Return the probability of a random action; a policy of None is random."""
        if policy is None:
            return 1.0
        if not self._takes_random_actions(getattr(policy, "explores", False)):
            return 0.0
        epsilon = self._epsilon(env_steps)
        shift = self.epsilon_shift
        return epsilon if shift == 0 else min(max(epsilon + shift, 0.0), 1.0)

    def step(self, policy: Policy | None, env_steps: int) -> Step:
        """Choose actions and take them.

        Args:
            policy: chooses the greedy actions; None acts at random.
            env_steps: so far, for schedules.
        """
        action, is_reset = self._choose(policy, env_steps), self.ended
        taken = action + self._action_start if self._action_start else action
        given = self._gate.take_step(*self._ask(self.environment.step, taken))
        self._returns += given.reward
        self.lengths += 1
        if given.own_reward is not None:
            own = self._own_returns
            self._own_returns = given.own_reward + (0.0 if own is None else own)
        if is_reset.any():
            self._returns[is_reset] = 0.0
            self.lengths[is_reset] = 0
            if self._own_returns is not None:
                self._own_returns[is_reset] = 0.0
        self.ended = given.ended
        episodes = self._finish_episodes(given.restarted) if self.ended.any() else []
        is_first = is_reset if given.life_lost is None else is_reset | given.life_lost
        self._see(given.observation, self._mask_of(given), is_first)
        ends = (given.terminated, given.truncated)
        return Step(action, given.reward, *ends, is_reset, episodes, given.life_lost)

    def episode(self, index: int) -> Episode:
        """Return an environment's episode as far as it has come."""
        seen, length = float(self._returns[index]), int(self.lengths[index])
        if self._own_returns is None:
            return Episode(seen, length)
        return Episode(float(self._own_returns[index]), length, wrapped_return=seen)

    @property
    def worker_restarts(self) -> int | None:
        """How many workers have been replaced so far; None where there are none that can be."""
        return getattr(self.environment.unwrapped, "num_restarts", None)

    def state_dict(self) -> dict[str, Any]:
        """Return the open episodes, as plain values and tensors; the generator is its owner's."""
        mask, own = self.action_mask, self._own_returns
        return {
            "observation": torch.as_tensor(np.array(self.observation)),
            "action_mask": None if mask is None else torch.as_tensor(np.array(mask)),
            "ended": torch.as_tensor(self.ended.copy()),
            "returns": torch.as_tensor(self._returns.copy()),
            "own_returns": None if own is None else torch.as_tensor(own.copy()),
            "lengths": torch.as_tensor(self.lengths.copy()),
            "frames": self._frames.state_dict(),
            "held": None if self._held is None else self._held.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them back, in environments that stand where these stood.

        Raises:
            ValueError: random actions were held then and aren't now, or the other way round.
        """
        if (state["held"] is None) != (self._held is None):
            before = "without" if state["held"] is None else "with"
            raise ValueError(
                f"random_action_max_steps: the checkpoint was saved {before} it; continue as it "
                "was, or begin another run"
            )
        mask = state["action_mask"]
        self.observation = state["observation"].numpy().copy()
        self.action_mask = None if mask is None else mask.numpy().copy()
        self.ended = state["ended"].numpy().copy()
        self._returns = state["returns"].numpy().copy()
        own = state["own_returns"]
        self._own_returns = None if own is None else own.numpy().copy()
        self.lengths = state["lengths"].numpy().copy()
        self._frames.load_state_dict(state["frames"])
        self.stacked = self._frames.newest(self.observation)
        if self._held is not None:
            self._held.load_state_dict(state["held"])

    def _ask(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call a method of the environment; where a process behind it has died, say which."""
        try:
            return call(*arguments, **named)
        except (EOFError, ConnectionError) as error:
            workers = self.environment.unwrapped
            if not isinstance(workers, AsyncVectorEnv):
                raise
            raise died(workers, type(workers).__name__, error) from None

    def _see(
        self, observation: np.ndarray, mask: np.ndarray | None, is_first: np.ndarray | None
    ) -> None:
        self.observation = observation
        self.stacked = self._frames.push(observation, is_first)
        self.action_mask = mask

    def _mask_of(self, given: Given) -> np.ndarray | None:
        """Return the legal actions; where a worker began anew those of the state it was in."""
        mask, before = given.action_mask, self.action_mask
        if given.restarted is None or before is None:
            return mask
        others = np.ones_like(before) if mask is None else mask
        return np.where(given.restarted[:, None], before, others)

    def _choose(self, policy: Policy | None, env_steps: int) -> np.ndarray:
        num_actions, mask = self.spec.num_actions, self.action_mask
        if policy is None:
            action = random_actions(self.num_envs, num_actions, mask, self.generator)
            explores = np.ones(self.num_envs, bool)
        else:
            temperature = self._temperature(env_steps)
            if temperature > 0:
                noise = gumbel_noise(self.num_envs, num_actions, temperature, self.generator)
                greedy = policy.act(self.stacked, mask, noise)
            else:
                greedy = policy.act(self.stacked, mask)
            if self.spec.action_start:
                greedy = greedy - self.spec.action_start
            epsilon = self.epsilon(policy, env_steps)
            action, explores = epsilon_greedy(greedy, epsilon, num_actions, mask, self.generator)
        if self._held is None:
            return action
        # The action of a step that only begins an episode is ignored: no hold begins with it.
        return self._held.apply(action, explores & ~self.ended, mask)

    def _finish_episodes(self, restarted: np.ndarray | None) -> list[tuple[int, Episode]]:
        if self._held is not None:
            self._held.forget(self.ended)
        if self._own_returns is not None:
            refuse_non_finite("sum of own_reward", self._own_returns, "in the episodes so far")
        is_whole = self.ended if restarted is None else self.ended & ~restarted
        return [(int(i), self.episode(int(i))) for i in np.flatnonzero(is_whole)]
