"""Runs that do one thing wrong each, as the doctor is to find it: small, by the real fit."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from lightning_dqn import DQN, CollectionConfig, EvaluationConfig, ReplayConfig, ReplayDataModule
from lightning_dqn.callbacks import Diagnostics, Doctor, EMATargetNetwork
from lightning_dqn.diagnostics.doctor.rule import Finding
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.learning.targets import Target
from lightning_dqn.networks.torsos import MLP
from lightning_dqn.replay.samplers.prioritized import PrioritizedSampler, PrioritizedSampling
from lightning_dqn.replay.samplers.uniform import UniformSampler, UniformSampling
from lightning_dqn.schedules import LinearSchedule


class Small(gym.Env):
    """A made-up environment of two actions, whose observation is a few numbers."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)
    steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.steps = 0
        return self.look(), {}

    def look(self) -> np.ndarray:
        return self.np_random.uniform(-1, 1, 2).astype(np.float32)


class Endless(Small):
    """No episode ever ends."""

    def step(self, action: int) -> Any:
        return self.look(), 1.0, False, False, {}


class Careful(Small):
    """One action ends the episode, the other leads to the time limit of 20 steps."""

    def step(self, action: int) -> Any:
        self.steps += 1
        return self.look(), 1.0, bool(action == 0), self.steps >= 20, {}


class Jackpot(Small):
    """A reward of 1,000 at the end of 200 steps without one."""

    def step(self, action: int) -> Any:
        self.steps += 1
        is_over = self.steps == 200
        return self.look(), 1_000.0 * is_over, is_over, False, {}


class Blind(Small):
    """Another action than the last is right, and nothing tells which that was."""

    def look(self) -> np.ndarray:
        return np.zeros(2, np.float32)

    last = 0

    def step(self, action: int) -> Any:
        reward = float(action != self.last)
        self.steps, self.last = self.steps + 1, int(action)
        return self.look(), reward, False, self.steps >= 20, {}


class Turning(Small):
    """The side that is seen is worth 1; in training, after some steps, the other one a little."""

    def __init__(self, turns_after: int | None = None) -> None:
        self.turns_after, self.taken = turns_after, 0

    def step(self, action: int) -> Any:
        self.steps += 1
        self.taken += 1
        turned = self.turns_after is not None and self.taken > self.turns_after
        is_side = int(action) == int(self.seen[0] > 0)
        reward = 0.01 * float(not is_side) if turned else float(is_side)
        return self.look(), reward, self.steps >= 10, False, {}

    def look(self) -> np.ndarray:
        self.seen = super().look()
        return self.seen


class Halving(UniformSampling):
    """Its sampler gives half of what it is asked for."""

    def make(self, replay: Any, upcoming: Any) -> Any:
        return _HalvingSampler(replay)


class _HalvingSampler(UniformSampler):
    def sample(self, num_updates: int, *other: Any) -> Any:
        return super().sample(num_updates // 2, *other)


class Forgetful(PrioritizedSampling):
    """Its sampler doesn't take back what it is given."""

    def make(self, replay: Any, upcoming: Any) -> Any:
        return _ForgetfulSampler(replay, self)


class _ForgetfulSampler(PrioritizedSampler):
    def update_priorities(self, priority: Tensor) -> None:
        cells, drawn = self._drawn, self.tree[self._drawn].clone()
        super().update_priorities(priority)
        self.tree.update(cells, drawn)


def fit(
    environment: Any,
    *,
    epochs: int = 6,
    lr: float = 1e-3,
    tau: float | None = 0.01,
    optimizer: Any = torch.optim.Adam,
    max_gradient_norm: float | None = 10.0,
    double: bool = True,
    gamma: float = 0.99,
    capacity: int = 2_000,
    epsilon: Any = 0.1,
    warmup: int = 200,
    num_envs: int = 4,
    evaluated: Any = None,
    evaluations: int = 4,
    **data: Any,
) -> list[Finding]:
    """Fit and return what the doctor found, of small sizes unless told otherwise."""
    pl.seed_everything(0, verbose=False)
    factory = EnvironmentFactory.of(environment, num_envs=num_envs)
    settings: dict[str, Any] = {
        "batch_size": 32,
        "updates_per_iteration": 8,
        "env_steps_per_iteration": 16,
        "env_steps_per_epoch": 512,
        **data,
    }
    content = ReplayDataModule(
        factory,
        replay=ReplayConfig(capacity=capacity, gamma=gamma),
        collection=CollectionConfig(warmup_env_steps=warmup, epsilon=epsilon),
        evaluation=EvaluationConfig(
            num_envs=evaluations, environment=evaluated, max_episode_steps=200
        ),
        **settings,
    )
    module = DQN(
        factory,
        network=MLP(hidden=[32, 32]),
        target=Target(double=double),
        optimizer=partial(optimizer, lr=lr),
        max_gradient_norm=max_gradient_norm,
        compile=False,
    )
    moving = [] if tau is None else [EMATargetNetwork(tau=tau)]
    doctor = Doctor()
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        max_epochs=epochs,
        log_every_n_steps=4,
        callbacks=[*moving, Diagnostics(every_n_env_steps=250), doctor],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # findings are told as warnings
        trainer.fit(module, content)
    return doctor.findings


PROVOCATIONS: dict[str, tuple[str, Callable[[], list[Finding]]]] = {
    "values-beyond-returns": (
        "CartPole, learning rate 0.1, gamma 0.9, no lag of the target, no double Q",
        partial(fit, "CartPole-v1", lr=0.1, tau=1.0, double=False, gamma=0.9, epochs=4),
    ),
    "values-overestimated": (
        "the same with learning rate 0.3, without a discount",
        partial(fit, "CartPole-v1", lr=0.3, tau=1.0, double=False, gamma=1.0, epochs=6),
    ),
    "units-silent": (
        "CartPole, ReLUs and a learning rate of 1",
        partial(fit, "CartPole-v1", lr=1.0),
    ),
    "target-still": (
        "CartPole, no callback moves the target network",
        partial(fit, "CartPole-v1", tau=None, lr=3e-3, epochs=12),
    ),
    "target-hasty": (
        "CartPole, tau=1 after every update",
        partial(fit, "CartPole-v1", tau=1.0),
    ),
    "gradient-always-clipped": (
        "CartPole, max_gradient_norm=1e-5 with plain SGD",
        partial(fit, "CartPole-v1", max_gradient_norm=1e-5, optimizer=torch.optim.SGD, epochs=8),
    ),
    "no-episode-ends": (
        "an environment without an end or a limit",
        partial(fit, Endless, epochs=20, updates_per_iteration=2),
    ),
    "terminals-lost": (
        "a ring of 400 rows, no exploration, a policy that no longer fails",
        partial(fit, Careful, capacity=400, epsilon=0.0, epochs=10),
    ),
    "priorities-stale": (
        "a sampler that forgets to set priorities",
        partial(fit, "CartPole-v1", sampler=Forgetful()),
    ),
    "priorities-collapsed": (
        "alpha=1 where one reward in 200 is 1,000",
        partial(
            fit, Jackpot, sampler=PrioritizedSampling(alpha=1.0), batch_size=64, lr=1e-6, warmup=900
        ),
    ),
    "replay-ratio-off": (
        "a sampler that gives half of the minibatches it is asked for",
        partial(fit, "CartPole-v1", sampler=Halving()),
    ),
    "explored-in-vain": (
        "MountainCar, epsilon down to 0 within 10 env steps",
        partial(
            fit,
            "MountainCar-v0",
            epsilon=LinearSchedule(1.0, 0.0, 10),
            epochs=8,
            updates_per_iteration=2,
        ),
    ),
    "loss-misleads": (
        "in training alone, rewards change to favour another action and shrink to a hundredth",
        partial(
            fit,
            partial(Turning, 800),
            evaluated=EnvironmentFactory(Turning),
            epochs=20,
            capacity=500,
            gamma=0.0,
            lr=5e-4,
            evaluations=10,
        ),
    ),
    "evaluation-below-training": (
        "a policy whose observations tell it nothing, with random actions half of the time",
        partial(fit, Blind, epsilon=0.5, epochs=8, evaluations=8),
    ),
}
"""Name of a rule -> what is done wrong, and the run that does it."""
