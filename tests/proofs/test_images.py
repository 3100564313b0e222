"""What is learned from pictures whose answer is known: stacks, lives, clipped rewards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from support.image_env import CueThenChoice, LifeShades, RewardAfterLife
from support.short_fits import iterations_of
from support.switches import switched_dqn

from lightning_dqn import (
    CollectionConfig,
    EnvironmentFactory,
    EvaluationConfig,
    LinearSchedule,
    ReplayConfig,
    ReplayDataModule,
)
from lightning_dqn.callbacks import EMATargetNetwork


def data_of(environment: EnvironmentFactory, **replay: Any) -> ReplayDataModule:
    """Return what collects a thousand steps and learns eight times from each sixteen."""
    return ReplayDataModule(
        environment,
        batch_size=32,
        updates_per_iteration=8,
        env_steps_per_iteration=16,
        env_steps_per_epoch=1_000,
        replay=ReplayConfig(capacity=2_000, **replay),
        collection=CollectionConfig(100, epsilon=LinearSchedule(1.0, 0.2, 600)),
        evaluation=EvaluationConfig(num_envs=8, test_episodes_per_env=5),
    )


def learned(environment: EnvironmentFactory, make_trainer: Any, **replay: Any) -> Any:
    """Return a module that has learned, its trainer and its data."""
    torch.manual_seed(0)
    module = switched_dqn(environment, network=["Flatten", {"Linear": 32}, "ReLU"])
    trainer = make_trainer(callbacks=[EMATargetNetwork(tau=0.05)])
    data = data_of(environment, **replay)
    trainer.fit(module, data)
    return module, trainer, data


@pytest.mark.parametrize(
    ("frame_stack", "costs_life", "expected"), [(2, False, 1.0), (1, False, None), (2, True, None)]
)
def test_what_was_seen_before_is_known_by_the_stack_alone_and_in_the_same_life(
    frame_stack, costs_life, expected, make_trainer
):
    environment = EnvironmentFactory(
        lambda: CueThenChoice(costs_life), num_envs=4, frame_stack=frame_stack
    )
    module, trainer, data = learned(environment, make_trainer, gamma=0.5)
    [result] = trainer.test(module, data, verbose=False)
    if expected is None:
        assert result["test/episode_return"] < 0.8
    else:
        assert result["test/episode_return"] == expected


def test_no_stack_holds_frames_of_two_episodes_or_lives(tmp_path):
    """Neither what is learned from nor what is acted by."""
    environment = EnvironmentFactory(LifeShades, num_envs=3, frame_stack=4)
    acted: list[np.ndarray] = []

    class Policy:
        env_steps = 0

        def act(self, observation: np.ndarray, *rest: Any) -> np.ndarray:
            acted.append(observation.copy())
            return np.zeros(len(observation), np.int64)

        def behaviour_policy(self) -> Any:
            return self

    data = data_of(environment, n_step=3)
    data.collection = CollectionConfig(100, epsilon=0.0)  # type: ignore[arg-type]
    learned_from = [
        stack.clone().flatten(0, 1)
        for iteration in iterations_of(data, Policy(), tmp_path)
        for stack in (iteration.transitions.observation, iteration.transitions.next_observation)
        if stack is not None
    ]
    for stacks in (torch.cat(learned_from), torch.from_numpy(np.concatenate(acted))):
        assert len(stacks) > 500
        shades = stacks[..., 0, 0]
        assert (shades == shades[:, :1]).all()


@pytest.mark.parametrize(
    ("tells_lives", "clip", "expected"),
    [(True, None, (0.0, 9.0)), (False, None, (4.5, 9.0)), (False, 1.0, (0.5, 1.0))],
)
@pytest.mark.parametrize("n_step", [1, 3])
def test_a_life_that_is_lost_is_not_bootstrapped_across_and_rewards_are_clipped_to_learn(
    tells_lives, clip, expected, n_step, make_trainer
):
    environment = EnvironmentFactory(lambda: RewardAfterLife(tells_lives), num_envs=4)
    replay = {"gamma": 0.5, "reward_clip": clip, "n_step": n_step}
    module, trainer, data = learned(environment, make_trainer, **replay)
    pictures = np.stack([RewardAfterLife.picture(time) for time in (0, 1)])
    values = module.q_values(pictures).max(dim=1).values
    torch.testing.assert_close(values, torch.tensor(expected), atol=0.4, rtol=0.0)
    [result] = trainer.test(module, data, verbose=False)
    assert result["test/episode_return"] == 9.0  # over the whole game, as it gave it
