"""Actors that fail, die or hang are replaced; their episodes are cut, and the pace is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.fake_ray import FakeRay
from support.faulty_env import FaultyEnv
from support.scripted_policies import ScriptedLearner

from lightning_dqn import EnvironmentFactory, ReplayBuffer, ReplayConfig
from lightning_dqn.collecting.remote import config as remote_config
from lightning_dqn.collecting.remote.config import RayCollectionConfig
from lightning_dqn.environments.worker_faults import WorkerError, WorkerRestarted
from lightning_dqn.transitions import NO_ACTION

ACTORS = {"num_actors": 2, "block_rows": 8, "epsilon": 0.0, "call_timeout": 0.05}


@pytest.fixture
def begin(monkeypatch):
    """A function that sets what becomes of an actor whose environment raises."""

    def set_fault(fault: str = "raise") -> None:
        monkeypatch.setattr(remote_config, "Session", lambda address: FakeRay(fault=fault))

    return set_fault


class Learner(ScriptedLearner):
    """Always takes the first action, by a policy that travels."""

    def behaviour_policy(self) -> Any:
        return FirstAction()


class FirstAction:
    def act(self, observation, action_mask=None, noise=None):
        return np.zeros(len(observation), np.int64)


def make(fault: str | None, *, once: str | None, at: int = 20, length: int = 1_000, **settings):
    """Return a source of 4 environments with a fault, and a ring for its rows."""
    kwargs = {"fault": fault, "at": at, "once": once, "length": length}
    environment = EnvironmentFactory(FaultyEnv, num_envs=4, vectorization="sync", kwargs=kwargs)
    config = RayCollectionConfig(**{**ACTORS, **settings})
    source = config.make(environment, warmup_env_steps=8, env_steps_per_iteration=16, seed=0)
    return source, ReplayBuffer(environment.spec, 4, ReplayConfig(capacity=4_000))


def collect(source: Any, ring: ReplayBuffer, number: int) -> list[Any]:
    found = []
    for _ in range(number):
        found.append(source.collect(Learner()))
        ring.extend(found[-1].rows)
        source.prefetch(Learner())
    return found


def collect_until_replaced(source: Any, ring: ReplayBuffer, least: int) -> list[Any]:
    found = collect(source, ring, least)
    while found[-1].metrics["rollout/actors"] < 2:
        found += collect(source, ring, 1)
    return found


def run_to_its_end(source: Any, ring: ReplayBuffer) -> None:
    list(source.warm_up(Learner()))
    collect(source, ring, 100)


@pytest.mark.parametrize("fault", ["raise", "die", "hang"])
@pytest.mark.filterwarnings("ignore::lightning_dqn.environments.worker_faults.WorkerRestarted")
def test_an_actor_with_a_fault_is_replaced_and_the_pace_is_kept(begin, tmp_path, fault):
    begin(fault)
    source, ring = make("raise", once=str(tmp_path / "once"))
    try:
        for rows, _ in source.warm_up(Learner()):
            ring.extend(rows)
        with pytest.warns(WorkerRestarted, match=r"FaultyEnv: actor \d .*restart 1 of 10 at most"):
            found = collect_until_replaced(source, ring, 40)
    finally:
        source.close()
    assert found[-1].worker_restarts == 1
    for number, collected in enumerate(found, start=1):
        assert 8 + 16 * number <= collected.env_steps < 8 + 16 * number + 4
    cells = ring.newest_cells(ring.times_stored)
    action, truncated = ring.read("action", cells), ring.read("truncated", cells)
    lost = [env for env in range(4) if (action[:, env] == NO_ACTION).any()]
    assert lost in ([0, 1], [2, 3])
    first = int((action[:, lost[0]] == NO_ACTION).nonzero()[0])
    assert truncated[first - 1, lost].all()
    assert not truncated[first:].any()
    assert int(truncated.sum()) == 2


@pytest.mark.filterwarnings("ignore::lightning_dqn.environments.worker_faults.WorkerRestarted")
def test_an_environment_that_raises_again_and_again_ends_the_run_with_one_line(begin):
    begin()
    source, ring = make("raise", once=None, max_actor_restarts=1)
    told = (
        r"^FaultyEnv: actor \d raised RuntimeError: simulator lost its licence; after 1 restarts "
        r"of actors there is none left: mend the environment or raise "
        r"data\.collection\.max_actor_restarts$"
    )
    with pytest.raises(WorkerError, match=told):
        run_to_its_end(source, ring)
    source.close()


def test_what_fails_before_its_first_block_is_not_tried_again(begin):
    begin()
    source, _ = make("raise", once=None, at=1)
    with pytest.raises(WorkerError, match=r"actor \d raised RuntimeError: simulator lost"):
        list(source.warm_up(Learner()))
    source.close()


def test_an_environment_that_cannot_be_made_there_says_why(begin):
    begin()
    environment = EnvironmentFactory("CartPole-v1", num_envs=2)
    assert environment.spec.num_actions == 2  # read before the arguments went wrong
    environment.kwargs["colour"] = "red"
    source = RayCollectionConfig(num_actors=1).make(
        environment, warmup_env_steps=8, env_steps_per_iteration=16, seed=0
    )
    with pytest.raises(WorkerError, match=r"actor 0 couldn't be made: .*colour"):
        list(source.warm_up(Learner()))
    source.close()
