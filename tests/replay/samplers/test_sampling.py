"""The samplers against naive twins, their frequencies and weights by hand, and under a Trainer."""

from __future__ import annotations

import itertools
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

sys.path.insert(0, str(Path(__file__).parent))
from support.naive_replay import NaiveReplay, NaiveTransition, Row, chunks, scripts_of_envs
from support.scripted_env import Scripts, episodes, scripted_rows, scripted_vector, spec_of

from lightning_dqn import DQN, CollectionConfig, ReplayDataModule
from lightning_dqn.collecting.collector import Collector
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.samplers.lambda_returns import LambdaReturns, LambdaReturnSampler
from lightning_dqn.replay.samplers.make import make_sampler
from lightning_dqn.replay.samplers.prioritized import PrioritizedSampler, PrioritizedSampling
from lightning_dqn.replay.samplers.sampler import Sampler
from lightning_dqn.replay.samplers.uniform import UniformSampler
from lightning_dqn.replay.storage import ReplayConfig
from lightning_dqn.replay.sum_tree import SumTree
from lightning_dqn.schedules import LinearSchedule
from lightning_dqn.transitions import NO_ACTION, Iteration, Transitions

Make = Callable[..., Any]


class RandomValues:
    """A learner that values every action of an observation differently and never learns."""

    num_actions = 4

    def greedy_value(self, observation: Tensor, action_mask: Tensor | None = None) -> Tensor:
        """Return the highest value of a legal action, float[M]."""
        flat = observation.flatten(1).float()
        place = flat @ torch.arange(1.0, flat.shape[1] + 1)
        q_values = torch.sin(place.unsqueeze(1) * torch.arange(1.0, self.num_actions + 1))
        if action_mask is not None:
            q_values = q_values.masked_fill(~action_mask, -torch.inf)
        return q_values.amax(dim=1)

    def act(self, observation: np.ndarray, action_mask: np.ndarray | None = None) -> np.ndarray:
        """Take the first action."""
        return np.zeros(len(observation), np.int64)

    def behaviour_policy(self) -> RandomValues:
        """Return itself: it never learns."""
        return self

    def of(self, observation: np.ndarray, action_mask: np.ndarray | None) -> float:
        """Return the value of one observation."""
        mask = None if action_mask is None else torch.from_numpy(action_mask)[None]
        return float(self.greedy_value(torch.from_numpy(observation)[None], mask))


def prioritized(
    scripts: Scripts,
    num_times: int,
    *,
    keeps: int | None = None,
    seed: int = 0,
    alpha: float = 1.0,
    beta: Any = 1.0,
    epsilon: float = 1e-6,
    **config: Any,
) -> PrioritizedSampler:
    """Return a sampler over a ring that kept the last ``keeps`` of ``num_times`` rows."""
    num_envs, keeps = len(scripts), keeps or num_times
    ring = ReplayBuffer(
        spec_of(), num_envs, ReplayConfig(keeps * num_envs, **config), device="cpu", seed=seed
    )
    sampler = PrioritizedSampler(ring, PrioritizedSampling(alpha, beta, epsilon))
    for part in chunks(scripted_rows(scripts, num_times, spec_of()), [keeps]):
        ring.extend(part)
    return sampler


def draw(sampler: Sampler, num_updates: int, batch_size: int, env_steps: int = 0) -> Transitions:
    return sampler.sample(num_updates, batch_size, env_steps, RandomValues())


def set_priorities(sampler: PrioritizedSampler, priority_of_step: Callable[[int], float]) -> None:
    """Give every start the priority of its step, through samples that hold them all."""
    for _ in range(20):
        steps = draw(sampler, 1, 4 * sampler.replay.num_starts).observation[..., -1]
        sampler.update_priorities(steps.double().apply_(lambda step: priority_of_step(int(step))))
        if len(steps.unique()) == sampler.replay.num_starts:
            return
    raise AssertionError("some start was never drawn")


def chi_square_is_small(counts: Tensor, expected: Tensor) -> bool:
    freedom = len(counts) - 1
    chi_square = ((counts - expected) ** 2 / expected).sum().item()
    return abs(chi_square - freedom) < 4 * (2 * freedom) ** 0.5


# Prioritised: the twin


class NaivePriorities:
    """Priorities in a dict from the time and environment of a start."""

    def __init__(self, replay: NaiveReplay, alpha: float, epsilon: float) -> None:
        self.replay = replay
        self.alpha = alpha
        self.epsilon = epsilon
        self.largest = 1.0
        self.priorities: dict[tuple[int, int], float] = {}

    def follow(self) -> None:
        """Forget what is no start any more, and give new starts the largest so far."""
        starts = [self._place(cell) for cell in self.replay.starts()]
        self.priorities = {place: self.priorities.get(place, self.largest) for place in starts}

    def by_cell(self) -> dict[int, float]:
        """Return the priority of every start by its cell."""
        return {cell: self.priorities[self._place(cell)] for cell in self.replay.starts()}

    def update(self, cells: Sequence[int], priority: Sequence[float]) -> None:
        """Take new priorities; the largest of a cell that comes more than once holds."""
        values: dict[int, list[float]] = {}
        for cell, size in zip(cells, priority, strict=True):
            size = abs(size) if np.isfinite(size) else 0.0
            values.setdefault(cell, []).append((size + self.epsilon) ** self.alpha)
        for cell, of_cell in values.items():
            self.priorities[self._place(cell)] = max(of_cell)
            self.largest = max(self.largest, *of_cell)

    def weights(self, cells: Sequence[int], beta: float) -> list[float]:
        """Return the importance weights of one minibatch."""
        by_cell = self.by_cell()
        total = sum(by_cell.values())
        raw = [(len(by_cell) * by_cell[cell] / total) ** -beta for cell in cells]
        return [weight / max(raw) for weight in raw]

    def _place(self, cell: int) -> tuple[int, int]:
        return self.replay.time_of(cell), cell % self.replay.num_envs


def assert_transition_is(
    transitions: Transitions, at: tuple[int, int], expected: NaiveTransition
) -> None:
    for name, value in expected._asdict().items():
        if name == "weight":
            continue
        column = getattr(transitions, name)
        if value is None:
            assert column is None
        else:
            np.testing.assert_allclose(column[at].numpy(), value, rtol=1e-6, atol=1e-6)


sizes_of_priorities = st.lists(
    st.one_of(
        st.floats(-100, 100, width=32),
        st.sampled_from([0.0, 1e-12, 1e12, float("nan"), float("inf"), -float("inf")]),
    ),
    min_size=10,
    max_size=10,
)


@settings(max_examples=150, deadline=None)
@given(
    scripts=scripts_of_envs,
    num_times=st.integers(1, 40),
    room=st.integers(1, 14),
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=4),
    updates=st.lists(st.none() | sizes_of_priorities, min_size=1, max_size=5),
    alpha=st.sampled_from([0.0, 0.5, 1.0]),
    beta=st.sampled_from([0.0, 0.5, 1.0]),
    frame_stack=st.integers(1, 3),
    masked=st.booleans(),
)
def test_priorities_and_weights_are_those_of_the_naive_twin(
    scripts, num_times, room, sizes, updates, alpha, beta, frame_stack, masked
):
    num_envs, kept, epsilon = len(scripts), frame_stack + room, 0.01
    spec = spec_of(masked=masked, frame_stack=frame_stack)
    ring = ReplayBuffer(spec, num_envs, ReplayConfig(max(2, kept * num_envs), gamma=0.9))
    sampler = PrioritizedSampler(ring, PrioritizedSampling(alpha, beta, epsilon))
    naive_ring = NaiveReplay(num_envs, kept, gamma=0.9, n_step=1, frame_stack=frame_stack)
    twin = NaivePriorities(naive_ring, alpha, epsilon)
    parts = chunks(scripted_rows(scripts, num_times, spec), [min(s, kept) for s in sizes])
    for number, part in enumerate(parts):
        ring.extend(part)
        naive_ring.extend(part)
        twin.follow()
        assert_priorities_are_equal(sampler, twin)
        priority = updates[number % len(updates)]
        if priority is None or not ring.num_starts:
            continue
        transitions = draw(sampler, 2, 5)
        cells = sampler._drawn.tolist()
        starts = naive_ring.starts()
        for i, cell in enumerate(cells):
            assert_transition_is(transitions, divmod(i, 5), starts[cell])
        expected = [twin.weights(cells[:5], beta), twin.weights(cells[5:], beta)]
        np.testing.assert_allclose(transitions.weight, expected, rtol=1e-5)
        sampler.update_priorities(torch.tensor(priority, dtype=torch.float64).view(2, 5))
        twin.update(cells, priority)
        assert_priorities_are_equal(sampler, twin)


def assert_priorities_are_equal(sampler: PrioritizedSampler, twin: NaivePriorities) -> None:
    by_cell = twin.by_cell()
    stored = sampler.tree[:].tolist()
    positive = [cell for cell, priority in enumerate(stored) if priority > 0]
    assert positive == sorted(by_cell) == sorted(sampler.replay.start_cells().tolist())
    assert [stored[cell] for cell in positive] == pytest.approx([by_cell[c] for c in positive])


# Prioritised: priorities


def test_new_starts_have_the_largest_priority_there_has_been():
    sampler = prioritized([episodes(100)], 6, keeps=20)
    set_priorities(sampler, lambda step: 8.0 if step == 2 else 0.5)
    set_priorities(sampler, lambda step: 0.5)
    sampler.replay.extend(chunks(scripted_rows([episodes(100)], 8, spec_of()), [6, 2])[1])
    assert sampler.tree[:8].tolist() == pytest.approx([0.5] * 5 + [8.0] * 2 + [0.0], abs=1e-5)


def test_the_largest_of_a_transition_drawn_twice_holds():
    sampler = prioritized([episodes(100)], 2, keeps=20)
    draw(sampler, 1, 3)
    sampler.update_priorities(torch.tensor([[1.0, 5.0, 2.0]]))
    assert sampler.tree[0].item() == pytest.approx(5.0, abs=1e-5)


def test_the_newest_rows_are_drawn_only_once_they_have_a_successor():
    rows = scripted_rows([episodes(100)] * 2, 4, spec_of())
    ring = ReplayBuffer(spec_of(), 2, ReplayConfig(10))
    sampler = PrioritizedSampler(ring, PrioritizedSampling())
    for number, part in enumerate(chunks(rows, [1])):
        ring.extend(part)
        if number == 0:
            with pytest.raises(ValueError, match="holds no transition yet"):
                draw(sampler, 1, 1)
        else:
            steps = draw(sampler, 1, 40).observation[..., 2]
            assert steps.unique().tolist() == list(range(number))


def test_priorities_of_what_was_overwritten_since_are_refused():
    sampler = prioritized([episodes(100)], 6, keeps=20)
    draw(sampler, 1, 4)
    sampler.replay.extend(scripted_rows([episodes(100)], 1, spec_of()))
    with pytest.raises(AssertionError, match="sample comes first"):
        sampler.update_priorities(torch.ones(1, 4))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_priority_that_is_not_finite_counts_as_0_and_poisons_nothing(bad):
    sampler = prioritized([episodes(100)], 6, epsilon=0.25, alpha=0.5)
    for _ in range(20):
        draw(sampler, 2, 10)
        sampler.update_priorities(torch.full((2, 10), bad))
    assert sampler.tree[:].tolist() == [0.5] * 5 + [0.0]
    assert sampler._largest == 1.0
    weight = draw(sampler, 2, 10).weight
    assert weight is not None
    assert torch.equal(weight, torch.ones(2, 10))


def test_a_priority_of_half_precision_is_taken():
    sampler = prioritized([episodes(100)], 2)
    draw(sampler, 1, 3)
    sampler.update_priorities(torch.full((1, 3), 2.0, dtype=torch.bfloat16))
    assert sampler.tree[0].item() == pytest.approx(2.0, abs=1e-5)


# Prioritised: frequencies and weights


@pytest.mark.parametrize(
    ("beta", "by_hand"),
    [
        (0.0, {0: 1.0, 1: 1.0, 2: 1.0}),
        (0.5, {0: 1, 1: 0.5**0.5, 2: 0.5}),
        (1.0, {0: 1, 1: 0.5, 2: 0.25}),
    ],
)
def test_weights_by_hand_and_the_largest_of_each_minibatch_is_1(beta, by_hand):
    """Priorities 1, 2 and 4 make weights of 1, 2^-beta and 4^-beta over the minibatch's largest."""
    sampler = prioritized([episodes(100)], 4, beta=beta, epsilon=0.5)
    set_priorities(sampler, lambda step: 2.0**step - 0.5)
    transitions = draw(sampler, 50, 2)
    weight, steps = transitions.weight, transitions.observation[..., 2]
    assert weight is not None
    assert (weight.dtype, weight.shape) == (torch.float32, (50, 2))
    assert torch.equal(weight.amax(dim=1), torch.ones(50))
    expected = torch.tensor([[by_hand[int(step)] for step in pair] for pair in steps])
    expected = expected / expected.amax(dim=1, keepdim=True)
    torch.testing.assert_close(weight, expected.float())
    assert len({tuple(pair) for pair in steps.tolist()}) > 2, "minibatches of several kinds"


def test_beta_follows_its_schedule_over_env_steps():
    sampler = prioritized([episodes(100)], 4, beta=LinearSchedule(0, 1, 100), epsilon=0.5)
    set_priorities(sampler, lambda step: 2.0**step - 0.5)
    for env_steps, smallest in [(0, 1.0), (50, 0.5), (100, 0.25), (1_000, 0.25)]:
        weight = draw(sampler, 1, 50, env_steps).weight
        assert weight is not None
        assert weight.min().item() == pytest.approx(smallest)


def counts_of_single_draws(sampler: PrioritizedSampler, draws: int) -> Tensor:
    """Return how often each start comes in minibatches of one: no stratum narrows the chance."""
    draw(sampler, draws, 1)
    cells = sampler._drawn
    assert cells is not None
    return torch.bincount(cells, minlength=sampler.tree.size)[sampler.replay.start_cells()]


def test_alpha_0_is_uniform_over_starts():
    sampler = prioritized([episodes(1, 4), episodes(7)], 57, keeps=29, alpha=0.0, seed=3)
    for _ in range(3):
        transitions = draw(sampler, 4, 20)
        sampler.update_priorities(transitions.observation[..., 2])
    counts = counts_of_single_draws(sampler, 20_000)
    assert chi_square_is_small(counts, torch.full((len(counts),), 20_000 / len(counts)))
    weight = draw(sampler, 2, 20).weight
    assert weight is not None
    assert torch.equal(weight, torch.ones(2, 20))


@pytest.mark.parametrize("alpha", [0.6, 1.0])
def test_the_frequency_is_proportional_to_the_priority_to_the_power_of_alpha(alpha):
    sampler = prioritized([episodes(100)], 13, alpha=alpha, seed=1)
    set_priorities(sampler, lambda step: float(step + 1))
    share = torch.arange(1.0, 13.0) ** alpha
    counts = counts_of_single_draws(sampler, 20_000)
    assert chi_square_is_small(counts, 20_000 * share / share.sum())


def test_weights_of_beta_1_undo_the_bias_up_to_the_largest():
    """Over all minibatches in which the rarest start is, they are divided by the same."""
    sampler = prioritized([episodes(100)], 13)
    set_priorities(sampler, lambda step: float(step + 1) ** 2)
    transitions = draw(sampler, 1, 50_000)
    steps, weight = transitions.observation[0, :, 2], transitions.weight
    assert weight is not None
    share = torch.arange(1.0, 13.0) ** 2
    largest = share.sum() / (12 * share.min())
    for function in (torch.ones_like, torch.sqrt, torch.square):
        uniform = function(torch.arange(12.0)).mean()
        estimate = (weight[0] * function(steps)).mean() * largest
        torch.testing.assert_close(estimate, uniform, rtol=0.01, atol=0.0)
    biased = steps.square().mean()
    assert biased > 1.5 * torch.arange(12.0).square().mean()


# Prioritised: what may stall an accelerator


class NothingIsReadBack(TorchDispatchMode):
    """Fails on operations whose result, or its shape, an accelerator must be waited for."""

    waits = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "unique")

    seen = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen += 1
        name = func.overloadpacket.__name__
        assert not name.startswith(self.waits), f"{name} waits for its tensor"
        if name.startswith("index"):
            indices = [i for a in args if isinstance(a, list) for i in a if i is not None]
            assert all(i.dtype != torch.bool for i in indices), "a mask's shape must be waited for"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "reads_back",
    [lambda t: t.sum().item(), lambda t: bool(t.any()), lambda t: t[t > 0], lambda t: t.nonzero()],
)
def test_the_guard_notices_what_is_read_back(reads_back):
    with NothingIsReadBack(), pytest.raises(AssertionError, match="wait"):
        reads_back(torch.arange(3.0))


@pytest.mark.parametrize("n_step", [1, 3, [1, 3]])
def test_prioritised_sampling_reads_nothing_back(n_step):
    spec = spec_of(masked=True, frame_stack=3)
    ring = ReplayBuffer(spec, 2, ReplayConfig(20, n_step=n_step))
    sampler = PrioritizedSampler(ring, PrioritizedSampling())
    rows = chunks(scripted_rows([episodes(3), episodes(5)], 40, spec), [3])
    ring.extend(rows[0])
    for part in rows[1:]:
        with NothingIsReadBack() as guard:
            draw(sampler, 2, 4)
            sampler.update_priorities(torch.rand(2, 4))
            ring.extend(part)
        assert guard.seen > 20, "the guard saw every operation and let it pass"


# Lambda-returns: the twin


class NaiveReturns:
    """Lambda-returns by recursion along the episodes that the naive ring remembers."""

    def __init__(self, replay: NaiveReplay, trace: float) -> None:
        self.replay = replay
        self.trace = trace
        self.values = RandomValues()
        self.newest_before = -1

    def rollout(self) -> dict[tuple[float, ...], tuple[int, float]]:
        """Return action and target by the newest frame of each row since the last call.

        The row that was the newest then belongs to them: only now its successor is known.
        """
        first, self.newest_before = self.newest_before, self.replay.now - 1
        return {
            tuple(row.observation.tolist()): (int(row.action), self._target(episode, i))
            for of_env in self.replay.episodes
            for episode in of_env
            for i, row in enumerate(episode)
            if row.action != NO_ACTION and first <= row.time < self.replay.now - 1
        }

    def _target(self, episode: list[Row], i: int) -> float:
        row, after = episode[i], episode[i + 1]
        value = self.values.of(self.replay.stack(episode, i + 1), after.action_mask)
        ends = row.terminated or row.truncated
        assert ends == (after.action == NO_ACTION)
        if not ends and after.time < self.replay.now - 1:
            value = (1 - self.trace) * value + self.trace * self._target(episode, i + 1)
        discount = 0.0 if row.terminated else self.replay.gamma
        return float(row.reward) + discount * value


def served(transitions: Transitions, update: int) -> list[tuple[tuple[float, ...], int, float]]:
    """Return the newest frame, action and target of one minibatch's rows."""
    observation = transitions.observation[update].flatten(1)[:, -3:]
    columns = (observation, transitions.action[update], transitions.reward[update])
    frames, actions, targets = (column.tolist() for column in columns)
    return [(tuple(f), a, t) for f, a, t in zip(frames, actions, targets, strict=True)]


@settings(max_examples=100, deadline=None)
@given(
    scripts=scripts_of_envs,
    rollouts=st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=3), min_size=1, max_size=5),
    gamma=st.sampled_from([0.9, -1.0, -0.5]),
    trace=st.sampled_from([0.0, 0.65, 1.0]),
    frame_stack=st.integers(1, 3),
    masked=st.booleans(),
)
def test_rollouts_and_lambda_returns_are_those_of_the_naive_twin(
    scripts, rollouts, gamma, trace, frame_stack, masked
):
    """A ring of the longest rollout, the row before it and that row's stack is large enough."""
    num_envs, epochs = len(scripts), 2
    kept = max(map(sum, rollouts)) + frame_stack
    spec = spec_of(masked=masked, frame_stack=frame_stack)
    ring = ReplayBuffer(spec, num_envs, ReplayConfig(max(2, kept * num_envs), gamma=gamma))
    sampler = LambdaReturnSampler(ring, LambdaReturns(trace))
    naive_ring = NaiveReplay(num_envs, kept, gamma=gamma, n_step=1, frame_stack=frame_stack)
    twin = NaiveReturns(naive_ring, trace)
    parts = iter(chunks(scripted_rows(scripts, 90, spec), [*itertools.chain(*rollouts)]))
    for rollout in rollouts:
        for part in [next(parts) for _ in rollout]:
            ring.extend(part)
            naive_ring.extend(part)
        expected = twin.rollout()
        if not expected:
            with pytest.raises(ValueError, match="holds no transition yet"):
                draw(sampler, 1, 1)
            continue
        transitions = draw(sampler, epochs, len(expected))
        assert transitions.next_observation is transitions.weight is None
        assert not transitions.discount.any()
        for epoch in range(epochs):
            found = {
                place: (action, target) for place, action, target in served(transitions, epoch)
            }
            assert found.keys() == expected.keys(), "each start exactly once"
            for place, (action, target) in expected.items():
                assert found[place] == (action, pytest.approx(target, abs=1e-4))


# Lambda-returns: order and kinds


def rollout_sampler(num_times: int, num_envs: int = 2, **config: Any) -> LambdaReturnSampler:
    ring = ReplayBuffer(spec_of(), num_envs, ReplayConfig(100, **config))
    sampler = LambdaReturnSampler(ring, LambdaReturns())
    ring.extend(scripted_rows([episodes(100)] * num_envs, num_times, spec_of()))
    return sampler


def test_epochs_are_shuffled_each_on_its_own():
    transitions = draw(rollout_sampler(21), 3, 40)
    orders = [[place for place, _, _ in served(transitions, epoch)] for epoch in range(3)]
    assert orders[0] != orders[1] != orders[2] != orders[0]
    assert orders[0] != sorted(orders[0])
    assert set(orders[0]) == set(orders[1]) == set(orders[2])


def test_minibatches_of_an_epoch_are_parts_of_one_permutation():
    transitions = draw(rollout_sampler(21), 8, 10)
    places = [place for update in range(8) for place, _, _ in served(transitions, update)]
    assert set(Counter(places[:40]).values()) == {1}
    assert set(Counter(places[40:]).values()) == {1}


def test_columns_of_a_rollout_have_the_types_the_learner_relies_on():
    transitions = draw(rollout_sampler(21), 2, 5)
    assert transitions.observation.shape == (2, 5, 3)
    for name, dtype in (
        ("action", torch.int64),
        ("reward", torch.float32),
        ("discount", torch.float32),
    ):
        column = getattr(transitions, name)
        assert (column.dtype, column.shape) == (dtype, (2, 5))
        assert not column.is_inference()


# Settings


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        (PrioritizedSampling, "alpha", -0.1),
        (PrioritizedSampling, "alpha", 1.1),
        (PrioritizedSampling, "beta", -0.1),
        (PrioritizedSampling, "beta", 2),
        (PrioritizedSampling, "epsilon", 0.0),
        (LambdaReturns, "trace", 1.1),
        (LambdaReturns, "trace", -0.1),
        (LambdaReturns, "rollout_length", 0),
        (LambdaReturns, "epochs", 0),
        (LambdaReturns, "minibatches", 0),
    ],
)
def test_a_setting_that_means_nothing_is_refused_by_name(kind, key, value):
    with pytest.raises(ValueError, match=f"{key}="):
        kind(**{key: value})


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        (None, UniformSampler),
        (PrioritizedSampling(), PrioritizedSampler),
        (LambdaReturns(), LambdaReturnSampler),
    ],
)
def test_a_configuration_makes_its_sampler(config, kind):
    sampler = make_sampler(ReplayBuffer(spec_of(), 1, ReplayConfig(10)), config)
    assert type(sampler) is kind
    assert sampler.uses_priorities == (kind is PrioritizedSampler)


@pytest.mark.parametrize("config", [None, LambdaReturns()])
def test_a_sampler_without_priorities_refuses_them(config):
    sampler = make_sampler(ReplayBuffer(spec_of(), 1, ReplayConfig(10)), config)
    with pytest.raises(RuntimeError, match="keeps no priorities"):
        sampler.update_priorities(torch.ones(1, 1))


# Under a Trainer


class OnBatch(pl.Callback):
    """Calls a function with the data module and the iteration, before or after it was learned."""

    def __init__(self, *, before: Callable[..., None] | None = None, after: Any = None) -> None:
        self.before = before
        self.after = after

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, index: int) -> None:
        if self.before is not None:
            self.before(trainer.datamodule, batch)

    def on_train_batch_end(
        self, trainer: Any, module: Any, outputs: Any, batch: Any, index: int
    ) -> None:
        if self.after is not None:
            self.after(trainer.datamodule, batch)


SAMPLERS = {
    "uniform": {},
    "a range of lengths": {"replay": ReplayConfig(1_000, n_step=[1, 4])},
    "prioritised": {"sampler": PrioritizedSampling()},
    "lambda-returns": {"sampler": LambdaReturns(rollout_length=4, minibatches=2)},
}


TREE_METHODS = ("fill", "update", "sample", "__getitem__")


def without_target(make_module: Make, **arguments: Any) -> DQN:
    return make_module(double=False, target_network=False, **arguments)


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


def test_a_collecting_thread_never_touches_the_priorities(
    make_trainer, make_data, make_module, monkeypatch
):
    threads: dict[str, set[str]] = {}

    def noted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            threads.setdefault(name, set()).add(threading.current_thread().name)
            return function(*args, **kwargs)

        return call

    for name in TREE_METHODS:
        monkeypatch.setattr(SumTree, name, noted(name, getattr(SumTree, name)))
    monkeypatch.setattr(Collector, "collect", noted("collect", Collector.collect))
    data = make_data(overlap=True, sampler=PrioritizedSampling())
    make_trainer().fit(without_target(make_module), data)
    main = threading.current_thread().name
    assert "collector_0" in threads.pop("collect")
    assert all(of_tree == {main} for of_tree in threads.values())
    assert threads.keys() == {*TREE_METHODS}


def test_overlap_changes_no_priority_where_the_policy_stays_the_same(
    make_trainer, make_data, make_module
):
    """With a learning rate of 0 the older weights act alike, so all priorities must agree."""

    def trees(*, overlap: bool) -> list[Tensor]:
        seen = []
        module = without_target(make_module, optimizer=lambda p: torch.optim.SGD(p, lr=0.0))
        after = OnBatch(after=lambda data, _: seen.append(data.sampler.tree[:].clone()))
        make_trainer(callbacks=[after]).fit(
            module, make_data(overlap=overlap, sampler=PrioritizedSampling())
        )
        return seen

    plain, overlapped = trees(overlap=False), trees(overlap=True)
    assert len(plain) == 3
    assert all(torch.equal(one, other) for one, other in zip(plain, overlapped, strict=True))
    assert not torch.equal(plain[0], plain[1])


def test_td_errors_become_the_priorities_of_what_was_drawn(make_trainer, make_data, make_module):
    """With a learning rate of 0 each |TD error| can be had again after the iteration."""
    compared = []

    def compare(data: ReplayDataModule, iteration: Any) -> None:
        sampler = data.sampler
        assert isinstance(sampler, PrioritizedSampler)
        flat = Transitions(*(None if c is None else c.flatten(0, 1) for c in iteration.transitions))
        error = module.loss(flat).td_error.abs().double()
        expected = (error + sampler.config.epsilon) ** sampler.config.alpha
        torch.testing.assert_close(sampler.tree[sampler._drawn], expected, rtol=1e-4, atol=1e-6)
        compared.append(len(expected))

    module = without_target(make_module, optimizer=lambda p: torch.optim.SGD(p, lr=0.0))
    trainer = make_trainer(callbacks=[OnBatch(after=compare)])
    trainer.fit(module, make_data(sampler=PrioritizedSampling()))
    assert compared == [16, 16, 16]


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


def test_overlap_is_refused_with_lambda_returns(make_data):
    with pytest.raises(ValueError, match="overlap=True: lambda-returns"):
        make_data(overlap=True, sampler=LambdaReturns())


def test_a_rollout_sets_the_sizes_of_an_iteration():
    sampler = LambdaReturns(rollout_length=10, epochs=3, minibatches=4)
    environment = EnvironmentFactory("CartPole-v1", num_envs=6)
    data = ReplayDataModule(environment, sampler=sampler)
    sizes = (data.env_steps_per_iteration, data.updates_per_iteration, data.batch_size)
    assert sizes == (60, 12, 15)
    assert data.replay_config.capacity >= 6 * 23


@pytest.mark.parametrize(
    "scripts",
    [
        pytest.param([episodes(1)], id="one"),
        pytest.param([episodes(1), episodes(1), episodes(1)], id="all short"),
        pytest.param([episodes(1), episodes(40)], id="short and long"),
        pytest.param([episodes(1)] * 5 + [episodes(40)], id="many short and a long"),
        pytest.param([episodes(2), episodes(3, 1), episodes(7)], id="uneven"),
    ],
)
@pytest.mark.parametrize("rollout_length", [1, 2, 5])
@pytest.mark.parametrize("frame_stack", [1, 4, 6])
def test_no_step_is_lost_between_rollouts(scripts, rollout_length, frame_stack, tmp_path):
    """Every step is learned from in exactly one iteration, with its whole frame stack."""
    environment = EnvironmentFactory(scripted_vector(scripts), frame_stack=frame_stack)
    sampler = LambdaReturns(rollout_length=rollout_length, epochs=4, minibatches=1)
    data = ReplayDataModule(
        environment,
        sampler=sampler,
        env_steps_per_epoch=12 * rollout_length * len(scripts),
        collection=CollectionConfig(warmup_env_steps=0),
    )
    times_served: Counter[tuple[int, ...]] = Counter()

    for iteration in iterations_of(data, RandomValues(), tmp_path):
        observation = iteration.transitions.observation.flatten(0, 1).int()
        stacks = observation if frame_stack > 1 else observation.unsqueeze(1)
        for stack in {tuple(map(tuple, stack)) for stack in stacks.tolist()}:
            env, episode, step = stack[-1]
            steps = [max(0, step - back) for back in range(frame_stack)][::-1]
            assert stack == tuple((env, episode, step) for step in steps)
            times_served[stack[-1]] += 1
    assert set(times_served.values()) == {1}
    for env, script in enumerate(scripts):
        steps = sorted(place[1:] for place in times_served if place[0] == env)
        assert steps == first_steps(script, len(steps))


def iterations_of(data: ReplayDataModule, learner: Any, folder: Path) -> Iterator[Iteration]:
    """Yield an epoch of iterations that ``learner`` acts in, without a Trainer's delays."""
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    data.trainer = SimpleNamespace(  # type: ignore[assignment]
        lightning_module=learner, strategy=strategy, default_root_dir=folder
    )
    data.setup("fit")
    yield from data.train_dataloader()
    data.teardown("fit")


def first_steps(script: Any, number: int) -> list[tuple[int, int]]:
    """Return (episode, step) of the first steps that a script plays.

    Episode 0 is lost: the environment is reset once to describe it.
    """
    steps: list[tuple[int, int]] = []
    episode = 1
    while len(steps) < number:
        length = len(script[episode % len(script)].rewards)
        steps += [(episode, step) for step in range(length)]
        episode += 1
    return steps[:number]
