"""Prioritised sampling against its naive twin, by hand, and what a fit makes of priorities."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.drawing import draw
from support.naive_replay import NaiveReplay, assert_transition_is, chunks, scripts_of_envs
from support.paces import asked
from support.scripted_env import Scripts, episodes, scripted_rows, spec_of
from support.short_fits import OnBatch, without_target
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lightning_dqn import ReplayDataModule
from lightning_dqn.collecting.collector import Collector
from lightning_dqn.extra_columns import INITIAL_PRIORITY, PRIORITY_COLUMN
from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.samplers.prioritized import PrioritizedSampler, PrioritizedSampling
from lightning_dqn.replay.storage import ReplayConfig
from lightning_dqn.replay.sum_tree import SumTree
from lightning_dqn.schedules import LinearSchedule
from lightning_dqn.system import devices
from lightning_dqn.system.faults import NonFiniteError
from lightning_dqn.transitions import Transitions


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


# The twin


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
            values.setdefault(cell, []).append((abs(size) + self.epsilon) ** self.alpha)
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


sizes_of_priorities = st.lists(
    st.one_of(
        st.floats(-100, 100, width=32),
        st.sampled_from([0.0, 1e-12, 1e12]),
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


# Priorities


def test_new_starts_have_the_largest_priority_there_has_been():
    sampler = prioritized([episodes(100)], 6, keeps=20)
    set_priorities(sampler, lambda step: 8.0 if step == 2 else 0.5)
    set_priorities(sampler, lambda step: 0.5)
    sampler.replay.extend(chunks(scripted_rows([episodes(100)], 8, spec_of()), [6, 2])[1])
    assert sampler.tree[:8].tolist() == pytest.approx([0.5] * 5 + [8.0] * 2 + [0.0], abs=1e-5)


def test_new_starts_have_the_priority_with_which_their_row_came():
    columns = {INITIAL_PRIORITY: PRIORITY_COLUMN}
    ring = ReplayBuffer(spec_of(), 1, ReplayConfig(20), extra_columns=columns)
    sampler = PrioritizedSampler(ring, PrioritizedSampling(0.5, 1.0, 1e-9))
    sent = np.array([4.0, -1.0, 9.0, np.nan, np.inf, 0.0, 16.0, 25.0], np.float32)
    rows = scripted_rows([episodes(100)], 8, spec_of())
    rows = rows._replace(extra={INITIAL_PRIORITY: sent[:, None]})
    for part in (slice(0, 2), slice(2, 7)):
        ring.extend(rows.each(lambda column, part=part: column[part]))  # type: ignore[misc]
    # The largest so far, 2 and then 4, where none is known; the newest has no successor yet.
    expected = [2.0, 2.0, 3.0, 4.0, 4.0, 0.0, 0.0, 0.0]
    assert sampler.tree[:8].tolist() == pytest.approx(expected, abs=1e-4)
    ring.extend(rows.each(lambda column: column[7:]))
    assert sampler.tree[5:8].tolist() == pytest.approx([0.0, 4.0, 0.0], abs=1e-4)
    draw(sampler, 1, 3)
    sampler.update_priorities(torch.full((1, 3), 36.0))
    assert sampler.tree[:8].max().item() == pytest.approx(6.0)


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
def test_a_priority_that_is_not_finite_is_refused_and_poisons_nothing(bad):
    sampler = prioritized([episodes(100)], 6)
    draw(sampler, 2, 10)
    before = sampler.tree[:].clone()
    priority = torch.ones(2, 10)
    priority[1, 3] = bad
    with pytest.raises(NonFiniteError, match=r"a priority that came back .* isn't finite"):
        sampler.update_priorities(priority)
    assert torch.equal(sampler.tree[:], before)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_on_an_accelerator_it_counts_as_0_until_a_checkpoint_tells_of_it(bad, monkeypatch):
    monkeypatch.setattr(devices, "is_read_freely", lambda _: False)
    sampler = prioritized([episodes(100)], 6, epsilon=0.25, alpha=0.5)
    sampler.state_dict()
    for _ in range(20):
        draw(sampler, 2, 10)
        sampler.update_priorities(torch.full((2, 10), bad))
    with pytest.raises(NonFiniteError):
        sampler.state_dict()
    assert sampler.state_dict()["largest"] == 1.0, "told once"
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


# Frequencies and weights


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


# What may stall an accelerator


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
@pytest.mark.parametrize("sent", [False, True], ids=["", "with_initial_priorities"])
def test_prioritised_sampling_reads_nothing_back(n_step, sent, monkeypatch):
    monkeypatch.setattr(devices, "is_read_freely", lambda _: False)
    spec = spec_of(masked=True, frame_stack=3)
    columns = {INITIAL_PRIORITY: PRIORITY_COLUMN} if sent else {}
    ring = ReplayBuffer(spec, 2, ReplayConfig(20, n_step=n_step), extra_columns=columns)
    sampler = PrioritizedSampler(ring, PrioritizedSampling())
    all_rows = scripted_rows([episodes(3), episodes(5)], 40, spec)
    if sent:
        all_rows = all_rows._replace(extra={INITIAL_PRIORITY: all_rows.reward.copy()})
    rows = [all_rows.each(itemgetter(slice(at, at + 3))) for at in range(0, 40, 3)]
    ring.extend(rows[0])
    for part in rows[1:]:
        with NothingIsReadBack() as guard:
            draw(sampler, 2, 4)
            sampler.update_priorities(torch.rand(2, 4))
            ring.extend(part)
        assert guard.seen > 20, "the guard saw every operation and let it pass"


# Settings and pace


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("alpha", -0.1),
        ("alpha", 1.1),
        ("beta", -0.1),
        ("beta", 2),
        ("epsilon", 0.0),
    ],
)
def test_a_setting_that_means_nothing_is_refused_by_name(key, value):
    with pytest.raises(ValueError, match=f"{key}="):
        PrioritizedSampling(**{key: value})


@pytest.mark.parametrize(("wanted", "given"), [(0, 12), (11, 12), (12, 12), (13, 13), (500, 500)])
def test_the_pace_is_the_one_asked_for_with_two_rows_of_each_environment_before_it(wanted, given):
    wish = asked(num_envs=6, warmup_env_steps=wanted, overlap=True, n_step=[1, 3])
    assert PrioritizedSampling().pace(wish) == replace(wish, warmup_env_steps=given)


# What a continued run needs


def full_ring(*, learns: bool, is_told: bool = True) -> PrioritizedSampler:
    """Return a sampler over a ring that has wrapped.

    Args:
        learns: its priorities were changed on the way.
        is_told: it followed the writes; else the rows lie there without its knowledge.
    """
    ring = ReplayBuffer(spec_of(), 2, ReplayConfig(26))
    sampler = PrioritizedSampler(ring, PrioritizedSampling(alpha=0.5, beta=0.5))
    told = ring.after_write[:]
    if not is_told:
        ring.after_write.clear()
    for part in chunks(scripted_rows([episodes(3), episodes(5)], 40, spec_of()), [5]):
        ring.extend(part)
        if learns:
            sampler.update_priorities(draw(sampler, 2, 8).observation[..., 2] + 7.0)
    ring.after_write[:] = told
    return sampler


@pytest.mark.parametrize("is_told", [True, False])
def test_a_fresh_sampler_that_takes_the_state_goes_on_as_the_first(is_told, tmp_path):
    first, fresh = full_ring(learns=True), full_ring(learns=False, is_told=is_told)
    assert not torch.equal(first.tree[:], fresh.tree[:])
    torch.save(first.state_dict(), tmp_path / "state")
    fresh.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    fresh.replay.load_state_dict(first.replay.state_dict(with_rows=False))
    more = chunks(scripted_rows([episodes(3), episodes(5)], 60, spec_of()), [40, *[4] * 5])[1:]
    for part in more:
        assert_trees_are_equal(first.tree, fresh.tree)
        drawn, again = draw(first, 2, 8), draw(fresh, 2, 8)
        assert torch.equal(first._drawn, fresh._drawn)
        assert torch.equal(drawn.weight, again.weight)
        assert torch.equal(drawn.observation, again.observation)
        for sampler in (first, fresh):
            sampler.update_priorities(drawn.observation[..., 2] + 1.0)
            sampler.replay.extend(part)
    assert len(more) == 5
    assert_trees_are_equal(first.tree, fresh.tree)


def assert_trees_are_equal(one: SumTree, other: SumTree) -> None:
    assert torch.equal(one[:], other[:])
    assert torch.equal(one._sums, other._sums)
    assert one.total > 0


def test_a_state_stays_as_it_was_saved():
    sampler = full_ring(learns=True)
    state, priorities = sampler.state_dict(), sampler.tree[:].clone()
    sampler.update_priorities(torch.full((2, 8), 1e6))
    assert not torch.equal(sampler.tree[:], priorities)
    sampler.load_state_dict(state)
    assert torch.equal(sampler.tree[:], priorities)
    assert sampler.state_dict()["largest"] == state["largest"] == pytest.approx(11**0.5)


def test_what_was_drawn_before_a_state_is_taken_gets_no_priorities_after():
    sampler = full_ring(learns=True)
    draw(sampler, 2, 8)
    sampler.load_state_dict(sampler.state_dict())
    with pytest.raises(AssertionError, match="sample comes first"):
        sampler.update_priorities(torch.ones(2, 8))


# Under a Trainer


TREE_METHODS = ("fill", "update", "sample", "__getitem__")


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


@pytest.mark.parametrize("beta", [1.5, LinearSchedule(0.4, -1.0, 100), LinearSchedule(2.0, 1, 9)])
def test_a_beta_that_leaves_0_to_1_is_refused_at_either_end(beta):
    with pytest.raises(ValueError, match=r"^beta(\.start|\.end)?=.*: between 0 and 1"):
        PrioritizedSampling(beta=beta)
