"""Rows between their arrival and the ring: in order, cut where the actor was lost, filled up."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lightning_dqn import EnvironmentSpec, ReplayBuffer, ReplayConfig
from lightning_dqn.collecting.remote.block import Block, Following
from lightning_dqn.collecting.remote.lane import Lane
from lightning_dqn.collecting.remote.parts import owned
from lightning_dqn.extra_columns import ExtraColumn
from lightning_dqn.transitions import NO_ACTION, Rows, joined

SPEC = EnvironmentSpec(observation_shape=(1,), observation_dtype="float32", num_actions=3)
MASKED = EnvironmentSpec(
    observation_shape=(1,), observation_dtype="float32", num_actions=3, has_action_mask=True
)


def block(
    first: int,
    num_times: int,
    *,
    weights: int | None = None,
    masked: bool = False,
    first_time: int | None = None,
    num_repeated: int = 0,
) -> Block:
    """Return a block of two environments whose observations count time, as ``first_time`` does."""
    size = (num_times, 2)
    times = np.arange(first, first + num_times + 1, dtype=np.float32)
    observation = np.repeat(times[:, None, None], 2, axis=1)
    observation.flags.writeable = False
    truncated = np.zeros(size, bool)
    truncated.flags.writeable = False  # as Ray hands them over
    mask = np.zeros((num_times + 1, 2, 3), bool) if masked else None
    return Block(
        rows=Rows(
            observation=observation[:-1],
            action=np.ones(size, np.int64),
            reward=np.ones(size, np.float32),
            terminated=np.zeros(size, bool),
            truncated=truncated,
            action_mask=None if mask is None else mask[:-1],
        ),
        following=Following(observation[-1], observation[-1], None if mask is None else mask[-1]),
        episodes=[],
        epsilon=0.5,
        weights_env_steps=weights,
        worker_restarts=None,
        first_time=first if first_time is None else first_time,
        num_repeated=num_repeated,
    )


STATE = {"state": ExtraColumn((2,), "float32")}


def with_state(block: Block, **changed: np.ndarray) -> Block:
    """Return a block that carries its observations twice as a state."""
    state = {"state": np.repeat(block.rows.observation, 2, axis=2)}
    return block._replace(rows=block.rows._replace(extra={**state, **changed}))


def times(rows: Rows) -> list[float]:
    return rows.observation[:, 0, 0].tolist()


def test_rows_are_taken_in_the_order_in_which_they_came():
    lane = Lane(SPEC, 2)
    lane.put(block(0, 3))
    lane.put(block(3, 3))
    assert lane.waiting == 6
    assert [times(lane.take(n)) for n in (2, 2, 0, 2)] == [[0, 1], [2, 3], [], [4, 5]]
    assert lane.waiting == 0


def test_what_follows_is_the_next_row_that_waits_or_what_the_actor_saw_last():
    lane = Lane(SPEC, 2)
    assert lane.following.observation.tolist() == [[0], [0]]
    lane.put(block(4, 3, first_time=0))
    lane.take(2)
    assert lane.following.observation.tolist() == [[6], [6]]
    lane.take(1)
    assert lane.following.observation.tolist() == [[7], [7]]


def test_more_than_waits_is_never_taken_of_an_actor_that_is_there():
    lane = Lane(SPEC, 2)
    lane.put(block(0, 1))
    with pytest.raises(AssertionError):
        lane.take(2)


def test_an_actor_that_was_lost_ends_its_episodes_in_the_rows_that_wait():
    lane = Lane(SPEC, 2)
    lane.put(block(0, 3))
    lane.cut()
    rows = lane.take(4)
    assert times(rows) == [0, 1, 2, 3]
    assert rows.action[:, 0].tolist() == [1, 1, 1, NO_ACTION]
    assert rows.truncated[:, 0].tolist() == [False, False, True, False]


def test_an_actor_that_was_lost_is_filled_up_until_another_sends():
    lane = Lane(SPEC, 2)
    lane.put(block(0, 1))
    lane.take(1)
    lane.cut()
    lane.cut()  # the one in its place too
    assert lane.is_absent
    assert lane.take(3).action[:, 1].tolist() == [NO_ACTION] * 3
    lane.put(block(50, 2, first_time=0))
    assert not lane.is_absent
    assert times(lane.take(2)) == [50, 51]


@pytest.mark.parametrize("n_step", [1, 3])
def test_in_the_ring_no_transition_goes_from_a_lost_actor_to_the_next(n_step):
    ring = ReplayBuffer(SPEC, 2, ReplayConfig(capacity=100, gamma=0.5, n_step=n_step))
    lane = Lane(SPEC, 2)
    lane.put(block(0, 2))
    ring.extend(owned(lane.take(2)))
    lane.cut()
    lane.put(block(50, 2, first_time=0))
    ring.extend(owned(lane.take(3)))
    cells = ring.start_cells()
    assert len(cells) == 2 * 3  # the newest row has no successor yet
    found = ring.transitions_at(cells[::2])
    following = {1: [1.0, 2.0, 51.0], 3: [2.0, 2.0, 51.0]}[n_step]
    assert found.observation[:, 0].tolist() == [0, 1, 50]
    assert found.next_observation[:, 0].tolist() == following
    factors = {1: [0.5, 0.5, 0.5], 3: [0.25, 0.5, 0.5]}[n_step]
    assert torch.equal(found.discount, torch.tensor(factors))


def test_rows_that_fill_up_show_the_mask_that_was_seen_last():
    lane = Lane(MASKED, 2)
    assert lane.following.action_mask.all()
    lane.put(block(0, 1, masked=True))
    lane.take(1)
    lane.cut()
    assert not lane.take(1).action_mask.any()


def test_the_oldest_weights_are_those_of_the_rows_that_wait_longest():
    lane = Lane(SPEC, 2)
    assert lane.oldest_weights is None
    lane.put(block(0, 2, weights=10))
    lane.put(block(2, 2, weights=20))
    lane.take(1)
    assert lane.oldest_weights == 10
    lane.take(1)
    assert lane.oldest_weights == 20


def test_restarts_within_actors_add_up():
    lane = Lane(SPEC, 2)
    assert lane.worker_restarts is None
    lane.put(block(0, 1)._replace(worker_restarts=2))
    lane.cut()
    lane.put(block(0, 1)._replace(worker_restarts=1))
    assert lane.worker_restarts == 3


def test_rows_of_ones_own_may_be_written_and_are_copied_only_where_they_must_be():
    rows = owned(block(0, 2).rows)
    rows.truncated[:] = True
    assert owned(rows).truncated is rows.truncated


def test_rows_are_joined_along_time_and_beside_each_other():
    one, other = block(0, 2).rows, block(5, 2).rows
    assert times(joined([one, other], axis=0)) == [0, 1, 5, 6]
    beside = joined([one, other], axis=1)
    assert beside.observation[0, :, 0].tolist() == [0, 0, 5, 5]
    assert beside.action_mask is None


def test_extra_columns_stay_with_their_rows_and_are_zeros_where_lanes_fill_up():
    lane = Lane(SPEC, 2, STATE)
    lane.put(with_state(block(1, 3, first_time=0)))
    lane.put(with_state(block(4, 2, first_time=3)))
    first = lane.take(2)
    lane.cut()
    rows = joined([first, lane.take(6)], axis=0)
    assert times(rows) == [1, 2, 3, 4, 5, 6, 6, 6]
    assert rows.action[:, 0].tolist() == [1, 1, 1, 1, 1, *[NO_ACTION] * 3]
    assert rows.extra["state"][:, 1].tolist() == [*([t, t] for t in range(1, 6)), *[[0, 0]] * 3]


def test_a_block_whose_extra_columns_were_not_declared_is_refused():
    with pytest.raises(ValueError, match=r"^rows.extra\['state'\]: "):
        Lane(SPEC, 2).put(with_state(block(0, 2)))
    with pytest.raises(ValueError, match=r"^rows.extra\['state'\]: missing"):
        Lane(SPEC, 2, STATE).put(block(0, 2))
    with pytest.raises(ValueError, match=r"^rows.extra\['state'\]: float32\[2, 2, 3\]"):
        Lane(SPEC, 2, STATE).put(with_state(block(0, 2), state=np.zeros((2, 2, 3), np.float32)))


def test_times_that_were_in_the_block_before_are_taken_once():
    lane = Lane(SPEC, 2)
    lane.put(block(0, 4, weights=10))
    lane.put(block(2, 5, num_repeated=2, weights=20))
    lane.put(block(5, 2, num_repeated=2))  # nothing new
    lane.put(block(5, 3, num_repeated=2))
    assert lane.waiting == 8
    assert times(lane.take(8)) == [0, 1, 2, 3, 4, 5, 6, 7]
    assert lane.following.observation.tolist() == [[8], [8]]


def test_an_actor_in_the_place_of_one_that_was_lost_counts_anew():
    lane = Lane(SPEC, 2)
    lane.put(block(0, 3))
    lane.cut()
    lane.put(block(50, 2, first_time=0))
    lane.put(block(51, 2, first_time=1, num_repeated=1))
    assert times(lane.take(7)) == [0, 1, 2, 3, 50, 51, 52]


@pytest.mark.parametrize(
    "wrong",
    [
        {"first_time": 4},  # one is missing
        {"first_time": 2},  # one is repeated without a word
        {"first_time": 1, "num_repeated": 1},
        {"first_time": 3, "num_repeated": 1},
        {"first_time": 4, "num_repeated": -1},
        {"first_time": 0, "num_repeated": 3},  # of two
    ],
)
def test_blocks_with_a_gap_between_or_times_that_come_twice_are_refused(wrong):
    lane = Lane(SPEC, 2)
    lane.put(block(0, 3))
    with pytest.raises(ValueError, match=r"^block: its 2 times .* don't follow the 3 that"):
        lane.put(block(3, 2, **wrong))
    assert lane.waiting == 3


def test_the_first_block_of_an_actor_repeats_nothing():
    with pytest.raises(ValueError, match=r"^block: its 3 times from 0 on, of which num_repeated=1"):
        Lane(SPEC, 2).put(block(0, 3, num_repeated=1))
