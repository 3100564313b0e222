"""What every sampler owes, and that a user's own needs nothing changed in the house."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from support.drawing import draw
from support.paces import asked
from support.scripted_env import episodes, scripted_rows, spec_of
from support.scripted_rings import ring_of
from support.short_fits import without_target
from torch import Tensor

from lightning_dqn import DQN
from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.samplers.lambda_returns import LambdaReturns, LambdaReturnSampler
from lightning_dqn.replay.samplers.online import OnlineSampler, OnlineTransitions
from lightning_dqn.replay.samplers.prioritized import PrioritizedSampler, PrioritizedSampling
from lightning_dqn.replay.samplers.sampler import Pace, Sampler, Sampling, Upcoming, as_sampling
from lightning_dqn.replay.samplers.uniform import UniformSampler, UniformSampling
from lightning_dqn.replay.storage import ReplayConfig
from lightning_dqn.system.ranks import ALONE, Ranks
from lightning_dqn.transitions import Transitions, Valuer

OURS = [UniformSampling(), PrioritizedSampling(), LambdaReturns(), OnlineTransitions()]


def upcoming() -> tuple[np.ndarray, None]:
    """Return what follows the newest rows of one environment: zeros, all actions legal."""
    return np.zeros((1, 3), np.float32), None


def sampler_of(sampling: Sampling) -> Sampler:
    """Return a sampler over an empty ring of one environment."""
    return sampling.make(ReplayBuffer(spec_of(), 1, ReplayConfig(10)), upcoming)


# What every sampling and sampler owes


@pytest.mark.parametrize(
    ("sampling", "kind"),
    [
        (UniformSampling(), UniformSampler),
        (PrioritizedSampling(), PrioritizedSampler),
        (LambdaReturns(), LambdaReturnSampler),
        (OnlineTransitions(), OnlineSampler),
    ],
)
def test_a_configuration_makes_its_sampler(sampling, kind):
    sampler = sampler_of(sampling)
    assert type(sampler) is kind
    assert sampler.uses_priorities == (kind is PrioritizedSampler)


def test_each_of_several_ranks_has_its_share_of_the_pace():
    pace = asked(warmup_env_steps=101, capacity=1_001)
    assert pace.share(ALONE) == pace
    expected = replace(
        pace,
        num_envs=3,
        batch_size=16,
        env_steps_per_iteration=32,
        capacity=500,
        warmup_env_steps=51,  # no less than was asked for
    )
    assert pace.share(Ranks(2)) == pace.share(Ranks(2, 1)) == expected


def test_uniform_sampling_is_what_nothing_else_is_asked_for(make_data):
    assert make_data().sampling == make_data(sampler=None).sampling == UniformSampling()


@pytest.mark.parametrize("sampling", [UniformSampling(), LambdaReturns(), OnlineTransitions()])
def test_a_sampler_without_priorities_refuses_them(sampling):
    with pytest.raises(RuntimeError, match="keeps no priorities"):
        sampler_of(sampling).update_priorities(torch.ones(1, 1))


@pytest.mark.parametrize("sampling", OURS)
def test_only_whole_targets_come_without_a_next_observation(sampling):
    sampler = sampler_of(sampling)
    sampler.replay.extend(scripted_rows([episodes(100)], 8, spec_of()))
    transitions = draw(sampler, 1, 7)
    assert sampling.gives_whole_targets == (sampling == LambdaReturns())
    assert (transitions.next_observation is None) == sampling.gives_whole_targets
    assert bool((transitions.discount == 0).all()) == sampling.gives_whole_targets


@pytest.mark.parametrize("sampling", OURS)
def test_a_sampler_over_rows_that_it_has_not_seen_written_is_refused(sampling):
    with pytest.raises(AssertionError, match="sees every row"):
        sampling.make(ring_of([episodes(3)], 5), upcoming)


@pytest.mark.parametrize("sampling", OURS)
def test_before_a_row_is_a_start_there_is_nothing_to_draw(sampling):
    with pytest.raises(ValueError, match="holds no transition yet"):
        draw(sampler_of(sampling), 1, 1)


def test_a_sampler_that_keeps_no_state_takes_none():
    sampler = sampler_of(UniformSampling())
    assert sampler.state_dict() == {}
    sampler.load_state_dict({})
    with pytest.raises(AssertionError, match="UniformSampler keeps no state"):
        sampler.load_state_dict({"new_times": 3})


# What is taken for a sampling


@pytest.mark.parametrize(
    "unknown",
    [
        object(),
        "prioritized",
        {"_target_": "lightning_dqn.replay.samplers.uniform.UniformSampling"},
        ReplayConfig(),
        UniformSampling,
        SimpleNamespace(pace=lambda asked: asked, gives_whole_targets=False),
        SimpleNamespace(make=lambda replay, upcoming: None, gives_whole_targets=False),
        SimpleNamespace(pace=lambda asked: asked, make=lambda replay, upcoming: None),
    ],
    ids=[
        "object",
        "name",
        "mapping",
        "config",
        "class",
        "no make",
        "no pace",
        "no gives_whole_targets",
    ],
)
def test_what_is_no_sampling_is_refused_with_what_would_be_one(unknown, make_data):
    for take in (as_sampling, lambda sampler: make_data(sampler=sampler)):
        with pytest.raises(ValueError, match=r"^sampler=") as refused:
            take(unknown)
        text = str(refused.value)
        assert repr(unknown) in text
        for sampling in OURS:
            assert f"{type(sampling).__name__}()" in text
        for needed in (
            "`pace`",
            "`make`",
            "`gives_whole_targets`",
            "lightning_dqn.replay.samplers.sampler.Sampling",
        ):
            assert needed in text


def test_each_sampling_of_ours_and_an_object_with_the_same_parts_is_taken_as_it_is():
    own = SimpleNamespace(pace=print, make=print, gives_whole_targets=False)
    for sampling in (*OURS, own):
        assert as_sampling(sampling) is sampling


# A user's own, under a Trainer


@dataclass(frozen=True)
class NewestTransitions:
    """Learns from the newest transitions only, in half as many updates as are asked for.

    Args:
        made: gets the sampler, so that the test can look at it.
    """

    gives_whole_targets: ClassVar[bool] = False

    made: list[NewestSampler] = field(default_factory=list)

    def pace(self, asked: Pace) -> Pace:
        """Return a pace of half the updates after a warm-up of 24 env steps."""
        return replace(
            asked, updates_per_iteration=asked.updates_per_iteration // 2, warmup_env_steps=24
        )

    def make(self, replay: ReplayBuffer, upcoming: Upcoming) -> NewestSampler:
        """Return the sampler."""
        self.made.append(NewestSampler(replay, upcoming))
        return self.made[-1]


class NewestSampler(Sampler):
    """Serves the newest starts, oldest first, and writes down all that it is called with."""

    uses_priorities = True

    def __init__(self, replay: ReplayBuffer, upcoming: Upcoming) -> None:
        super().__init__(replay)
        self.upcoming = upcoming
        self.called: list[tuple[Any, ...]] = []
        self.served: list[Tensor] = []
        self.following: list[np.ndarray] = []
        self.priorities: list[Tensor] = []

    def sample(
        self, num_updates: int, batch_size: int, env_steps: int, valuer: Valuer
    ) -> Transitions:
        """Return the newest U * B starts."""
        self.called.append((num_updates, batch_size, env_steps, valuer))
        cells = self.replay.start_cells()[-num_updates * batch_size :]
        transitions = self.replay.transitions_at(cells).unflatten(num_updates, batch_size)
        self.served += list(transitions.observation.clone())
        self.following.append(self.upcoming()[0].copy())
        return transitions

    def update_priorities(self, priority: Tensor) -> None:
        """Keep them."""
        self.priorities.append(priority.clone())


class KeepsPriorities(DQN):
    """Keeps what its training steps return."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.returned: list[Tensor] = []

    def training_step(self, iteration: Any, batch_idx: int) -> dict[str, Tensor]:
        returned = super().training_step(iteration, batch_idx)
        self.returned.append(returned["priority"].clone())
        return returned


def test_a_users_own_sampling_paces_a_fit_and_chooses_what_is_learned(
    make_trainer, make_data, make_module
):
    sampling, learned = NewestTransitions(), []
    module = without_target(make_module, kind=KeepsPriorities)
    module.after_update.append(lambda m: learned.append(m.minibatch.observation.clone()))
    data = make_data(sampler=sampling)
    assert data.sampling is sampling
    make_trainer().fit(module, data)
    (sampler,) = sampling.made
    assert sampler.called == [(2, 4, env_steps, module) for env_steps in (32, 40, 48)]
    assert module.updates == 6
    assert_all_equal(learned, sampler.served)
    assert_all_equal(module.returned, sampler.priorities)
    assert [shown.shape for shown in sampler.following] == [(8, 4)] * 3
    assert [p.shape for p in sampler.priorities] == [(2, 4)] * 3
    assert not torch.equal(learned[0], learned[1])


def assert_all_equal(some: list[Tensor], others: list[Tensor]) -> None:
    assert all(torch.equal(one, other) for one, other in zip(some, others, strict=True))
    assert len(some) > 0


# Ours, under a Trainer


SAMPLERS = {
    "uniform": {},
    "online": {"sampler": OnlineTransitions()},
    "a range of lengths": {"replay": ReplayConfig(1_000, n_step=[1, 4])},
    "prioritised": {"sampler": PrioritizedSampling()},
    "lambda-returns": {"sampler": LambdaReturns(rollout_length=4, minibatches=2)},
}


def weights_after(fit: Callable[[], DQN]) -> Tensor:
    return torch.nn.utils.parameters_to_vector(fit().q_network.parameters()).detach().clone()


@pytest.mark.parametrize("which", SAMPLERS)
def test_two_equal_runs_learn_the_same_weights(which, make_trainer, make_data, make_module):
    def fit(seed: int = 0) -> DQN:
        module = without_target(make_module)
        make_trainer().fit(module, make_data(seed=seed, **SAMPLERS[which]))
        return module

    first = weights_after(fit)
    assert torch.equal(first, weights_after(fit))
    assert not torch.equal(first, weights_after(lambda: fit(1)))
