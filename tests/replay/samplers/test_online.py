"""Online learning against a naive twin that looks one row ahead, and that no step of it is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.drawing import RandomValues, draw
from support.naive_replay import NaiveReplay, assert_transition_is, chunks, scripts_of_envs
from support.paces import asked
from support.scripted_env import episodes, first_steps, scripted_rows, scripted_vector, spec_of
from support.short_fits import iterations_of

from lightning_dqn import CollectionConfig, ReplayDataModule
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.samplers.online import OnlineSampler, OnlineTransitions
from lightning_dqn.replay.samplers.sampler import Pace
from lightning_dqn.replay.storage import ReplayConfig
from lightning_dqn.schedules import ConstantSchedule
from lightning_dqn.transitions import Rows

FOREVER = 10_000
"""More times than are ever made: a twin of this size forgets nothing."""


# The twin


def newest_of(twin: NaiveReplay) -> tuple[np.ndarray, np.ndarray | None]:
    """Return observations and legal actions of the twin's newest rows."""
    observations, masks = [], []
    for of_env in twin.episodes:
        episode = of_env[-1] or of_env[-2]
        observations.append(twin.stack(episode, len(episode) - 1))
        masks.append(episode[-1].action_mask)
    return np.stack(observations), None if masks[0] is None else np.stack(masks)


@settings(max_examples=150, deadline=None)
@given(
    scripts=scripts_of_envs,
    rollouts=st.lists(st.integers(1, 6), min_size=1, max_size=5),
    gamma=st.sampled_from([0.9, -1.0, -0.5]),
    frame_stack=st.integers(1, 3),
    masked=st.booleans(),
    lives=st.booleans(),
    clip=st.sampled_from([None, 0.5]),
)
def test_each_new_transition_comes_once_in_order_as_the_naive_twin_has_it(
    scripts, rollouts, gamma, frame_stack, masked, lives, clip
):
    """A ring of the longest rollout and its oldest row's stack is large enough."""
    num_envs, kept = len(scripts), max(rollouts) + frame_stack
    spec = spec_of(masked=masked, frame_stack=frame_stack, has_life_losses=lives)
    config = ReplayConfig(max(2, kept * num_envs), gamma=gamma, reward_clip=clip)
    ring = ReplayBuffer(spec, num_envs, config)
    ahead = NaiveReplay(
        num_envs, FOREVER, gamma=gamma, n_step=1, frame_stack=frame_stack, reward_clip=clip
    )
    sampler = OnlineSampler(ring, lambda: newest_of(ahead))
    rows = scripted_rows(scripts, 1 + sum(rollouts), spec)
    first, *rest = chunks(rows, [1, *rollouts])
    ahead.extend(first)
    for begin, of_ring, of_twin in rollouts_of(rows, rollouts, rest):
        ring.extend(of_ring)
        ahead.extend(of_twin)
        expected = [t for cell, t in sorted(ahead.starts().items()) if cell >= begin * num_envs]
        if not expected:
            with pytest.raises(ValueError, match="holds no transition yet"):
                draw(sampler, 1, 1)
            continue
        transitions = draw(sampler, len(expected), 1)
        assert transitions.action.shape == (len(expected), 1)
        for update, transition in enumerate(expected):
            assert_transition_is(transitions, (update, 0), transition)


def rollouts_of(
    rows: Rows, rollouts: list[int], one_later: list[Rows]
) -> Iterator[tuple[int, Rows, Rows]]:
    """Yield the first time of each rollout, its rows, and those one time later."""
    parts = chunks(rows, rollouts)[: len(rollouts)]
    begins = np.cumsum([0, *rollouts[:-1]]).tolist()
    yield from zip(begins, parts, one_later, strict=True)


def test_legal_actions_that_are_not_told_are_all():
    spec = spec_of(masked=True)
    ring = ReplayBuffer(spec, 2, ReplayConfig(20))
    sampler = OnlineSampler(ring, lambda: (np.full((2, 3), 7, np.float32), None))
    ring.extend(scripted_rows([episodes(3)] * 2, 2, spec))
    transitions = draw(sampler, 4, 1)
    assert transitions.next_action_mask is not None
    assert transitions.next_action_mask[2:].all()
    assert not transitions.next_action_mask[:2].all()
    assert (transitions.next_observation[2:] == 7).all()


def test_a_final_row_gets_nothing_of_what_comes_up():
    """The first environment's episode has just ended; the second's goes on."""
    ring = ReplayBuffer(spec_of(), 2, ReplayConfig(20, gamma=0.5))
    upcoming = np.array([[8, 8, 8], [9, 9, 9]], np.float32)
    sampler = OnlineSampler(ring, lambda: (upcoming, None))
    ring.extend(scripted_rows([episodes(1), episodes(3)], 2, spec_of()))
    transitions = draw(sampler, 3, 1)
    assert transitions.observation.tolist() == [[[0, 0, 0]], [[1, 0, 0]], [[1, 0, 1]]]
    assert transitions.next_observation.tolist() == [[[0, 0, 1]], [[1, 0, 1]], [[9, 9, 9]]]
    assert transitions.reward.flatten().tolist() == [1, 1, 2]
    assert transitions.discount.flatten().tolist() == [0, 0.5, 0.5]


# Pace


def test_the_pace_is_an_update_for_each_transition_without_a_warm_up():
    wish = asked(num_envs=3, frame_stack=2, warmup_env_steps=500)
    assert OnlineTransitions(rollout_length=4).pace(wish) == Pace(
        num_envs=3,
        frame_stack=2,
        n_step=1,
        overlap=False,
        capacity=(2 * 4 + 2 + 2) * 3,
        batch_size=1,
        updates_per_iteration=12,
        env_steps_per_iteration=12,
        warmup_env_steps=0,
    )


def test_overlap_is_refused():
    with pytest.raises(ValueError, match="overlap=True: online learning collects with what"):
        OnlineTransitions().pace(asked(overlap=True))


@pytest.mark.parametrize("n_step", [2, [1, 3], (1, 3), ConstantSchedule(2)])
def test_longer_chains_than_a_step_are_refused(n_step, make_data):
    for take in (
        lambda: OnlineTransitions().pace(asked(n_step=n_step)),
        lambda: make_data(sampler=OnlineTransitions(), replay=ReplayConfig(n_step=n_step)),
    ):
        with pytest.raises(ValueError, match=r"replay\.n_step=.* online learning .* n_step=1"):
            take()


def test_a_setting_that_means_nothing_is_refused_by_name():
    with pytest.raises(ValueError, match="rollout_length=0"):
        OnlineTransitions(rollout_length=0)


# What a continued run needs


def test_a_fresh_sampler_that_takes_the_state_serves_what_was_new():
    rows = chunks(scripted_rows([episodes(4), episodes(7)], 18, spec_of()), [12, 6])

    def sampler_of(take: Callable[[OnlineSampler], object]) -> OnlineSampler:
        ring = ReplayBuffer(spec_of(), 2, ReplayConfig(100))
        sampler = OnlineSampler(ring, lambda: (np.zeros((2, 3), np.float32), None))
        ring.extend(rows[0])
        take(sampler)
        ring.extend(rows[1])
        return sampler

    first, fresh = sampler_of(lambda sampler: draw(sampler, 1, 1)), sampler_of(lambda _: None)
    fresh.load_state_dict(first.state_dict())
    for one, other in zip(draw(first, 1, 1), draw(fresh, 1, 1), strict=True):
        assert (one is None and other is None) or torch.equal(one, other)


# Through the data module


@pytest.mark.parametrize(
    "scripts",
    [
        pytest.param([episodes(1)], id="one"),
        pytest.param([episodes(1), episodes(40)], id="short and long"),
        pytest.param([episodes(2), episodes(3, 1), episodes(7)], id="uneven"),
    ],
)
@pytest.mark.parametrize("rollout_length", [1, 5])
@pytest.mark.parametrize("frame_stack", [1, 4])
def test_every_step_is_an_update_in_the_order_in_which_it_was_made(
    scripts, rollout_length, frame_stack, tmp_path
):
    data = ReplayDataModule(
        EnvironmentFactory(scripted_vector(scripts), frame_stack=frame_stack),
        sampler=OnlineTransitions(rollout_length=rollout_length),
        env_steps_per_epoch=12 * rollout_length * len(scripts),
        collection=CollectionConfig(warmup_env_steps=100),
    )
    served: list[list[tuple[int, int]]] = [[] for _ in scripts]
    env_steps = 0
    for iteration in iterations_of(data, RandomValues(), tmp_path):
        transitions = iteration.transitions
        assert transitions.action.shape == (iteration.env_steps - env_steps, 1)
        env_steps = iteration.env_steps
        newest = transitions.observation.flatten(0, -2)[frame_stack - 1 :: frame_stack]
        following = transitions.next_observation.flatten(0, -2)[frame_stack - 1 :: frame_stack]
        assert torch.equal(following - newest, torch.tensor([[0.0, 0.0, 1.0]] * len(newest)))
        for env, episode, step in newest.int().tolist():
            served[env].append((episode, step))
    assert sum(map(len, served)) == env_steps >= 12 * rollout_length * len(scripts)
    for script, steps in zip(scripts, served, strict=True):
        assert steps == first_steps(script, len(steps))
