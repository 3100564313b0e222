"""Transitions split into minibatches: the same memory, in order, with what is absent absent."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lightning_dqn.transitions import (
    NO_ACTION,
    Rows,
    Transitions,
    UpdateStatistics,
    joined,
    rows_from_plain,
    rows_to_plain,
    truncated_by,
    truncated_where_cut,
)

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
        extra={"state": torch.rand(size, 2), "count": torch.arange(size)},
        sequence_extra={
            "state": torch.rand(size, 3, 2),
            "count": torch.arange(size * 3).view(-1, 3),
        },
        intensity={"observation": torch.rand(size), "sequence_observation": torch.rand(size, 3)},
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
        "extra",
        "sequence_extra",
        "intensity",
    )
)


def columns_of(transitions: Transitions) -> dict[str, torch.Tensor]:
    """Return all columns by name, the extra ones as ``extra/state``."""
    columns = transitions._asdict()
    for group in ("extra", "sequence_extra", "intensity"):
        columns |= {f"{group}/{name}": one for name, one in columns.pop(group).items()}
    return columns


def test_unflattened_columns_are_filled_update_by_update() -> None:
    transitions = flat()
    split = transitions.unflatten(U, B)
    assert split.action.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    for name, column in columns_of(transitions).items():
        assert torch.equal(columns_of(split)[name], column.view(U, B, *column.shape[1:])), name


def test_minibatches_are_the_updates_in_order() -> None:
    transitions = flat()
    minibatches = transitions.unflatten(U, B).minibatches()
    assert len(minibatches) == U
    for update, minibatch in enumerate(minibatches):
        assert isinstance(minibatch, Transitions)
        rows = slice(update * B, (update + 1) * B)
        for name, column in columns_of(transitions).items():
            assert torch.equal(columns_of(minibatch)[name], column[rows]), name


def test_both_share_the_memory_of_what_was_split() -> None:
    transitions = flat()
    split = transitions.unflatten(U, B)
    minibatches = split.minibatches()
    for name, column in columns_of(transitions).items():
        bytes_of_update = column[:B].numel() * column.element_size()
        assert columns_of(split)[name].data_ptr() == column.data_ptr(), name
        for update, minibatch in enumerate(minibatches):
            place = column.data_ptr() + update * bytes_of_update
            assert columns_of(minibatch)[name].data_ptr() == place, name
    transitions.reward[5] = -1.0
    assert split.reward[1, 1] == -1.0
    assert minibatches[1].reward[1] == -1.0


def test_columns_that_are_absent_stay_absent() -> None:
    split = flat(**ABSENT).unflatten(U, B)
    for transitions in (split, *split.minibatches()):
        assert all(getattr(transitions, name) is None for name in ABSENT)
        assert transitions.reward is not None


def test_one_update_of_one_transition_keeps_its_axes() -> None:
    one = flat().each(lambda column: column[:1])
    split = one.unflatten(1, 1)
    assert split.observation.shape == (1, 1, 2)
    [minibatch] = split.minibatches()
    assert minibatch.observation.shape == (1, 2)
    assert minibatch.reward.shape == (1,)


def test_sizes_that_do_not_divide_the_transitions_are_refused() -> None:
    with pytest.raises(RuntimeError):
        flat().unflatten(U, B + 1)


def rows(first: int, num_times: int) -> Rows:
    """Return rows of two environments whose extra column counts time."""
    size = (num_times, 2)
    times = np.arange(first, first + num_times)
    return Rows(
        observation=np.zeros((*size, 3), np.float32),
        action=np.zeros(size, np.int64),
        reward=np.zeros(size, np.float32),
        terminated=np.zeros(size, bool),
        truncated=np.zeros(size, bool),
        action_mask=None,
        extra={"state": np.stack([times, times + 100], axis=1)},
    )


def test_extra_columns_of_rows_go_where_their_rows_go() -> None:
    one, other = rows(0, 2), rows(2, 1)
    after, beside = joined([one, other], axis=0), joined([one, rows(7, 2)], axis=1)
    assert after.extra is not None
    assert beside.extra is not None
    assert after.extra["state"].tolist() == [[0, 100], [1, 101], [2, 102]]
    assert beside.extra["state"].tolist() == [[0, 100, 7, 107], [1, 101, 8, 108]]
    cut = truncated_by(rows(0, 2), other._replace(action=np.full((1, 2), NO_ACTION)))
    assert cut.extra is not None
    assert cut.extra["state"].tolist() == after.extra["state"].tolist()
    assert cut.truncated.tolist() == [[False, False], [True, True], [False, False]]


def test_where_no_time_was_collected_only_the_last_rows_end_the_episodes() -> None:
    cut = truncated_by(rows(0, 0), rows(0, 1)._replace(action=np.full((1, 2), NO_ACTION)))
    assert cut.action.shape == (1, 2)
    assert not cut.truncated.any()


def test_an_open_episode_is_truncated_where_a_final_observation_follows() -> None:
    """In the first environment it is cut off, in the second it ended by itself."""
    given = rows(0, 6)
    given.action[2, 0] = given.action[[3, 4], 1] = NO_ACTION
    given.terminated[2, 1] = True
    given.truncated.flags.writeable = False
    found = truncated_where_cut(given)
    assert np.argwhere(found.truncated).tolist() == [[1, 0]]
    assert not given.truncated.any()
    assert found._replace(truncated=given.truncated) == given
    assert truncated_where_cut(rows(0, 3)).truncated.sum() == 0
    assert truncated_where_cut(rows(0, 0)).truncated.shape == (0, 2)


def test_rows_come_back_from_what_a_checkpoint_may_hold() -> None:
    again = rows_from_plain(rows_to_plain(rows(5, 2)))
    assert again.life_lost is None
    assert again.extra is not None
    assert again.extra["state"].tolist() == [[5, 105], [6, 106]]


def test_rows_without_extra_columns_have_none_after_all_of_it() -> None:
    plain = rows(0, 2)._replace(extra=None)
    for found in (joined([plain, plain], axis=1), rows_from_plain(rows_to_plain(plain))):
        assert found.extra is None
    old = rows_to_plain(plain)
    del old["extra"]  # as a checkpoint of before has it
    assert rows_from_plain(old).extra is None


@pytest.mark.parametrize("shape", [(), (U,)], ids=["of one update", "of several"])
@pytest.mark.parametrize("absent", [(), ("self_prediction_loss",)])
def test_statistics_come_back_by_name_out_of_one_tensor(shape, absent):
    names = [name for name in UpdateStatistics._fields if name not in absent]
    values = {name: torch.full(shape, float(place)) for place, name in enumerate(names)}
    statistics = UpdateStatistics(**values)
    assert list(statistics.present()) == names
    assert statistics.stacked().shape == (*shape, len(names))
    found = UpdateStatistics.of(statistics.stacked())
    torch.testing.assert_close(found.present(), values, rtol=0, atol=0)


def test_a_statistic_that_was_not_stacked_is_given_by_its_name():
    statistics = UpdateStatistics(*torch.arange(5.0))
    stacked = statistics._replace(gradient_norm=None).stacked()
    assert stacked.tolist() == [0.0, 1.0, 2.0, 4.0]
    assert UpdateStatistics.of(stacked, gradient_norm=torch.tensor(3.0)) == statistics


def test_statistics_are_stacked_in_single_precision():
    doubles = torch.arange(5.0, dtype=torch.float64)
    assert UpdateStatistics(*doubles).stacked().dtype == torch.float32
