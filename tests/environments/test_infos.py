"""What single environments tell, gathered without a cast and without a fault."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from support.faulty_env import FaultyEnv

from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.environments.infos import gathered

ALIKE: list[list[dict[str, Any]]] = [
    [{}, {}, {}],
    [{"time": 1, "score": 0.5}, {"time": 2, "score": 1.5}, {"time": 3, "score": 0.0}],
    [{}, {"position": np.array([1, 2], np.int8)}, {"position": np.array([3, 4], np.int8)}],
    [{"why": "limit"}, {}, {"why": "fell"}],
    [{"deep": {"x": 1.0}}, {"deep": {"x": 2.0, "y": np.float32(3)}}, {}],
    [{"flag": True}, {"flag": False}, {}],
    [{"flag": np.True_}, {}, {}],
]


@pytest.mark.parametrize("infos", ALIKE, ids=str)
def test_values_of_one_kind_are_gathered_as_gymnasium_does_it(infos):
    vector, expected = gym.vector.VectorEnv(), {}
    vector.num_envs = len(infos)
    for index, info in enumerate(infos):
        expected = vector._add_info(expected, info, index)
    check_same(gathered(infos), expected)


def check_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        if isinstance(value, dict):
            check_same(value, other[key])
        else:
            assert value.dtype == other[key].dtype
            np.testing.assert_array_equal(value, other[key])


@pytest.mark.parametrize(
    "values",
    [
        (1, None),
        (0, "limit"),
        (0, 0.7),
        (True, 2),
        ({"x": 1}, 3),
        (1, 2**70),
        (np.zeros(2), np.zeros(3)),
        (np.zeros(2, np.int8), np.full(2, 0.5)),
    ],
    ids=str,
)
def test_values_of_several_kinds_are_kept_as_they_are(values):
    told = gathered([{"it": values[0]}, {}, {"it": values[1]}])
    assert told["it"].dtype == object
    assert told["it"][0] is values[0]
    assert told["it"][1] is None
    assert told["it"][2] is values[1]
    assert told["_it"].tolist() == [True, False, True]


class Winner(FaultyEnv):
    """Tells at every second step who has won, None at the others."""

    def step(self, action):
        step = super().step(action)
        return *step[:4], {"winner": [None, 1][(self.time + self.seed) % 2]}


@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_an_info_that_nobody_reads_ends_no_run(vectorization):
    environment = EnvironmentFactory(Winner, num_envs=2, vectorization=vectorization).make()
    environment.reset(seed=[0, 1])
    info = environment.step(np.zeros(2, np.int64))[4]
    assert info["winner"].tolist() == [1, None]
    environment.close()
