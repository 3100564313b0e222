"""The sum tree against a plain list, its rounding at the worst points, and its frequencies."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_dqn.replay.sum_tree import SumTree, _hold_at_zeros, tree_bytes

SIZES = [1, 2, 33, 1000, 1025, 100_003]
LAST_BEFORE_ONE = 1 - 2.0**-53


def tree_of(priorities) -> SumTree:
    """Return a tree with these priorities."""
    tree = SumTree(len(priorities))
    tree.fill(0, tree.size, torch.as_tensor(priorities, dtype=torch.float64))
    return tree


def set_priorities(tree: SumTree, priorities: dict[int, float]) -> None:
    """Set these leaves."""
    values = torch.tensor(list(priorities.values()), dtype=torch.float64)
    tree.update(torch.tensor(list(priorities)), values)


def seeded(seed: int = 0) -> torch.Generator:
    """Return a generator of this seed."""
    return torch.Generator().manual_seed(seed)


def assert_sums_are_those_of_the_leaves(tree: SumTree) -> None:
    """Compare every block's sum, to the last bit, and the total, to rounding."""
    assert torch.equal(tree._sums, tree._blocks.sum(1))
    assert tree.total.shape == ()
    assert tree.total.item() == pytest.approx(tree[:].sum().item(), rel=1e-12)


def assert_draws_lie_where_their_points_do(tree: SumTree, num_updates: int, batch_size: int):
    """Find each point on the line of all priorities, summed one by one."""
    index = tree.sample(num_updates, batch_size, seeded()).numpy()
    chance = torch.rand((num_updates, batch_size), generator=seeded(), dtype=torch.float64)
    priorities = tree[:].numpy()
    ends = priorities.cumsum()
    point = ((chance.numpy() + np.arange(batch_size)) / batch_size * ends[-1]).ravel()
    rounding = 1e-9 * ends[-1]
    assert (priorities[index] > 0).all()
    assert (point <= ends[index] + rounding).all()
    assert (point >= ends[index] - priorities[index] - rounding).all()


class PointsGiven(SumTree):
    """A tree that looks for these points instead of random ones."""

    points: torch.Tensor

    def _points(self, num_updates, batch_size, generator):
        return self.points.clamp(0, np.nextafter(self._ends[-1].item(), 0))


# The twin


priority = st.one_of(st.just(0.0), st.floats(1e-12, 1e12), st.sampled_from([1e-12, 1.0, 1e12]))


@st.composite
def calls(draw):
    """Return a size and what is done to a tree of it: cells set at random, or a range."""
    size = draw(st.sampled_from([1, 2, 33, 1000, 1025]))
    place = st.integers(0, size - 1)
    update = st.lists(st.tuples(place, priority), max_size=12)
    fill = st.tuples(place, st.lists(priority, max_size=40) | priority)
    return size, draw(st.lists(update | fill, min_size=1, max_size=8))


@settings(max_examples=150, deadline=None)
@given(calls=calls())
def test_a_tree_is_its_naive_twin_after_any_calls(calls):
    size, calls = calls
    tree, twin = SumTree(size), [0.0] * size
    for call in calls:
        if isinstance(call, list):
            index = torch.tensor([place for place, _ in call], dtype=torch.int64)
            tree.update(index, torch.tensor([value for _, value in call], dtype=torch.float64))
            for place in {place for place, _ in call}:
                twin[place] = max(value for other, value in call if other == place)
        elif isinstance(call[1], float):
            begin, value = call
            end = (begin + size + 1) // 2
            tree.fill(begin, max(begin, end), value)
            twin[begin:end] = [value] * max(0, end - begin)
        else:
            begin, values = call[0], call[1][: size - call[0]]
            tree.fill(begin, begin + len(values), torch.tensor(values, dtype=torch.float64))
            twin[begin : begin + len(values)] = values
        assert tree[:].tolist() == twin
        assert_sums_are_those_of_the_leaves(tree)
        if any(twin):
            assert_draws_lie_where_their_points_do(tree, 2, 7)


@pytest.mark.parametrize("size", SIZES)
def test_trees_of_all_sizes_find_the_leaves_under_their_points(size):
    priorities = torch.rand(size, generator=seeded(1), dtype=torch.float64) ** 4 + 1e-9
    priorities[torch.rand(size, generator=seeded(2)) < 0.3] = 0
    priorities[-1] = 1.0
    tree = tree_of(priorities)
    assert_draws_lie_where_their_points_do(tree, 3, 400)
    index = torch.randint(0, size, (300,), generator=seeded(3))
    tree.update(index, torch.rand(300, generator=seeded(4)))
    assert_sums_are_those_of_the_leaves(tree)
    assert_draws_lie_where_their_points_do(tree, 3, 400)


def test_a_tree_of_wider_blocks_finds_the_leaves_under_its_points():
    tree = tree_of(torch.rand(1_200_000, generator=seeded(1), dtype=torch.float64))
    assert tree._block_size == 64
    tree.update(torch.tensor([0, 1_199_999, 64, 64]), torch.tensor([1e5, 1e5, 7.0, 3e4]))
    assert tree[torch.tensor([0, 1_199_999, 64])].tolist() == [1e5, 1e5, 3e4]
    assert_sums_are_those_of_the_leaves(tree)
    assert_draws_lie_where_their_points_do(tree, 3, 400)


# Writing


@pytest.mark.parametrize("size", [3, 100_003])
@pytest.mark.parametrize("values", [[1, 5, 3, 2], [5, 3, 2, 1], [2, 1, 3, 5]])
def test_the_largest_of_the_values_of_one_leaf_holds_but_not_its_old_one(size, values):
    tree = SumTree(size)
    tree.fill(0, size, 9.0)
    tree.update(torch.tensor([2, 2, 0, 2]), torch.tensor(values, dtype=torch.float32))
    assert tree[2] == max(values[0], values[1], values[3])
    assert tree[0] == values[2]
    assert tree[1] == 9
    assert_sums_are_those_of_the_leaves(tree)


def test_nothing_to_set_changes_nothing():
    tree = tree_of([1.0, 2.0])
    tree.update(torch.zeros(0, dtype=torch.int64), torch.zeros(0))
    tree.fill(1, 1, 5.0)
    tree.fill(2, 2, torch.zeros(0))
    assert tree[:].tolist() == [1, 2]
    assert tree.total == 3


def test_sums_do_not_drift():
    tree = SumTree(1000)
    tree.fill(0, 1000, 1e12)
    generator = seeded()
    for _ in range(500):
        index = torch.randint(0, 1000, (6,), generator=generator)
        tree.update(index, torch.rand(6, generator=generator) * 1e12)
    for begin in range(0, 1000, 5):
        tree.update(torch.arange(begin, begin + 5), torch.full((5,), 1e-12, dtype=torch.float64))
    assert_sums_are_those_of_the_leaves(tree)
    assert tree.total.item() == pytest.approx(1e-9, rel=1e-12)


def test_priorities_are_saved_and_restored_whole():
    tree = tree_of(torch.rand(1025, generator=seeded()))
    again = tree_of(tree[:].clone())
    assert torch.equal(again[:], tree[:])
    assert torch.equal(again.sample(3, 50, seeded()), tree.sample(3, 50, seeded()))


@pytest.mark.parametrize(
    ("index", "value"),
    [
        (torch.tensor([[0]]), torch.tensor([[1.0]])),
        (torch.tensor([0, 1]), torch.tensor([1.0])),
        (torch.tensor([0]), torch.tensor([1.0], requires_grad=True)),
    ],
)
def test_an_update_of_other_shapes_or_with_a_gradient_is_refused(index, value):
    with pytest.raises(AssertionError):
        SumTree(3).update(index, value)


@pytest.mark.parametrize(("begin", "end"), [(-1, 1), (2, 1), (0, 4), (3, 5)])
def test_a_range_that_leaves_the_tree_is_refused(begin, end):
    with pytest.raises(AssertionError, match=r"is not within \[0, 3\)"):
        SumTree(3).fill(begin, end, 1.0)


def test_a_tree_without_leaves_is_refused():
    with pytest.raises(AssertionError, match="size=0"):
        SumTree(0)


def test_the_padding_of_the_last_block_is_out_of_reach():
    with pytest.raises((IndexError, RuntimeError), match="out of bounds"):
        SumTree(33).update(torch.tensor([33]), torch.tensor([1.0]))


# Sampling


def test_leaves_are_drawn_in_proportion_to_their_priorities():
    priorities = torch.arange(100, dtype=torch.float64) ** 1.5
    draws = 60_000
    index = tree_of(priorities).sample(draws, 1, seeded())
    counts = torch.bincount(index, minlength=100)
    expected = (draws * priorities / priorities.sum())[1:]
    chi_square = ((counts[1:] - expected) ** 2 / expected).sum().item()
    freedom = len(expected) - 1
    assert counts[0] == 0
    assert abs(chi_square - freedom) < 4 * (2 * freedom) ** 0.5


@pytest.mark.parametrize("batch_size", [1, 20, 100])
def test_each_segment_of_the_total_is_hit_once(batch_size):
    index = tree_of([0.25] * 100).sample(50, batch_size, seeded()).view(50, batch_size)
    segment = index // (100 // batch_size)
    assert torch.equal(segment, torch.arange(batch_size).expand(50, batch_size))


def test_within_a_segment_leaves_are_uniform():
    index = tree_of([1.0] * 100).sample(2000, 10, seeded())
    counts = torch.bincount(index, minlength=100)
    chi_square = ((counts - 200) ** 2 / 200).sum().item()
    freedom = 100 - 10  # each segment's count is given
    assert abs(chi_square - freedom) < 4 * (2 * freedom) ** 0.5


def test_a_minibatch_has_a_leaf_about_as_often_as_its_share():
    priorities = torch.rand(40, generator=seeded(1), dtype=torch.float64)
    minibatches = tree_of(priorities).sample(30, 256, seeded()).view(30, 256)
    expected = 256 * priorities / priorities.sum()
    for minibatch in minibatches:
        assert ((torch.bincount(minibatch, minlength=40) - expected).abs() < 2).all()


def test_the_generator_determines_the_draws():
    tree = tree_of(torch.rand(1000, generator=seeded()))
    draw = tree.sample(2, 50, seeded(1))
    assert torch.equal(draw, tree.sample(2, 50, seeded(1)))
    assert not torch.equal(draw, tree.sample(2, 50, seeded(2)))
    assert not torch.equal(draw[:50], draw[50:])


def test_batches_of_other_sizes_take_turns():
    tree = tree_of([1.0] * 12)
    for batch_size in (4, 12, 4, 1):
        segment = tree.sample(1, batch_size, seeded()) // (12 // batch_size)
        assert segment.tolist() == list(range(batch_size))


# Leaves of priority 0


magnitude = st.sampled_from([5e-324, 1e-300, 1e-12, 0.1, 1 / 3, 1.0, 1e12, 1e300])
sparse = st.integers(1, 1025).flatmap(
    lambda size: st.tuples(
        st.just(size),
        st.dictionaries(st.integers(0, size - 1), magnitude, min_size=1, max_size=40),
    )
)


@settings(max_examples=150, deadline=None)
@given(sparse=sparse, chance=st.sampled_from([0.0, LAST_BEFORE_ONE, 0.5]), batch=st.integers(1, 70))
def test_leaves_of_priority_0_are_never_drawn_at_the_edges_of_segments(sparse, chance, batch):
    size, priorities = sparse
    tree = SumTree(size)
    set_priorities(tree, priorities)
    drawn = torch.full((2, batch), chance, dtype=torch.float64)
    with mock.patch("torch.rand", return_value=drawn):
        assert set(tree.sample(2, batch).tolist()) <= priorities.keys()


@settings(max_examples=60, deadline=None)
@given(sparse=sparse)
def test_leaves_of_priority_0_are_never_drawn_at_the_edges_of_leaves(sparse):
    size, priorities = sparse
    tree = PointsGiven(size)
    set_priorities(tree, priorities)
    in_one_run = tree[:].numpy().cumsum()
    block_by_block = (tree._sums.cumsum(0).unsqueeze(1) - tree._blocks.flip(1).cumsum(1)).flatten()
    edges = np.concatenate([in_one_run, block_by_block.numpy(), tree._sums.cumsum(0).numpy()])
    edges = np.concatenate([edges, np.nextafter(edges, 0), np.nextafter(edges, np.inf)])
    tree.points = torch.from_numpy(edges)
    assert set(tree.sample(1, len(edges)).tolist()) <= priorities.keys()


def test_a_point_that_rounding_puts_at_its_blocks_end_finds_the_last_leaf_above_0():
    tree = PointsGiven(64)
    set_priorities(tree, {0: 1e12, 32: 1e-6})
    end = tree._sums.cumsum(0)[-1].item()
    assert end == 1e12, "the second block is lost in the first one's rounding"
    tree.points = torch.tensor([end, np.nextafter(end, 0)], dtype=torch.float64)
    assert tree.sample(1, 2).tolist() == [0, 0]
    set_priorities(tree, {32: 1e-4})
    end = tree._sums.cumsum(0)[-1].item()
    assert end - 1e12 > 1e-4, "the second block is longer on the line than it is"
    tree.points = torch.tensor([1e12, end], dtype=torch.float64)
    assert tree.sample(1, 2).tolist() == [32, 32]


@settings(max_examples=100, deadline=None)
@given(
    masses=st.lists(st.just(0.0) | magnitude, min_size=1, max_size=40),
    noise=st.lists(st.integers(-3, 3), min_size=40, max_size=40),
)
def test_a_parallel_scans_rounding_is_held_back(masses, noise):
    masses = torch.tensor([masses], dtype=torch.float64)
    ends = masses.cumsum(1)
    noisy = (ends * (1 + torch.tensor([noise[: masses.shape[1]]]) * 2.0**-52)).clamp(min=0)
    held = _hold_at_zeros(noisy, masses)
    before = torch.nn.functional.pad(held, (1, 0))[:, :-1]
    assert (held >= before).all()
    assert torch.equal(held[masses == 0], before[masses == 0])
    np.testing.assert_allclose(held, ends, rtol=2.0**-49)


@pytest.mark.parametrize("size", [1, 31, 33, 1_000, 123_457])
def test_the_bytes_of_a_tree_are_told_before_it_is_made(size):
    tree = SumTree(size)
    assert tree_bytes(size) == sum(t.nbytes for t in (tree._blocks, tree._sums, tree._starts))
