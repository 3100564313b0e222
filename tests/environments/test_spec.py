"""What the learner knows of an environment: shapes as the network gets them, plain values."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from support.scripted_env import spec_of

from lightning_dqn.environments.spec import EnvironmentSpec, check_same


@pytest.mark.parametrize(
    ("shape", "frame_stack", "stacked"),
    [
        ((4,), 1, (4,)),
        ((4,), 3, (3, 4)),
        ((10, 10, 6), 2, (2, 10, 10, 6)),
        ((), 1, ()),
        ((), 5, (5,)),
    ],
)
def test_frames_are_stacked_before_their_own_shape(shape, frame_stack, stacked):
    spec = EnvironmentSpec(shape, "float32", 2, frame_stack=frame_stack)
    assert spec.stacked_shape == stacked
    assert spec.example_observations(7).shape == (7, *stacked)


def test_example_observations_look_as_the_network_gets_them():
    example = spec_of("uint8", frame_stack=4).example_observations(5)
    assert (tuple(example.shape), str(example.dtype)) == ((5, 4, 3), "torch.uint8")
    assert spec_of("int64").example_observations(5).shape == (5,)


@pytest.mark.parametrize("dtype", ["float32", "uint8", "bool", "int64"])
def test_examples_are_zeros_of_the_type_that_is_stored(dtype):
    example = spec_of(dtype).example_observations(2)
    assert example.dtype is getattr(torch, dtype)
    assert not example.any()


def test_specs_of_the_same_values_are_the_same():
    spec = spec_of(masked=True)
    assert spec == spec_of(masked=True)
    assert hash(spec) == hash(spec_of(masked=True))
    assert spec != spec_of(masked=False)
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.num_actions = 5  # type: ignore[misc]


def test_unless_told_otherwise_one_player_sees_one_frame_and_may_do_anything():
    spec = EnvironmentSpec((4,), "float32", 2)
    assert (spec.num_states, spec.has_action_mask, spec.frame_stack) == (None, False, 1)
    assert (spec.zero_sum_turns, spec.game) == (False, None)


def test_a_spec_survives_as_plain_values():
    spec = EnvironmentSpec((), "int64", 6, num_states=500, has_action_mask=True, frame_stack=2)
    plain = json.loads(json.dumps(dataclasses.asdict(spec)))
    plain["observation_shape"] = tuple(plain["observation_shape"])
    assert EnvironmentSpec(**plain) == spec


def test_a_module_belongs_to_environments_that_look_and_act_alike():
    spec = spec_of(masked=True)
    check_same(spec, spec_of(masked=True), "here")
    with pytest.raises(
        ValueError, match=r"^has_action_mask: .* but here has has_action_mask=False"
    ):
        check_same(spec, spec_of(), "here")
    turns = dataclasses.replace(spec, zero_sum_turns=True)
    check_same(spec, turns, "here")  # who moves next is in the discounts
    check_same(turns, spec, "here")


def test_a_game_is_its_own_and_files_of_old_know_none():
    tictactoe, nim, none = (
        dataclasses.replace(spec_of(), game=name) for name in ("tictactoe", "nim", None)
    )
    check_same(none, nim, "here")
    for other in (nim, none):
        with pytest.raises(ValueError, match=r"^game: the module was made for game=tictactoe"):
            check_same(tictactoe, other, "here")
