"""How exactly environments can be continued: found by comparing continuations."""

from __future__ import annotations

import random
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from support.scripted_env import IdentityEnv
from support.scripted_policies import ScriptedLearner

from lightning_dqn.collecting.source import CollectionConfig
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.environments.grade import read_states, write_states
from lightning_dqn.games.opponents.past_selves import PastSelves
from lightning_dqn.system.seeding import global_generators


class Hidden(IdentityEnv):
    """Keeps what it rewards where nobody sees it."""

    def __init__(self) -> None:
        super().__init__()
        count = iter(range(10**9))
        self._next = lambda: next(count)

    def step(self, action: Any) -> Any:
        observation, _, *rest = super().step(action)
        return observation, float(self._next() % 7), *rest


class Snapshot:
    """A simulator's copy of itself, as ALE's."""

    def __init__(self) -> None:
        self.state = b""

    def __getstate__(self) -> bytes:  # type: ignore[override]
        return self.state

    def __setstate__(self, state: bytes) -> None:
        self.state = state


SIMULATORS: dict[int, int] = {}
"""What each simulated environment would hold in C."""


class Simulated(IdentityEnv):
    """Counts its steps where Python can't see them, and gives copies of that."""

    def __init__(self) -> None:
        super().__init__()
        self.ale = len(SIMULATORS)
        SIMULATORS[self.ale] = 0

    def step(self, action: Any) -> Any:
        SIMULATORS[self.ale] += 1
        observation, _, *rest = super().step(action)
        return observation, float(SIMULATORS[self.ale] % 7), *rest

    def clone_state(self, include_rng: bool = False) -> Snapshot:
        clone = Snapshot()
        clone.state = str(SIMULATORS[self.ale]).encode()
        return clone

    def restore_state(self, state: Snapshot) -> None:
        SIMULATORS[self.ale] = int(state.state)


def grade(id: Any, **kwargs: Any) -> str:
    return EnvironmentFactory(id, **kwargs).grade


@pytest.mark.parametrize(
    ("id", "kwargs"),
    [
        ("CartPole-v1", {}),
        ("CartPole-v1", {"vectorization": "sync", "frame_stack": 3}),
        ("CartPole-v1", {"vectorization": "async"}),
        ("Acrobot-v1", {}),
        ("MountainCar-v0", {}),
        ("FrozenLake-v1", {}),
        ("Taxi-v4", {}),
        ("CliffWalking-v1", {}),
        ("MinAtar/Breakout-v1", {}),
        ("MinAtar/Seaquest-v1", {}),
        ("lightning_dqn/TicTacToe-v0", {}),
        ("lightning_dqn/TicTacToe-v0", {"kwargs": {"opponent": PastSelves(), "random_plies": 2}}),
        ("lightning_dqn/ConnectFour-v0", {"kwargs": {"opponent": "random"}}),
        ("lightning_dqn/Torus-v0", {}),
        ("lightning_dqn/Gambler-v0", {}),
        ("CartPole-v1", {"wrappers": [lambda env: gym.wrappers.StickyAction(env, 0.3)]}),
    ],
    ids=[str(number) for number in range(16)],
)
def test_environments_of_numbers_arrays_and_generators_are_exact(id: str, kwargs: Any) -> None:
    assert grade(id, **kwargs) == "exact"


@pytest.mark.filterwarnings("ignore:builtin type .* has no __module__:DeprecationWarning")
def test_a_simulator_in_c_begins_anew() -> None:
    assert grade("LunarLander-v3") == "restart"


def test_a_simulator_that_copies_itself_is_exact_by_its_clone() -> None:
    assert grade(Simulated, num_envs=2) == "exact-clone"


def test_a_state_that_is_read_but_not_whole_is_found_out() -> None:
    assert read_states(EnvironmentFactory(Hidden, vectorization="sync").make(1))
    assert grade(Hidden) == "restart"


def test_one_that_says_so_begins_anew_without_a_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    class Costly(IdentityEnv):
        metadata = {"resume": "restart"}  # noqa: RUF012
        made = 0

        def __init__(self) -> None:
            super().__init__()
            Costly.made += 1

    assert grade(Costly) == "restart"
    assert Costly.made == 1, "to read its spaces"


def test_an_environment_that_cannot_be_made_twice_begins_anew() -> None:
    made: list[int] = []

    def only_once() -> gym.Env:
        if len(made) > 1:
            raise OSError("the port is taken")
        made.append(1)
        return IdentityEnv()

    factory = EnvironmentFactory(only_once, num_envs=1)
    assert factory.grade == "restart"


@pytest.mark.parametrize(
    ("mode", "found"),
    [("vector_entry_point", "exact"), ("sync", "exact"), ("async", "restart")],
)
def test_a_vector_env_that_is_given_is_tried_by_others_of_its_kind(mode: Any, found: str) -> None:
    environment = gym.make_vec("CartPole-v1", 2, vectorization_mode=mode)
    factory = EnvironmentFactory(environment)
    source = CollectionConfig().make(factory, warmup_env_steps=4, env_steps_per_iteration=4, seed=0)
    try:
        assert factory.grade == found
        for _ in source.warm_up(ScriptedLearner()):
            pass
        assert (source.state_dict()["environments"] is None) == (found == "restart")
    finally:
        environment.close()


def test_looking_disturbs_no_generator() -> None:
    random.seed(1)
    torch.manual_seed(1)
    before = global_generators()
    EnvironmentFactory(Hidden).grade  # noqa: B018
    EnvironmentFactory("CartPole-v1").grade  # noqa: B018
    after = global_generators()
    assert after["python"] == before["python"]
    assert after["numpy"] == before["numpy"]
    assert torch.equal(after["torch"], before["torch"])


def test_a_worker_goes_on_where_an_episode_had_just_ended() -> None:
    factory = EnvironmentFactory("CartPole-v1", num_envs=2, vectorization="async")
    one, other = factory.make(), factory.make()
    try:
        one.reset(seed=[1, 2])
        for _ in range(500):
            *_, terminated, truncated, _ = one.step(np.zeros(2, np.int64))
            if (terminated | truncated).any():
                break
        assert (terminated | truncated).any()
        states = read_states(one)
        other.reset(seed=[7, 8])
        write_states(other, states)
        for _ in range(30):
            first, second = (each.step(np.ones(2, np.int64)) for each in (one, other))
            for a, b in zip(first[:4], second[:4], strict=True):
                assert np.array_equal(a, b)
    finally:
        one.close()
        other.close()


class Masked(IdentityEnv):
    """Tells its legal actions by tensors."""

    def reset(self, **kwargs: Any) -> Any:
        observation, _ = super().reset(**kwargs)
        return observation, self._mask()

    def step(self, action: Any) -> Any:
        return *super().step(action)[:-1], self._mask()

    def _mask(self) -> dict[str, Any]:
        return {"action_mask": torch.ones(int(self.action_space.n), dtype=torch.bool)}


def test_masks_are_compared_whatever_type_they_are_of() -> None:
    assert EnvironmentFactory(Masked, num_envs=2).grade == "exact"
