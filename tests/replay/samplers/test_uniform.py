"""Uniform replay: its pace, and the ring's draws under a Trainer."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support.drawing import draw
from support.naive_replay import chunks
from support.paces import asked
from support.scripted_env import episodes, scripted_rows, spec_of
from support.scripted_rings import ring_of
from support.short_fits import OnBatch, without_target

from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.samplers.prioritized import PrioritizedSampling
from lightning_dqn.replay.samplers.uniform import UniformSampler, UniformSampling
from lightning_dqn.replay.storage import ReplayConfig
from lightning_dqn.schedules import LinearSchedule


@pytest.mark.parametrize(("wanted", "given"), [(0, 12), (11, 12), (12, 12), (13, 13), (500, 500)])
def test_the_pace_is_the_one_asked_for_with_two_rows_of_each_environment_before_it(wanted, given):
    wish = asked(num_envs=6, warmup_env_steps=wanted, overlap=True, n_step=[1, 3])
    assert UniformSampling().pace(wish) == replace(wish, warmup_env_steps=given)


@pytest.mark.parametrize("sampler", [UniformSampling(), PrioritizedSampling()])
def test_with_no_warm_up_asked_for_there_is_something_to_draw(
    sampler, make_trainer, make_data, make_module
):
    seen = []
    before = OnBatch(before=lambda data, i: seen.append((i.env_steps, data.replay.num_starts)))
    data = make_data(warmup_env_steps=0, sampler=sampler)
    make_trainer(callbacks=[before]).fit(without_target(make_module), data)
    assert seen == [(24, 16), (32, 24), (40, 32)]


def test_a_uniform_sample_is_the_rings_own():
    scripts = [episodes(3), episodes(5)]
    sampler = UniformSampler(ReplayBuffer(spec_of(), 2, ReplayConfig(14, n_step=2), seed=4))
    for part in chunks(scripted_rows(scripts, 23, spec_of()), [7]):
        sampler.replay.extend(part)
    twin = ring_of(scripts, 23, keeps=7, n_step=2, seed=4)
    for _ in range(2):
        for one, other in zip(draw(sampler, 3, 8), twin.sample(3, 8), strict=True):
            assert (one is None and other is None) or torch.equal(one, other)


def test_gamma_and_n_step_follow_env_steps_during_a_fit(make_trainer, make_data, make_module):
    gamma, n_step = LinearSchedule(0.0, 0.8, 80), LinearSchedule(5, 1, 40)
    seen = []
    before = OnBatch(
        before=lambda data, i: seen.append((i.env_steps, data.replay.gamma, data.replay.n_step))
    )
    data = make_data(replay=ReplayConfig(1_000, gamma=gamma, n_step=n_step))
    make_trainer(callbacks=[before]).fit(without_target(make_module), data)
    expected = [(24, 0.24, (3, 3)), (32, 0.32, (2, 2)), (40, 0.4, (1, 1))]
    assert seen == [(e, pytest.approx(g), n) for e, g, n in expected]
