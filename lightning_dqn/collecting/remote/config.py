"""How training experience is collected by actors elsewhere."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import gymnasium as gym
from gymnasium.vector import VectorEnv

from lightning_dqn.collecting.exploration import Exploration
from lightning_dqn.collecting.remote.actor import ActorConfig
from lightning_dqn.collecting.remote.actor_pool import ActorPool
from lightning_dqn.collecting.remote.exploration import exploration_of
from lightning_dqn.collecting.remote.session import Session
from lightning_dqn.collecting.remote.source import RaySource, Terms
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.extra_columns import (
    INITIAL_PRIORITY,
    NO_COLUMNS,
    PRIORITY_COLUMN,
    ExtraColumns,
)
from lightning_dqn.system.numbers import keep_whole
from lightning_dqn.system.seeding import seed_of


@dataclass(frozen=True, kw_only=True)
class RayCollectionConfig(Exploration):
    """How training experience is collected by actors elsewhere, by Ray.

    The training environments are parted among the actors. Rows of all actors go into the ring
    side by side, so that the slowest sets the pace.

    Args:
        num_actors: N, each a process with its part of the environments.
        warmup_env_steps: env steps taken with random legal actions before learning starts.
        epsilon: see :class:`lightning_dqn.collecting.exploration.Exploration`.
        random_actions: likewise.
        random_action_max_steps: likewise.
        temperature: likewise.
        apex_alpha: actor i of N explores with epsilon^(1 + apex_alpha i / (N - 1)), as in Ape-X
            with 7; None: all explore alike.
        synchronous: rows are collected when learning asks for them, by its newest weights, which
            makes runs reproducible and actors wait; else actors go on while learning does.
        block_rows: rows that an actor sends at once, at least.
        blocks_ahead: blocks that an actor may be ahead of learning.
        weights_every_n_iterations: how often actors get newer weights.
        initial_priorities: actors compute how much there is to learn from their rows, by the policy
            that they have, and prioritised sampling goes by that for new transitions, as in Ape-X.
        address: of a Ray cluster, as ``auto`` or ``host:port``; None: a local one of its own.
        call_timeout: seconds after which an actor that sends no block counts as hanging, five
            times as many for its first; None waits for ever.
        max_actor_restarts: how often actors that failed, died or hung are replaced, all together;
            the next such fault ends the run.
    """

    is_elsewhere: ClassVar[bool] = True

    num_actors: int = 2
    warmup_env_steps: int = 1_000
    apex_alpha: float | None = None
    synchronous: bool = False
    block_rows: int = 256
    blocks_ahead: int = 2
    weights_every_n_iterations: int = 1
    initial_priorities: bool = False
    address: str | None = None
    call_timeout: float | None = 120.0
    max_actor_restarts: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_whole(self, **_LEAST)
        if self.apex_alpha is not None and not self.apex_alpha >= 0:
            raise ValueError(f"apex_alpha={self.apex_alpha}: at least 0, or null")
        if self.call_timeout is not None and not self.call_timeout > 0:
            raise ValueError(f"call_timeout={self.call_timeout}: above 0 seconds, or null")

    @property
    def overlap(self) -> bool:
        """Whether rows are collected beside learning, by older weights."""
        return not self.synchronous

    @property
    def extra_columns(self) -> ExtraColumns:
        """What rows carry beside their own columns."""
        return {INITIAL_PRIORITY: PRIORITY_COLUMN} if self.initial_priorities else NO_COLUMNS

    def make(
        self,
        environment: EnvironmentFactory,
        *,
        warmup_env_steps: int,
        env_steps_per_iteration: int,
        seed: int,
    ) -> RaySource:
        """Begin Ray and the actors; see :class:`Collection`.

        Raises:
            ValueError: Ray isn't installed or doesn't answer; the environments can't be parted.
        """
        if isinstance(environment.id, VectorEnv):
            raise ValueError(
                f"environment.id={environment.name}: this VectorEnv lives in this process, and "
                "actors need their own; pass an id or a function that makes one"
            )
        if environment.num_envs % self.num_actors:
            fitting = self.num_actors * -(-environment.num_envs // self.num_actors)
            raise ValueError(
                f"environment.num_envs={environment.num_envs}: can't be parted among "
                f"{self.num_actors} actors (data.collection.num_actors); set it to {fitting}"
            )
        num_envs = environment.num_envs // self.num_actors
        terms = Terms(
            synchronous=self.synchronous,
            block_times=-(-self.block_rows // num_envs),
            blocks_ahead=self.blocks_ahead,
            weights_every_n_iterations=self.weights_every_n_iterations,
            warmup_env_steps=warmup_env_steps,
            env_steps_per_iteration=env_steps_per_iteration,
            can_save_environments=self.synchronous and environment.grade != "restart",
        )
        with ExitStack() as stack:
            session = Session(self.address)
            stack.callback(session.close)
            pool = ActorPool(
                session.ray,
                partial(self._actor, environment, seed),
                size=self.num_actors,
                name=environment.name,
                timeout=self.call_timeout,
                max_restarts=self.max_actor_restarts,
            )
            source = RaySource(
                session,
                pool,
                environment.spec,
                environment.num_envs,
                terms,
                self.extra_columns,
            )
            stack.pop_all()
        return source

    def _actor(
        self, environment: EnvironmentFactory, seed: int, index: int, number: int
    ) -> ActorConfig:
        """Return what an actor is made from, the ``number``-th in its place."""
        is_first = index == number == 0
        return ActorConfig(
            environment=environment,
            spec=environment.spec,
            registration=gym.registry.get(str(environment.id).rpartition(":")[2]),
            exploration=exploration_of(self, index, self.num_actors, self.apex_alpha),
            num_envs=environment.num_envs // self.num_actors,
            num_actors=self.num_actors,
            seed=seed if is_first else seed_of(seed, "actor", index, number),
            is_first=is_first,
        )


_LEAST = {
    "num_actors": 1,
    "warmup_env_steps": 0,
    "block_rows": 1,
    "blocks_ahead": 1,
    "weights_every_n_iterations": 1,
    "max_actor_restarts": 0,
}
