"""Chains and stacks within a block: those that the ring finds once it has the rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.scripted_env import UNEVEN, EpisodeScript, episodes, scripted_rows, spec_of

from lightning_dqn.collecting.remote.chains import ChainTerms, follow_chains, stack_times
from lightning_dqn.replay.reading import follow_chain, stacked_cells
from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.storage import ReplayConfig
from lightning_dqn.transitions import NO_ACTION, Rows, joined

LIVES = [[EpisodeScript((1.0, 2.0, -3.0, 4.0, 5.0), lives_lost=(1, 2))], episodes(4)]
SCRIPTS = [*UNEVEN, *LIVES, episodes(100)]
SPEC = spec_of(has_life_losses=True)
NUM_ENVS = len(SCRIPTS)


def rows_and_ring(num_times: int) -> tuple[Rows, ReplayBuffer]:
    """Return the rows of a block, and a ring of them and of what follows the block."""
    rows = scripted_rows(SCRIPTS, num_times + 1, SPEC)
    ring = ReplayBuffer(SPEC, NUM_ENVS, ReplayConfig((num_times + 1) * NUM_ENVS))
    ring.extend(rows)
    return rows.each(lambda column: column[:-1]), ring


@pytest.mark.parametrize("n_step", [1, 2, 3, 5, 30])
@pytest.mark.parametrize("gamma", [0.5, -1.0, 1.0])
@pytest.mark.parametrize("clip", [None, 1.0])
def test_chains_that_are_whole_are_those_of_the_ring(n_step, gamma, clip):
    rows, ring = rows_and_ring(17)
    found = follow_chains(rows, ChainTerms(gamma, n_step, clip))
    assert found.is_whole.sum() > 20
    cells = torch.from_numpy(np.flatnonzero(found.is_whole))
    read = ring.cells._replace(reward_clip=clip)
    expected = follow_chain(read, cells, gamma, n_step, n_step)
    assert found.reward[found.is_whole].tolist() == expected.reward.tolist()
    assert found.discount[found.is_whole].tolist() == expected.discount.tolist()
    has_value = expected.discount != 0
    last = torch.from_numpy(found.last[found.is_whole])
    assert torch.equal(last[has_value], (expected.last // NUM_ENVS)[has_value])


def test_chains_that_go_on_beyond_the_block_are_not_whole():
    rows = scripted_rows([episodes(100), episodes(4)], 6, spec_of())
    whole = {n: follow_chains(rows, ChainTerms(0.9, n, None)).is_whole for n in (1, 3)}
    assert whole[1][:, 0].tolist() == [True] * 6
    assert whole[3][:, 0].tolist() == [True] * 4 + [False] * 2
    assert rows.action[4, 1] == NO_ACTION
    assert whole[1][:, 1].tolist() == [True] * 4 + [False, True]
    assert whole[3][:, 1].tolist() == [True] * 4 + [False, False]


@pytest.mark.parametrize("num_frames", [1, 2, 4])
def test_stacks_that_are_whole_are_those_of_the_ring(num_frames):
    before, num_times = 9, 14
    rows = scripted_rows(SCRIPTS, before + num_times + 1, SPEC)
    ring = ReplayBuffer(SPEC, NUM_ENVS, ReplayConfig(len(rows.action) * NUM_ENVS))
    ring.extend(rows)
    found = stack_times(rows.each(lambda column: column[before:-1]), num_frames)
    assert found.shape == (num_times + 1, NUM_ENVS, num_frames)
    cells = torch.arange(before * NUM_ENVS, ring.num_rows)
    expected = (stacked_cells(ring.cells, cells, num_frames) // NUM_ENVS - before).numpy()
    expected = expected.reshape(found.shape)
    whole = (found >= 0).all(axis=-1)
    assert (found[whole] == expected[whole]).all()
    assert whole[num_frames - 1 :].all(), "only the first times may lack frames"
    assert not whole[: num_frames - 1].all() or num_frames == 1


def test_blocks_of_no_times_have_no_chains():
    rows = scripted_rows(SCRIPTS, 3, SPEC).each(lambda column: column[:0])
    assert follow_chains(rows, ChainTerms(0.9, 3, None)).is_whole.shape == (0, NUM_ENVS)
    assert len(joined([rows, rows], axis=0).action) == 0
