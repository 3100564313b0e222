"""What runs in a process elsewhere: environments, a collector and a copy of the policy.

Neither Ray nor Lightning is imported here: actors would pay for it.
"""

from __future__ import annotations

import random
from functools import partial
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch

from lightning_dqn.collecting.collector import Collector
from lightning_dqn.collecting.exploration import Exploration
from lightning_dqn.collecting.remote.block import Block, BlockRequest, Following
from lightning_dqn.collecting.remote.chains import ChainTerms
from lightning_dqn.collecting.remote.initial_priorities import initial_priorities, no_priorities
from lightning_dqn.collecting.remote.parts import mask_of
from lightning_dqn.collecting.remote.policy_snapshot import PolicyReceiver, PolicySnapshot
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.environments.grade import read_states, write_states
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.environments.state import UnknownStateError
from lightning_dqn.extra_columns import INITIAL_PRIORITY
from lightning_dqn.system.seeding import global_generators, seed_of, set_global_generators
from lightning_dqn.transitions import Policy, Rows


class ActorConfig(NamedTuple):
    """What an actor is made from.

    Attributes:
        environment: makes its environments.
        spec: their shapes and types.
        registration: gymnasium's record of the environment; None where it has none.
        exploration: how actions stray from the policy's.
        num_envs: E.
        num_actors: that collect at the same pace; schedules go by the env steps of all.
        seed: of its environments and exploration.
        is_first: its policy's noise is that which the learner would have drawn.
    """

    environment: EnvironmentFactory
    spec: EnvironmentSpec
    registration: Any
    exploration: Exploration
    num_envs: int
    num_actors: int
    seed: int
    is_first: bool


class RemoteActor:
    """Collects blocks of rows as it is asked to.

    Args:
        config: what it is made from.
    """

    def __init__(self, config: ActorConfig) -> None:
        torch.set_num_threads(1)
        _seed_everything(config.seed)
        if config.registration is not None:
            gym.registry.setdefault(config.registration.id, config.registration)
        self._environment = config.environment.make(config.num_envs)
        self._collector = Collector(
            self._environment, config.spec, exploration=config.exploration, seed=config.seed
        )
        self._collector.num_ranks = config.num_actors
        self._receiver = PolicyReceiver(None if config.is_first else config.seed)
        self._weights_env_steps: int | None = None
        self._times_collected = 0

    def collect(self, request: BlockRequest, snapshot: PolicySnapshot | None) -> Block:
        """Collect a block.

        Args:
            request: what is asked for.
            snapshot: a newer policy; None: the one that is there.
        """
        if snapshot is not None:
            self._receiver.open(snapshot)
            self._weights_env_steps = snapshot.env_steps
        policy = None if request.is_random else self._receiver.policy
        collector = self._collector
        collector.env_steps = request.env_steps // collector.num_ranks
        rows = collector.collect_times(policy, request.num_times)
        actor, first_time = collector.actor, self._times_collected
        self._times_collected += request.num_times
        mask = mask_of(collector.spec, collector.num_envs, actor.action_mask)
        following = Following(actor.observation, actor.stacked, mask)
        if request.chains is not None:
            rows = self._with_priorities(rows, following, request.chains, policy)
        return Block(
            rows=rows,
            following=following,
            episodes=collector.take_episodes(),
            epsilon=actor.epsilon(policy, collector.env_steps_of_all),
            weights_env_steps=None if policy is None else self._weights_env_steps,
            worker_restarts=actor.worker_restarts,
            first_time=first_time,
        )

    def _with_priorities(
        self, rows: Rows, following: Following, terms: ChainTerms, policy: Policy | None
    ) -> Rows:
        """Return rows with what the policy says there is to learn from them; at first nothing."""
        if policy is None:
            priorities = no_priorities(rows)
        else:
            frame_stack = self._collector.spec.frame_stack
            priorities = initial_priorities(rows, following, terms, frame_stack, policy)
        return rows._replace(extra={INITIAL_PRIORITY: priorities})

    def continue_from(self, env_steps: int) -> None:
        """Explore, and begin episodes, otherwise than at first."""
        self._collector.continue_from(env_steps)

    def state_dict(self) -> dict[str, Any] | UnknownStateError:
        """Return what it needs to go on, as plain values and tensors, or why it can't be told."""
        try:
            environments = read_states(self._environment)
        except UnknownStateError as error:
            return error
        return {
            **self._collector.state_dict(),
            "environments": environments,
            "noise": self._receiver.noise(),
            "generators": global_generators(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """Go on in the midst of the episodes that were open; tell whether that could be done."""
        put_back = partial(write_states, self._environment, state["environments"])
        collector = self._collector
        collector.load_state_dict(state)
        try:
            collector.continue_episodes(state, put_back)
        except UnknownStateError:
            collector.load_state_dict(state)
            return False
        self._receiver.restore_noise(state["noise"])
        set_global_generators(state["generators"])
        return True

    def close(self) -> None:
        """Close the environments."""
        self._environment.close()


def _seed_everything(seed: int) -> None:
    """Seed the generators that environments of other people draw from."""
    random.seed(seed_of(seed, "python"))
    np.random.seed(seed_of(seed, "numpy"))  # noqa: NPY002 (other people's)
    torch.manual_seed(seed_of(seed, "torch"))
