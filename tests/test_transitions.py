"""Transitions split into minibatches: the same memory, in order, with what is absent absent."""

from __future__ import annotations

import pytest
import torch

from lightning_dqn.transitions import Transitions

U, B = 3, 4


def flat(**changed: object) -> Transitions:
    """Return [U * B, ...] with something in every column."""
    size = U * B
    return Transitions(
        observation=torch.arange(size * 2).view(size, 2),
        action=torch.arange(size),
        reward=torch.arange(size).float(),
        discount=torch.rand(size),
        next_observation=torch.arange(size * 2).view(size, 2) + 100,
        next_action_mask=torch.rand(size, 5) < 0.5,
        action_mask=torch.rand(size, 5) < 0.5,
        weight=torch.rand(size),
        sequence_observation=torch.arange(size * 6).view(size, 3, 2) + 200,
        sequence_action=torch.arange(size * 3).view(size, 3),
        sequence_within=torch.rand(size, 3) < 0.5,
    )._replace(**changed)


ABSENT = dict.fromkeys(
    (
        "next_observation",
        "next_action_mask",
        "action_mask",
        "weight",
        "sequence_observation",
        "sequence_action",
        "sequence_within",
    )
)


def test_unflattened_columns_are_filled_update_by_update() -> None:
    transitions = flat()
    split = transitions.unflatten(U, B)
    assert split.action.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    for name, column in transitions._asdict().items():
        assert torch.equal(getattr(split, name), column.view(U, B, *column.shape[1:])), name


def test_minibatches_are_the_updates_in_order() -> None:
    transitions = flat()
    minibatches = transitions.unflatten(U, B).minibatches()
    assert len(minibatches) == U
    for update, minibatch in enumerate(minibatches):
        assert isinstance(minibatch, Transitions)
        rows = slice(update * B, (update + 1) * B)
        for name, column in transitions._asdict().items():
            assert torch.equal(getattr(minibatch, name), column[rows]), name


def test_both_share_the_memory_of_what_was_split() -> None:
    transitions = flat()
    split = transitions.unflatten(U, B)
    minibatches = split.minibatches()
    for name, column in transitions._asdict().items():
        bytes_of_update = column[:B].numel() * column.element_size()
        assert getattr(split, name).data_ptr() == column.data_ptr(), name
        for update, minibatch in enumerate(minibatches):
            place = column.data_ptr() + update * bytes_of_update
            assert getattr(minibatch, name).data_ptr() == place, name
    transitions.reward[5] = -1.0
    assert split.reward[1, 1] == -1.0
    assert minibatches[1].reward[1] == -1.0


def test_columns_that_are_absent_stay_absent() -> None:
    split = flat(**ABSENT).unflatten(U, B)
    for transitions in (split, *split.minibatches()):
        assert all(getattr(transitions, name) is None for name in ABSENT)
        assert transitions.reward is not None


def test_one_update_of_one_transition_keeps_its_axes() -> None:
    one = Transitions(*(None if c is None else c[:1] for c in flat()))  # type: ignore[arg-type]
    split = one.unflatten(1, 1)
    assert split.observation.shape == (1, 1, 2)
    [minibatch] = split.minibatches()
    assert minibatch.observation.shape == (1, 2)
    assert minibatch.reward.shape == (1,)


def test_sizes_that_do_not_divide_the_transitions_are_refused() -> None:
    with pytest.raises(RuntimeError):
        flat().unflatten(U, B + 1)
