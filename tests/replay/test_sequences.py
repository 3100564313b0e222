"""The steps to come beside each transition: by hand, through both samplers, and their memory.

The twin of ``test_ring.py`` holds them against obvious loops in every combination.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from support.paces import asked
from support.scripted_env import EpisodeScript, Scripts, episodes, frame, scripted_rows, spec_of
from support.scripted_rings import ring_of, transition_from

from lightning_dqn.data import ReplayDataModule
from lightning_dqn.replay import storage
from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.samplers.prioritized import PrioritizedSampling
from lightning_dqn.replay.samplers.sampler import Sampler, Sampling
from lightning_dqn.replay.samplers.uniform import UniformSampling
from lightning_dqn.replay.storage import ReplayConfig, check_batches_fit
from lightning_dqn.transitions import Transitions

SCRIPTS: Scripts = [episodes(9), episodes(3, 2)]


def steps_of(found: Transitions) -> list[int]:
    """Return the step in its episode of each observation to come."""
    assert found.sequence_observation is not None
    return found.sequence_observation[..., -1].int().tolist()


def within(found: Transitions) -> list[bool]:
    assert found.sequence_within is not None
    return found.sequence_within.tolist()


def test_the_steps_to_come_are_those_of_the_episode_with_the_actions_between() -> None:
    ring = ring_of(SCRIPTS, 8, sequence_length=3)
    found = transition_from(ring, 0, 0, 2)
    assert (steps_of(found), within(found)) == ([3, 4, 5], [True, True, True])
    rows = scripted_rows(SCRIPTS, 8, spec_of())
    assert found.sequence_action is not None
    assert found.sequence_action.tolist() == rows.action[2:5, 0].tolist()
    assert found.sequence_action[0] == found.action


@pytest.mark.parametrize(("terminated", "truncated"), [(True, False), (False, True), (True, True)])
def test_what_an_episodes_end_led_to_is_not_within_nor_what_comes_after(
    terminated: bool, truncated: bool
) -> None:
    script = episodes(4, terminated=terminated, truncated=truncated)
    found = transition_from(ring_of([script], 12, sequence_length=3), 0, 0, 2)
    assert (steps_of(found), within(found)) == ([3, 3, 3], [True, False, False])


def test_a_lifes_end_ends_the_steps_as_it_ends_chains() -> None:
    script = [EpisodeScript((1.0,) * 6, lives_lost=(2,))]
    for tells, expected in ((True, [True, False, False]), (False, [True, True, True])):
        spec = spec_of(has_life_losses=tells)
        found = transition_from(ring_of([script], 12, spec=spec, sequence_length=3), 0, 0, 1)
        assert within(found) == expected


def test_steps_that_are_not_stored_yet_do_not_count_and_their_starts_are_drawn() -> None:
    ring = ring_of([episodes(9)], 5, sequence_length=3)
    found = transition_from(ring, 0, 0, 3)
    assert (steps_of(found), within(found)) == ([4, 4, 4], [True, False, False])
    assert ring.num_starts == ring_of([episodes(9)], 5).num_starts


def test_frames_are_gathered_once_and_stacks_are_windows_over_them() -> None:
    ring = ring_of(SCRIPTS, 12, keeps=14, chunk=12, spec=spec_of(frame_stack=3), sequence_length=4)
    found = ring.sample(2, 5).sequence_observation
    assert found is not None
    assert found.shape == (2, 5, 4, 3, 3)
    frames_of_a_start = 3 - 1 + 4
    assert found.untyped_storage().nbytes() == 2 * 5 * frames_of_a_start * 3 * 4
    stacks = transition_from(ring, 0, 0, 0).sequence_observation
    assert stacks is not None
    assert stacks[..., -1].tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4]]


@pytest.mark.parametrize("sampling", [UniformSampling(), PrioritizedSampling()])
@pytest.mark.parametrize("n_step", [1, 3, [1, 4]])
def test_samplers_give_the_same_with_sequences_beside_it(sampling: Sampling, n_step: Any) -> None:
    def drawn(length: int | None) -> Transitions:
        ring = ReplayBuffer(
            spec_of(), 2, ReplayConfig(60, n_step=n_step, sequence_length=length), seed=3
        )
        sampler: Sampler = sampling.make(ring, upcoming=lambda: (np.zeros(0), None))
        ring.extend(scripted_rows(SCRIPTS, 20, spec_of()))
        return sampler.sample(3, 40, 0, valuer=None)  # type: ignore[arg-type]

    plain, found = drawn(None), drawn(4)
    assert (plain.sequence_observation, plain.sequence_action, plain.sequence_within) == (None,) * 3
    for name, column in plain._asdict().items():
        if column is not None:
            assert torch.equal(column, getattr(found, name)), name
    assert found.sequence_within is not None
    assert found.sequence_observation is not None
    assert found.sequence_within.shape == (3, 40, 4)
    # each step within is one further than the one before, in the same episode
    steps = torch.cat([found.observation.unsqueeze(2), found.sequence_observation], dim=2)
    one_further = torch.from_numpy(frame(0, 0, 1) - frame(0, 0, 0)).expand(3, 40, 4, 3)
    moved = found.sequence_within.unsqueeze(-1) * one_further
    assert torch.equal(steps[:, :, 1:] - steps[:, :, :-1], moved)


def test_a_length_is_a_whole_number_from_one_or_none() -> None:
    for wrong in (0, -1, 2.5):
        with pytest.raises(ValueError, match=r"^sequence_length="):
            ReplayConfig(sequence_length=wrong)  # type: ignore[arg-type]


def test_the_data_module_asks_its_sampler_for_sequences() -> None:
    seen: list[Any] = []

    class Noting(UniformSampling):
        def pace(self, asked: Any) -> Any:
            seen.append(asked.sequence_length)
            return super().pace(asked)

    ReplayDataModule("CartPole-v1", replay=ReplayConfig(1_000, sequence_length=4), sampler=Noting())
    assert seen == [4]
    assert asked().sequence_length is None


def test_the_copies_that_learning_makes_of_them_count_as_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storage, "available_bytes", lambda device: 10_000)
    check_batches_fit(spec_of(), 2, 5)
    with pytest.raises(ValueError, match=r"^batch_size=5 x updates_per_iteration=2: "):
        check_batches_fit(spec_of(), 2, 5, sequence_length=60)
