"""What an environment gives, made ours or refused: legal actions, observation spaces."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv
from support.scripted_env import ScriptedEnv, episodes, legal_actions

from lightning_dqn.environments.gate import describe_observation, read_action_mask

# Legal actions


def test_no_mask_is_no_mask():
    assert read_action_mask({}, 2, 3) is None
    assert read_action_mask({"action_mask": None, "other": 1}, 2, 3) is None


def test_an_environment_that_gave_no_mask_this_time_has_every_action_legal():
    info = {
        "action_mask": np.array([[1, 0, 0], [0, 0, 0]], np.int8),
        "_action_mask": np.array([True, False]),
    }
    mask = read_action_mask(info, 2, 3)
    assert mask is not None
    assert mask.dtype == bool
    assert mask.tolist() == [[True, False, False], [True, True, True]]


def test_a_mask_that_all_gave_is_read_as_it_is():
    given = np.array([[1, 0, 1], [0, 0, 0]], np.int8)
    for info in ({"action_mask": given}, {"action_mask": given, "_action_mask": np.ones(2, bool)}):
        mask = read_action_mask(info, 2, 3)
        assert mask is not None
        assert mask.tolist() == [[True, False, True], [False, False, False]]


def test_masks_given_as_lists_are_read():
    masks = np.array([None, None], dtype=object)
    masks[0] = [1, 0, 1]
    mask = read_action_mask({"action_mask": masks}, 2, 3)
    assert mask is not None
    assert mask.tolist() == [[True, False, True], [True, True, True]]
    of_lists = read_action_mask({"action_mask": [[1, 0, 1], [0, 1, 0]]}, 2, 3)
    assert of_lists is not None
    assert of_lists.tolist() == [[True, False, True], [False, True, False]]


@pytest.mark.parametrize("shape", [(2, 4), (3, 3), (3,), (2, 3, 1)])
def test_a_mask_of_another_shape_is_refused(shape):
    message = rf"shape {shape}, not (2, 3)".replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(ValueError, match=message):
        read_action_mask({"action_mask": np.ones(shape, bool)}, 2, 3)


def test_what_was_read_belongs_to_us():
    given = np.ones((2, 3), bool)
    mask = read_action_mask({"action_mask": given}, 2, 3)
    given[:] = False
    assert mask is not None
    assert mask.all()


def test_masks_are_read_as_gymnasium_gathers_them():
    """One of two environments tells its legal actions."""
    environment = SyncVectorEnv(
        [
            lambda: ScriptedEnv(episodes(3), masked=True),
            lambda: ScriptedEnv(episodes(3)),
        ]
    )
    _, info = environment.reset(seed=0)
    mask = read_action_mask(info, 2, 4)
    assert mask is not None
    np.testing.assert_array_equal(mask, [legal_actions(0, 0, 0, 4), np.ones(4, bool)])


# Observations


@pytest.mark.parametrize(
    ("space", "described"),
    [
        (gym.spaces.Discrete(16), ((), "int64", 16)),
        (gym.spaces.Box(-1, 1, (4,), np.float32), ((4,), "float32", None)),
        (gym.spaces.Box(0, 255, (84, 84, 3), np.uint8), ((84, 84, 3), "uint8", None)),
        (gym.spaces.Box(0, 1, (2, 2), np.bool_), ((2, 2), "bool", None)),
        (gym.spaces.MultiBinary(5), ((5,), "bool", None)),
        (gym.spaces.MultiBinary((3, 2)), ((3, 2), "bool", None)),
        (gym.spaces.Box(0, 1, (), np.float32), ((), "float32", None)),
    ],
    ids=str,
)
def test_spaces_are_described_as_they_are_stored(space, described):
    assert describe_observation(space, "mine") == described


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int32, np.uint16])
def test_other_numbers_are_taken_as_float32(dtype):
    space = gym.spaces.Box(0, 1, (2, 3), dtype)
    assert describe_observation(space, "mine") == ((2, 3), "float32", None)


@pytest.mark.parametrize(
    "space",
    [
        gym.spaces.Dict({"a": gym.spaces.Box(0, 1, (2,))}),
        gym.spaces.Tuple([gym.spaces.Discrete(2)]),
        gym.spaces.Discrete(3, start=1),
        gym.spaces.MultiDiscrete([2, 3]),
    ],
    ids=str,
)
def test_observations_that_no_network_takes_are_refused_with_the_remedy(space):
    with pytest.raises(ValueError, match=r"^id=mine: its observation space is .*Flatten") as told:
        describe_observation(space, "mine")
    assert str(space) in str(told.value)
