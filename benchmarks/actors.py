"""Print what actors elsewhere bring and cost: `data/collection=ray` on this machine.

    python benchmarks/actors.py
    python benchmarks/actors.py --seconds 10 --step-milliseconds 20

Three tables. Env steps per second of an environment that takes its time, which sleeps, in this
process and in 1, 2 and 4 actors of one environment each. What one learner can take in: actors that
make nothing and send the same block again and again, through lanes and into the ring. And what it
costs to send weights to two actors: packing, the object store, and until both have them. Times are
of the clock; the machine should be quiet.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from text_table import format_table
from torch import nn

from lightning_dqn import CollectionConfig, EnvironmentFactory, ReplayBuffer, ReplayConfig
from lightning_dqn.collecting.final_rows import final_rows
from lightning_dqn.collecting.remote import actor_pool
from lightning_dqn.collecting.remote.actor import RemoteActor
from lightning_dqn.collecting.remote.block import Block, BlockRequest, Following
from lightning_dqn.collecting.remote.config import RayCollectionConfig
from lightning_dqn.collecting.remote.parts import nothing_yet
from lightning_dqn.collecting.remote.policy_snapshot import pack
from lightning_dqn.collecting.remote.session import Session

NUM_ACTORS = (1, 2, 4)
MEGABYTES = (0.1, 1, 10, 40)
BLOCKS = (256, 2_048)


class SlowEnv(gym.Env[Any, Any]):
    """Takes so many seconds a step, and sleeps in them."""

    observation_space = gym.spaces.Box(-1, 1, (4,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        return np.zeros(4, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Sleep."""
        time.sleep(self.seconds)
        return np.zeros(4, np.float32), 1.0, False, False, {}


class QuickEnv(SlowEnv):
    """Of the same shapes or of frames; it is never stepped."""

    def __init__(self, *, frames: bool) -> None:
        super().__init__(0.0)
        if frames:
            self.observation_space = gym.spaces.Box(0, 255, (84, 84), np.uint8)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Return nothing but zeros."""
        space = self.observation_space
        return np.zeros(space.shape, space.dtype), {}


class SameBlock(RemoteActor):
    """Sends the same rows again and again."""

    def collect(self, request: BlockRequest, snapshot: Any) -> Block:
        """Return what was sent before."""
        if snapshot is not None:
            self._receiver.open(snapshot)
        rows, following = self._rows(request.num_times)
        first_time, self._times_collected = (
            self._times_collected,
            self._times_collected + request.num_times,
        )
        return Block(rows, following, [], 0.0, None, None, first_time)

    def _rows(self, num_times: int) -> tuple[Any, Following]:
        kept = getattr(self, "_kept", None)
        if kept is None or len(kept[0].action) != num_times:
            collector = self._collector
            following = nothing_yet(collector.spec, collector.num_envs)
            rows = final_rows(
                collector.spec, following.observation, following.action_mask, num_times
            )
            rows.action[:] = 0
            self._kept = (rows, following)
        return self._kept


class Policy:
    """Takes the first action, by a network of so many megabytes."""

    explores = True

    def __init__(self, megabytes: float = 0.0) -> None:
        self.network = nn.Parameter(torch.zeros(int(megabytes * 2**20 / 4)))

    def act(self, observation: np.ndarray, *_: Any) -> np.ndarray:
        """Return the first action."""
        return np.zeros(len(observation), np.int64)


class Learner(Policy):
    """Learns nothing."""

    def behaviour_policy(self) -> Policy:
        """Return itself."""
        return self


@contextmanager
def source_of(config: Any, environment: EnvironmentFactory, per_iteration: int) -> Iterator[Any]:
    """Make a source that has begun."""
    pace = {"warmup_env_steps": 1, "env_steps_per_iteration": per_iteration, "seed": 0}
    source = config.make(environment, **pace)
    try:
        list(source.warm_up(Learner()))
        source.collect(Learner())
        yield source
    finally:
        source.close()


def env_steps_per_second(source: Any, seconds: float) -> float:
    """Return the speed of a source whose learner does nothing."""
    learner = Learner()
    source.prefetch(learner)
    first = source.collect(learner).env_steps
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        newest = source.collect(learner)
        source.prefetch(learner)
    return float((newest.env_steps - first) / (time.perf_counter() - began))


def slow_environments(seconds: float, step_seconds: float) -> list[list[str]]:
    """Return the table of environments that take their time."""
    table = [["environments", "here", "actors", "times"]]
    for number in NUM_ACTORS:
        environment = EnvironmentFactory(
            partial(SlowEnv, step_seconds), num_envs=number, vectorization="sync"
        )
        with source_of(CollectionConfig(), environment, 8 * number) as source:
            here = env_steps_per_second(source, seconds)
        config = RayCollectionConfig(num_actors=number, block_rows=40)
        with source_of(config, environment, 8 * number) as source:
            there = env_steps_per_second(source, seconds)
        table.append([f"{number}", f"{here:,.0f}/s", f"{there:,.0f}/s", f"{there / here:.2f}"])
    return table


def intake(seconds: float) -> list[list[str]]:
    """Return the table of what one learner can take in."""
    table = [["rows of a block", "rows/s", "MB/s", "blocks/s"]]
    actor_pool.RemoteActor = SameBlock  # type: ignore[misc]
    for frames in (False, True):
        for block in BLOCKS:
            environment = EnvironmentFactory(
                partial(QuickEnv, frames=frames), num_envs=16, vectorization="sync"
            )
            config = RayCollectionConfig(num_actors=2, block_rows=block)
            with source_of(config, environment, 2 * block) as source:
                ring = ReplayBuffer(environment.spec, 16, ReplayConfig(capacity=20_000))
                rows = rows_per_second(source, ring, seconds)
            shape = environment.spec
            row_bytes = (
                np.prod(shape.observation_shape) * np.dtype(shape.observation_dtype).itemsize
            )
            name = f"{block:,} {'frames' if frames else 'vectors'}"
            megabytes = rows * (row_bytes + 14) / 1e6
            table.append([name, f"{rows:,.0f}", f"{megabytes:,.0f}", f"{rows / block:,.0f}"])
    return table


def rows_per_second(source: Any, ring: ReplayBuffer, seconds: float) -> float:
    """Return how many rows come into the ring."""
    learner, rows, began = Learner(), 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        collected = source.collect(learner)
        source.prefetch(learner)
        ring.extend(collected.rows)
        rows += collected.rows.action.size
    return rows / (time.perf_counter() - began)


def weights(ray: Any) -> list[list[str]]:
    """Return the table of what sending weights costs."""
    table = [["weights", "pack", "put", "both have it"]]
    environment = EnvironmentFactory(partial(QuickEnv, frames=False), num_envs=2)
    config = RayCollectionConfig(num_actors=2)
    with source_of(config, environment, 2) as source:
        actors = source._pool._actors
        for megabytes in MEGABYTES:
            policy = Policy(megabytes)
            times = [send(ray, actors, policy) for _ in range(8)][1:]
            table.append([f"{megabytes} MB", *(f"{t * 1e3:.1f} ms" for t in np.median(times, 0))])
    return table


def send(ray: Any, actors: list[Any], policy: Policy) -> tuple[float, float, float]:
    """Return the seconds of packing, putting, and until all actors have unpacked."""
    began = time.perf_counter()
    snapshot = pack(policy, 0)
    packed = time.perf_counter()
    reference = ray.put(snapshot)
    put = time.perf_counter()
    ray.get([actor.collect.remote(BlockRequest(1, 0, False), reference) for actor in actors])
    return packed - began, put - packed, time.perf_counter() - began


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--step-milliseconds", type=float, default=5.0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    session = Session(None)
    try:
        took = f"env steps/s, {arguments.step_milliseconds:g} ms a step"
        print(
            took,
            format_table(slow_environments(arguments.seconds, arguments.step_milliseconds / 1e3)),
            sep="\n",
            end="\n\n",
        )
        print(
            "intake of one learner, 2 actors",
            format_table(intake(arguments.seconds)),
            sep="\n",
            end="\n\n",
        )
        print("weights to 2 actors", format_table(weights(session.ray)), sep="\n")
    finally:
        session.close()


if __name__ == "__main__":
    main()
