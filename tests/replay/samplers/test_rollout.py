"""What the two samplers of rollouts share: which times are new, and the room they need."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.naive_replay import chunks
from support.paces import asked
from support.scripted_env import episodes, scripted_rows, spec_of

from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.samplers.rollout import RolloutSampler, rollout_pace
from lightning_dqn.replay.samplers.sampler import Pace
from lightning_dqn.replay.storage import ReplayConfig


class Takes(RolloutSampler):
    """Takes what is new and serves nothing."""

    def sample(self, *_: Any) -> Any:
        """Serve nothing."""
        raise NotImplementedError


def test_the_ring_of_a_rollout_has_room_for_its_rows_of_final_observations_and_a_stack():
    """5 steps may make 10 rows; 2 more and 3 frames of the oldest row's stack are 15 times."""
    wish = asked(num_envs=4, frame_stack=3, capacity=10**6, env_steps_per_iteration=1)
    assert rollout_pace(wish, 5) == Pace(
        num_envs=4,
        frame_stack=3,
        n_step=1,
        overlap=False,
        capacity=60,
        batch_size=32,
        updates_per_iteration=8,
        env_steps_per_iteration=20,
        warmup_env_steps=500,
    )


def test_new_times_are_counted_once_also_across_the_end_of_the_ring():
    ring = ReplayBuffer(spec_of(), 2, ReplayConfig(14))
    sampler = Takes(ring)
    taken = [sampler.take_new_times()]
    for part in chunks(scripted_rows([episodes(3), episodes(5)], 20, spec_of()), [5, 4, 6]):
        ring.extend(part)
        if len(part.action) != 4:
            taken += [sampler.take_new_times(), sampler.take_new_times()]
    assert taken == [0, 5, 0, 4 + 6, 0, 5, 0]


def test_rows_of_final_observations_are_no_starts():
    ring = ReplayBuffer(spec_of(), 2, ReplayConfig(20))
    sampler = Takes(ring)
    ring.extend(scripted_rows([episodes(1), episodes(2)], 6, spec_of()))
    is_start = sampler.starts_among(ring.newest_cells(6))
    assert is_start[:, 0].tolist() == [True, False] * 3
    assert is_start[:, 1].tolist() == [True, True, False] * 2


def test_where_no_row_is_a_start_there_is_nothing_to_serve():
    ring = ReplayBuffer(spec_of(), 1, ReplayConfig(20))
    sampler = Takes(ring)
    with pytest.raises(ValueError, match="holds no transition yet"):
        sampler.starts_among(ring.newest_cells(3))
    ring.extend(scripted_rows([episodes(1)], 2, spec_of()))
    final = torch.tensor([[1]])
    with pytest.raises(ValueError, match="holds no transition yet"):
        sampler.starts_among(final)
    assert sampler.starts_among(torch.tensor([[0], [1]])).tolist() == [[True], [False]]


def test_a_fresh_sampler_that_takes_the_state_has_the_same_new_times():
    first, fresh = (Takes(ReplayBuffer(spec_of(), 1, ReplayConfig(20))) for _ in range(2))
    rows = chunks(scripted_rows([episodes(9)], 11, spec_of()), [5, 4, 2])
    for part in rows[:2]:
        first.replay.extend(part)
        fresh.replay.extend(part)
        if part is rows[0]:
            assert first.take_new_times() == 5
    state = first.state_dict()
    assert state == {"new_times": 4}
    fresh.load_state_dict(state)
    fresh.replay.extend(rows[2])
    assert fresh.take_new_times() == 6


def test_sequences_are_refused_for_their_steps_are_not_collected_yet():
    with pytest.raises(ValueError, match=r"^replay\.sequence_length=5: .*sequence_length=null"):
        rollout_pace(asked(sequence_length=5), 8)
