"""What an environment gives, made ours or refused: ends, rewards, observations, legal actions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv
from support.scripted_env import ScriptedEnv, episodes, legal_actions

from lightning_dqn.environments.gate import Gate, read_action_mask
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.environments.worker_faults import RESTARTED
from lightning_dqn.environments.wrapping import OWN_REWARD
from lightning_dqn.system.faults import RunFault

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


# What a step gives

VECTOR = EnvironmentSpec((2,), "float32", num_actions=3)
MASKED = EnvironmentSpec((2,), "float32", num_actions=3, has_action_mask=True)
LIVES = EnvironmentSpec((2,), "float32", num_actions=3, has_life_losses=True)
OBSERVATION = np.zeros((2, 2), np.float32)
ENDS = np.array([True, False])


def step(gate: Gate, **given: Any) -> Any:
    """Take a step that is as it should be apart from what is given."""
    usual = {"observation": OBSERVATION, "reward": np.zeros(2), "terminated": ENDS}
    return gate.take_step(**{**usual, "truncated": ~ENDS, "info": {}, **given})


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32, np.float64])
def test_ends_of_any_type_are_taken_as_what_they_say(dtype: Any) -> None:
    taken = step(Gate(VECTOR, 2), terminated=ENDS.astype(dtype), truncated=(~ENDS).astype(dtype))
    assert taken.terminated.dtype == taken.truncated.dtype == bool
    assert (taken.terminated.tolist(), taken.truncated.tolist()) == ([True, False], [False, True])
    assert step(Gate(VECTOR, 2), terminated=[1, 0]).terminated.tolist() == [True, False]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"terminated": np.array([0, 2])}, "environment 1 gave terminated 2: expected 0 or 1"),
        ({"truncated": np.array([0.5, 0])}, "environment 0 gave truncated 0.5: expected 0 or 1"),
        (
            {"terminated": np.array([np.nan, 0])},
            "environment 0 gave terminated nan: expected 0 or 1",
        ),
        ({"terminated": np.array(["no", "yes"])}, "terminated is of the type <U3"),
        ({"truncated": False}, r"truncated has the shape \(\), expected \(2,\)"),
        ({"reward": np.zeros((2, 1))}, r"reward has the shape \(2, 1\), expected \(2,\)"),
        ({"reward": np.array([1.0, 1e39])}, "environment 1 gave reward 1e\\+39: .* float32 holds"),
        ({"reward": np.array([None, 1.0])}, "reward is of the type object, not numbers"),
        ({"observation": np.zeros(2)}, r"observation has the shape \(2,\), expected \(2, 2\)"),
        (
            {"observation": OBSERVATION.astype(float) + 1e300},
            "environment 0 gave observation 1e\\+300",
        ),
        (
            {"info": {"action_mask": np.ones((2, 3))}},
            "action_mask'\\] came where the environment gave",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_with_who_gave_it(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        step(Gate(VECTOR, 2), **given)


def test_rewards_of_any_numbers_are_taken_and_what_is_not_finite_is_told_later() -> None:
    assert step(Gate(VECTOR, 2), reward=np.array([True, False])).reward.tolist() == [1.0, 0.0]
    assert step(Gate(VECTOR, 2), reward=[3, -2]).reward.tolist() == [3.0, -2.0]
    assert np.isnan(step(Gate(VECTOR, 2), reward=np.array([np.nan, 1.0])).reward[0])


def test_observations_of_the_declared_type_are_taken_as_they_are() -> None:
    assert step(Gate(VECTOR, 2), observation=OBSERVATION).observation is OBSERVATION


# Masks of other kinds


@pytest.mark.parametrize("illegal", [-np.inf, -1e8, 2])
def test_a_mask_of_other_numbers_than_0_and_1_is_refused(illegal: float) -> None:
    mask = np.array([[0.0, illegal, 0.0], [0.0, 0.0, illegal]])
    with pytest.raises(ValueError, match=r"gave info\['action_mask'\] .*: expected 0 or 1"):
        step(Gate(MASKED, 2), info={"action_mask": mask})


def test_a_state_without_the_mask_that_others_have_is_told_once() -> None:
    gate, none = Gate(MASKED, 2), np.zeros(2, bool)
    info = {"action_mask": np.ones((2, 3), bool), "_action_mask": np.array([True, False])}
    step(gate, info=info, terminated=np.array([False, True]), truncated=none)  # a last one
    with pytest.warns(UserWarning, match=r"environment 1 gave no info\['action_mask'\]"):
        taken = step(gate, info=info, terminated=none, truncated=none)
    assert taken.action_mask[1].all()
    step(gate, info={}, terminated=none, truncated=none)


def test_a_truncated_state_needs_its_mask_unless_its_worker_began_anew() -> None:
    none, first = np.zeros(2, bool), np.array([True, False])
    info = {"action_mask": np.ones((2, 3), bool), "_action_mask": ~first}
    gate = Gate(MASKED, 2)
    step(gate, info={**info, RESTARTED: first}, terminated=none, truncated=first)
    with pytest.warns(UserWarning, match=r"environment 0 gave no info\['action_mask'\]"):
        step(gate, info=info, terminated=none, truncated=first)


def test_a_truncated_state_without_a_legal_action_is_told_once_and_allows_all() -> None:
    none, both = np.zeros(2, bool), np.ones(2, bool)
    info = {"action_mask": np.array([[False, False, False], [False, True, False]])}
    gate = Gate(MASKED, 2)
    taken = step(gate, info=info, terminated=both, truncated=both)
    assert not taken.action_mask[0].any()  # nothing follows there
    with pytest.warns(UserWarning, match="environment 0 gave no legal action .* truncated state"):
        taken = step(gate, info=info, terminated=none, truncated=both)
    assert taken.action_mask.tolist() == [[True, True, True], [False, True, False]]
    assert step(gate, info=info, terminated=none, truncated=both).action_mask[0].all()
    assert not info["action_mask"][0].any()  # the environment's own stays


@pytest.mark.parametrize("name", ["action_masks", "legal_actions"])
def test_what_looks_like_a_mask_is_told_once(name: str) -> None:
    gate = Gate(VECTOR, 2)
    with pytest.warns(UserWarning, match=rf"info\['{name}'\] isn't read"):
        gate.take_reset(OBSERVATION, {name: np.ones((2, 3))})
    gate.take_reset(OBSERVATION, {name: np.ones((2, 3))})


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({}, [False, False]),
        ({"life_lost": np.array([1, 0])}, [True, False]),
        ({"life_lost": np.array([None, np.True_], object)}, [False, True]),
    ],
)
def test_lives_are_read_as_gymnasium_gathers_them(info: Any, expected: list[bool]) -> None:
    life_lost = step(Gate(LIVES, 2), info=info).life_lost
    assert life_lost.dtype == bool
    assert life_lost.tolist() == expected


def test_lives_that_were_not_told_at_reset_are_refused() -> None:
    assert step(Gate(VECTOR, 2)).life_lost is None
    with pytest.raises(ValueError, match=r"info\['life_lost'\] came .* in every reset and step"):
        step(Gate(VECTOR, 2), info={"life_lost": np.array([False, False])})


def test_a_state_without_a_legal_action_is_refused_unless_it_is_the_last() -> None:
    none = np.zeros(2, bool)
    info = {"action_mask": np.array([[0, 0, 0], [1, 0, 0]])}
    step(Gate(MASKED, 2), info=info, terminated=~none[:1].repeat(2), truncated=none)
    with pytest.raises(ValueError, match=r"environment 0 gave info\['action_mask'\] without any"):
        step(Gate(MASKED, 2), info=info, terminated=none, truncated=none)
    with pytest.raises(ValueError, match=r"environment 0 gave info\['action_mask'\] without any"):
        Gate(MASKED, 2).take_reset(OBSERVATION, info)


@pytest.mark.parametrize("given", [np.array([2, 0]), np.zeros(3, bool), np.array(["a", "b"])])
def test_lives_that_cannot_be_meant_are_refused(given: Any) -> None:
    with pytest.raises(ValueError, match=r"info\['life_lost'\] "):
        step(Gate(LIVES, 2), info={"life_lost": given})


def test_the_environments_own_reward_is_passed_on():
    gate = Gate(EnvironmentSpec((), "float32", 2), 2)
    ends = np.zeros(2, bool)
    rewards = np.zeros(2)
    assert gate.take_step(np.zeros(2), rewards, ends, ends, {}).own_reward is None
    own = gate.take_step(np.zeros(2), rewards, ends, ends, {OWN_REWARD: np.ones(2)}).own_reward
    assert own is not None
    assert own.tolist() == [1.0, 1.0]


def test_words_of_an_environment_for_itself_are_none_of_ours():
    gate = Gate(EnvironmentSpec((), "float32", 2), 2)
    ends = np.zeros(2, bool)
    info = {"own_reward": np.full(2, 5.0), "worker_restarted": np.ones(2, bool)}
    given = gate.take_step(np.zeros(2), np.zeros(2), ends, ends, info)
    assert (given.own_reward, given.restarted) == (None, None)


def test_what_is_refused_is_a_fault_of_the_run_whatever_it_was():
    gate = Gate(EnvironmentSpec((2,), "float32", 2), 1)
    good = (np.zeros((1, 2), np.float32), np.zeros(1), np.zeros(1, bool), np.zeros(1, bool), {})
    gate.take_step(*good)
    for place, bad in ((0, np.zeros((1, 3))), (1, np.array(["much"])), (2, np.array([0.5]))):
        with pytest.raises(RunFault):
            gate.take_step(*good[:place], bad, *good[place + 1 :])
    with pytest.raises(RunFault):
        gate.take_reset(np.zeros((2, 2)), {})
