"""Each equation of td against numbers worked out by hand."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lightning_dqn import td

Q_VALUES = torch.tensor([[1.0, 5.0, 3.0], [2.0, -1.0, 0.0]])


def test_a_column_of_rewards_is_refused_where_it_would_broadcast() -> None:
    flat, column = torch.ones(3), torch.ones(3, 1)
    for arguments in ((column, flat, flat), (flat, column, flat), (flat, flat, column)):
        with pytest.raises(AssertionError, match=r"has shape \(3, 1\), not rank 1"):
            td.td_target(*arguments)


def test_one_number_for_a_whole_batch_is_refused() -> None:
    with pytest.raises(AssertionError, match="shapes differ"):
        td.td_target(torch.ones(3), torch.ones(1), torch.ones(3))


def test_a_column_of_actions_is_refused() -> None:
    with pytest.raises(AssertionError, match="action has shape"):
        td.select_action(Q_VALUES, torch.zeros(2, 1, dtype=torch.int64))


def test_greedy_actions_of_atoms_are_refused() -> None:
    with pytest.raises(AssertionError, match="q_values has shape"):
        td.greedy_action(Q_VALUES.unsqueeze(-1))


def test_a_mask_for_another_number_of_actions_is_refused() -> None:
    with pytest.raises(AssertionError, match="shapes differ"):
        td.greedy_action(Q_VALUES, torch.ones(2, 1, dtype=torch.bool))


def test_no_legal_action_gives_action_0_and_no_nan() -> None:
    mask = torch.tensor([[False, False, False], [False, True, False]])
    assert td.greedy_action(Q_VALUES, mask).tolist() == [0, 1]


def test_the_greedy_action_is_the_best_legal_one() -> None:
    assert td.greedy_action(Q_VALUES).tolist() == [1, 0]
    mask = torch.tensor([[True, False, True], [False, True, True]])
    assert td.greedy_action(Q_VALUES, mask).tolist() == [2, 2]
    assert Q_VALUES[0, 1] == 5, "the values themselves are left alone"


def test_the_greedy_action_is_legal_where_all_legal_values_are_hugely_negative() -> None:
    q_values = torch.full((1, 3), torch.finfo(torch.float32).min)
    mask = torch.tensor([[False, False, True]])
    assert td.greedy_action(q_values, mask).tolist() == [2]


@pytest.mark.parametrize("worst", [-torch.inf, -3.4e38, torch.nan])
def test_no_illegal_action_is_chosen_whatever_the_legal_values(worst: float) -> None:
    values = torch.tensor([[5.0, worst, torch.inf, worst], [torch.nan, torch.nan, worst, 1.0]])
    legal = torch.tensor([[False, True, False, True], [False, False, True, False]])
    assert td.greedy_action(values, legal).tolist() == [1, 2]
    assert values[0, 0] == 5.0, "what was given is left as it was"


def test_select_action_takes_each_rows_own_action() -> None:
    assert td.select_action(Q_VALUES, torch.tensor([2, 1])).tolist() == [3.0, -1.0]


def test_select_action_takes_all_atoms_of_the_action() -> None:
    output = torch.arange(12.0).view(2, 3, 2)
    assert td.select_action(output, torch.tensor([2, 0])).tolist() == [[4.0, 5.0], [6.0, 7.0]]


def test_td_target_of_reward_discount_and_bootstrap() -> None:
    target = td.td_target(
        reward=torch.tensor([1.0, 1.0, 1.0]),
        discount=torch.tensor([0.5, 0.0, -0.5]),  # goes on, terminated, the opponent's turn
        bootstrap=torch.tensor([10.0, 10.0, 10.0]),
    )
    assert target.tolist() == [6.0, 1.0, -4.0]


def test_squared_error_is_half_the_square_and_its_gradient_the_error() -> None:
    error = torch.tensor([-3.0, 0.0, 0.5], requires_grad=True)
    loss = td.squared_error(error)
    assert loss.tolist() == [4.5, 0.0, 0.125]
    assert _gradient(loss, error).tolist() == [-3.0, 0.0, 0.5]


def test_huber_error_is_square_inside_and_linear_outside_the_threshold() -> None:
    error = torch.tensor([-3.0, -1.0, 0.0, 0.5, 4.0], requires_grad=True)
    loss = td.huber_error(error)
    assert loss.tolist() == [2.5, 0.5, 0.0, 0.125, 3.5]
    assert _gradient(loss, error).tolist() == [-1.0, -1.0, 0.0, 0.5, 1.0]


def test_huber_error_with_threshold_2() -> None:
    error = torch.tensor([-1.0, 2.0, 5.0], requires_grad=True)
    loss = td.huber_error(error, threshold=2.0)
    assert loss.tolist() == [0.5, 2.0, 8.0]
    assert _gradient(loss, error).tolist() == [-1.0, 2.0, 2.0]


def test_huber_error_of_a_huge_error_whose_square_overflows_keeps_its_gradient() -> None:
    error = torch.tensor([1e30], requires_grad=True)
    loss = td.huber_error(error)
    assert loss.isfinite().all()
    assert _gradient(loss, error).tolist() == [1.0]


@settings(deadline=None, max_examples=50)
@given(st.floats(-50, 50), st.floats(0.125, 10))
def test_huber_error_equals_torchs_own(error: float, threshold: float) -> None:
    ours = td.huber_error(torch.tensor([error]), threshold)
    torchs = torch.nn.functional.huber_loss(torch.tensor([error]), torch.zeros(1), delta=threshold)
    torch.testing.assert_close(ours[0], torchs)


# --- softmax policies

# exp(q / 0.5) is 1 : 2 : 5
ONE_TWO_FIVE = 0.5 * torch.tensor([1.0, 2.0, 5.0]).log()


def test_a_softmax_policy_by_hand() -> None:
    policy, log_policy = td.softmax_policy(ONE_TWO_FIVE.expand(2, 3), temperature=0.5)
    expected = torch.tensor([1 / 8, 2 / 8, 5 / 8]).expand(2, 3)
    torch.testing.assert_close(policy, expected)
    torch.testing.assert_close(log_policy, expected.log())


def test_illegal_actions_have_no_share_in_a_softmax_policy_however_high_their_value() -> None:
    q_values = torch.stack([ONE_TWO_FIVE, ONE_TWO_FIVE])
    q_values[0, 2] = 1e30
    mask = torch.tensor([[True, True, False], [False, True, False]])
    policy, log_policy = td.softmax_policy(q_values, 0.5, mask)
    torch.testing.assert_close(policy, torch.tensor([[1 / 3, 2 / 3, 0.0], [0.0, 1.0, 0.0]]))
    expected = torch.tensor([[1 / 3, 2 / 3, 1.0], [1.0, 1.0, 1.0]]).log()
    torch.testing.assert_close(log_policy, expected)


def test_without_a_legal_action_a_softmax_policy_takes_all_for_legal() -> None:
    q_values, mask = ONE_TWO_FIVE.unsqueeze(0), torch.zeros(1, 3, dtype=torch.bool)
    masked, free = td.softmax_policy(q_values, 0.5, mask), td.softmax_policy(q_values, 0.5)
    torch.testing.assert_close(masked, free)


def test_a_cold_softmax_policy_of_huge_values_is_greedy_and_finite() -> None:
    policy, log_policy = td.softmax_policy(torch.tensor([[-1e6, 1e6, 0.0]]), temperature=1e-4)
    assert policy.tolist() == [[0.0, 1.0, 0.0]]
    assert log_policy.isfinite().all()


def test_a_softmax_policy_of_half_precision_values_is_computed_in_full() -> None:
    policy, _ = td.softmax_policy(torch.tensor([[1.0, 1.0]], dtype=torch.bfloat16), 0.03)
    assert policy.dtype == torch.float32


# --- lambda-returns


def test_lambda_returns_by_hand_with_a_termination_and_a_truncation_in_the_middle() -> None:
    ones = torch.ones(4)
    reward = torch.tensor([1.0, 2.0, 3.0, 4.0])
    next_value = torch.tensor([10.0, 20.0, 30.0, 40.0])
    discount = torch.stack([torch.tensor([0.5, 0.5, 0.0, 0.5]), 0.5 * ones], dim=1)
    continues = torch.tensor([[True, True], [True, False], [False, True], [False, False]])
    found = td.lambda_returns(
        torch.stack([reward, reward], dim=1),
        discount,
        torch.stack([next_value, next_value], dim=1),
        continues,
        trace=0.5,
    )
    # Terminated at t=2:                            truncated at t=1:
    # R_3 = 4 + 0.5 * 40                    = 24       4 + 0.5 * 40                  = 24
    # R_2 = 3 + 0 * 30                      = 3        3 + 0.5 * (30 + 24) / 2       = 16.5
    # R_1 = 2 + 0.5 * (20 + 3) / 2          = 7.75     2 + 0.5 * 20                  = 12
    # R_0 = 1 + 0.5 * (10 + 7.75) / 2       = 5.4375   1 + 0.5 * (10 + 12) / 2       = 6.5
    assert found[:, 0].tolist() == [5.4375, 7.75, 3.0, 24.0]
    assert found[:, 1].tolist() == [6.5, 12.0, 16.5, 24.0]


@pytest.mark.parametrize(("trace", "first"), [(1.0, 5.0), (0.5, 0.5), (0.0, -4.0)])
def test_lambda_returns_of_a_game_in_turns(trace: float, first: float) -> None:
    # R_1 = 2 - 0.5 * 20 = -8; R_0 = 1 - 0.5 * ((1 - lambda) * 10 + lambda * -8)
    found = td.lambda_returns(
        torch.tensor([[1.0], [2.0]]),
        torch.full((2, 1), -0.5),
        torch.tensor([[10.0], [20.0]]),
        torch.tensor([[True], [False]]),
        trace,
    )
    assert found.tolist() == [[first], [-8.0]]


def test_lambda_0_is_the_one_step_target() -> None:
    reward, discount, next_value = torch.randn(3, 5, 2)
    continues = torch.rand(5, 2) < 0.5
    found = td.lambda_returns(reward, discount, next_value, continues, trace=0.0)
    expected = td.td_target(reward.flatten(), discount.flatten(), next_value.flatten())
    torch.testing.assert_close(found.flatten(), expected)


def test_lambda_1_is_the_discounted_sum_of_a_terminated_episodes_rewards() -> None:
    reward = torch.tensor([[1.0], [2.0], [4.0]])
    discount = torch.tensor([[0.5], [0.5], [0.0]])
    continues = torch.tensor([[True], [True], [False]])
    found = td.lambda_returns(reward, discount, torch.full((3, 1), 1e6), continues, trace=1.0)
    # 1 + 0.5 * 2 + 0.25 * 4; 2 + 0.5 * 4; 4
    assert found.tolist() == [[3.0], [4.0], [4.0]]


@settings(deadline=None, max_examples=50)
@given(st.data(), st.integers(1, 7), st.integers(1, 3), st.floats(0, 1))
def test_lambda_returns_are_those_of_a_naive_recursion(
    data: st.DataObject, length: int, num_envs: int, trace: float
) -> None:
    reward, discount, next_value = (
        _drawn(data, (length, num_envs), high) for high in (5.0, 1.0, 5.0)
    )
    seed = data.draw(st.integers(0, 99))
    continues = torch.rand(length, num_envs, generator=torch.Generator().manual_seed(seed)) < 0.7
    continues[-1] = False

    def naive(t: int, env: int) -> float:
        ahead = next_value[t, env].item()
        if continues[t, env]:
            ahead = (1 - trace) * ahead + trace * naive(t + 1, env)
        return reward[t, env].item() + discount[t, env].item() * ahead

    found = td.lambda_returns(reward, discount, next_value, continues, trace)
    expected = [[naive(t, env) for env in range(num_envs)] for t in range(length)]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


# --- the projection of C51


@pytest.mark.parametrize(
    ("reward", "discount", "expected"),
    [
        # the atoms stay where they are
        (0.0, 1.0, [0.1, 0.2, 0.3, 0.4]),
        # 0.5, 1.5, 2.5 lie between two atoms, 3.5 beyond the last
        (0.5, 1.0, [0.05, 0.05 + 0.1, 0.1 + 0.15, 0.15 + 0.4]),
        # 1, 2, 3 lie on atoms, 4 beyond
        (1.0, 1.0, [0.0, 0.1, 0.2, 0.3 + 0.4]),
        # all beyond
        (-10.0, 1.0, [1.0, 0.0, 0.0, 0.0]),
        (10.0, 1.0, [0.0, 0.0, 0.0, 1.0]),
        # terminated: 1.25 for sure
        (1.25, 0.0, [0.0, 0.75, 0.25, 0.0]),
        (3.0, 0.0, [0.0, 0.0, 0.0, 1.0]),
        # 0, 0.5, 1, 1.5
        (0.0, 0.5, [0.1 + 0.1, 0.1 + 0.3 + 0.2, 0.2, 0.0]),
        # the opponent's turn: 2, 1, 0, -1
        (2.0, -1.0, [0.3 + 0.4, 0.2, 0.1, 0.0]),
    ],
)
def test_the_categorical_projection_by_hand(
    reward: float, discount: float, expected: list[float]
) -> None:
    found = td.categorical_projection(
        torch.tensor([[0.1, 0.2, 0.3, 0.4]]),
        torch.tensor([reward]),
        torch.tensor([discount]),
        torch.tensor([0.0, 1.0, 2.0, 3.0]),
    )
    torch.testing.assert_close(found, torch.tensor([expected]))


@settings(deadline=None, max_examples=50)
@given(
    st.data(),
    st.integers(1, 4),
    st.integers(2, 9),
    st.floats(-20, 5),
    st.floats(0.5, 30),
)
def test_the_categorical_projection_is_that_of_a_naive_loop(
    data: st.DataObject, batch: int, num_atoms: int, low: float, width: float
) -> None:
    support = torch.linspace(low, low + width, num_atoms, dtype=torch.float64)
    probabilities = _drawn(data, (batch, num_atoms), 3.0).softmax(dim=1)
    reward, discount = _drawn(data, (batch,), 10.0), _drawn(data, (batch,), 1.0)
    found = td.categorical_projection(probabilities, reward, discount, support)
    for b in range(batch):
        expected = _naive_projection(
            probabilities[b].tolist(), reward[b].item(), discount[b].item(), support.tolist()
        )
        assert found[b].tolist() == pytest.approx(expected, abs=1e-9)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(batch, dtype=torch.float64))


@settings(deadline=None, max_examples=50)
@given(st.data(), st.integers(2, 9))
def test_the_categorical_projection_keeps_the_mean_inside_the_support(
    data: st.DataObject, num_atoms: int
) -> None:
    support = torch.linspace(-2.0, 2.0, num_atoms, dtype=torch.float64)
    probabilities = _drawn(data, (3, num_atoms), 3.0).softmax(dim=1)
    reward, discount = _drawn(data, (3,), 1.0), _drawn(data, (3,), 0.5)  # |r + g z| <= 2
    found = td.categorical_projection(probabilities, reward, discount, support)
    mean = reward + discount * (probabilities * support).sum(dim=1)
    torch.testing.assert_close((found * support).sum(dim=1), mean)


def _naive_projection(
    probabilities: list[float], reward: float, discount: float, support: list[float]
) -> list[float]:
    """Algorithm 1 of Bellemare et al. 2017, one atom after the other."""
    low, high, last = support[0], support[-1], len(support) - 1
    projected = [0.0] * len(support)
    for probability, atom in zip(probabilities, support, strict=True):
        place = (min(max(reward + discount * atom, low), high) - low) / (high - low) * last
        lower = min(int(place), last - 1)
        projected[lower] += probability * (1 - (place - lower))
        projected[lower + 1] += probability * (place - lower)
    return projected


# --- quantile regression

TWO_QUANTILES = torch.tensor([[1.0, 3.0]])
TWO_TARGETS = torch.tensor([[2.0, 5.0]])
QUARTERS = torch.tensor([0.25, 0.75])


@pytest.mark.parametrize(
    ("threshold", "weights", "expected"),
    [
        # TD errors 1 and 4 of the first, -1 and 2 of the second quantile; Huber 0.5, 3.5; 0.5, 1.5
        # (0.25 * 0.5 + 0.25 * 3.5) / 2 = 0.5; (|0.75 - 1| * 0.5 + 0.75 * 1.5) / 2 = 0.625
        (1.0, [0.5, 0.5], (0.5 + 0.625) / 2),
        # 0.9 * 0.125 + 0.1 * 0.875 = 0.2; 0.9 * 0.125 + 0.1 * 1.125 = 0.225
        (1.0, [0.9, 0.1], (0.2 + 0.225) / 2),
        # absolute errors: (0.25 * 1 + 0.25 * 4) / 2 = 0.625; (0.25 * 1 + 0.75 * 2) / 2 = 0.875
        (0.0, [0.5, 0.5], (0.625 + 0.875) / 2),
        # Huber / 2 is 0.25, 3; 0.25, 1: (0.0625 + 0.75) / 2 = (0.0625 + 0.75) / 2 = 0.40625
        (2.0, [0.5, 0.5], 0.40625),
    ],
)
def test_the_quantile_huber_error_by_hand(
    threshold: float, weights: list[float], expected: float
) -> None:
    found = td.quantile_huber_error(
        TWO_QUANTILES, TWO_TARGETS, QUARTERS, torch.tensor(weights), threshold
    )
    torch.testing.assert_close(found, torch.tensor([expected]))


def test_each_samples_own_fractions_and_weights_count() -> None:
    both = TWO_QUANTILES.expand(2, 2), TWO_TARGETS.expand(2, 2)
    fractions = torch.stack([QUARTERS, torch.tensor([0.5, 0.9])])
    weights = torch.tensor([[0.5, 0.5], [0.9, 0.1]])
    found = td.quantile_huber_error(*both, fractions, weights)
    for b in range(2):
        alone = td.quantile_huber_error(TWO_QUANTILES, TWO_TARGETS, fractions[b], weights[b])
        torch.testing.assert_close(found[b], alone[0])


@settings(deadline=None, max_examples=50)
@given(
    st.data(), st.integers(1, 4), st.integers(1, 4), st.one_of(st.just(0.0), st.floats(0.125, 3))
)
def test_the_quantile_huber_error_is_that_of_a_naive_loop(
    data: st.DataObject, num_predicted: int, num_targets: int, threshold: float
) -> None:
    prediction, target = _drawn(data, (2, num_predicted), 5.0), _drawn(data, (2, num_targets), 5.0)
    fractions = _drawn(data, (2, num_predicted), 1.0).abs()
    weights = _drawn(data, (2, num_targets), 1.0).softmax(dim=1)
    found = td.quantile_huber_error(prediction, target, fractions, weights, threshold)
    for b in range(2):
        total = 0.0
        for i in range(num_predicted):
            for j in range(num_targets):
                delta = target[b, j].item() - prediction[b, i].item()
                size = abs(delta)
                if threshold > 0 and size <= threshold:
                    size = delta**2 / 2 / threshold
                elif threshold > 0:
                    size = size - threshold / 2
                share = abs(fractions[b, i].item() - (delta < 0)) * weights[b, j].item()
                total += share * size / num_predicted
        assert found[b].item() == pytest.approx(total)


def test_plain_quantile_regression_finds_the_quantiles_of_its_targets() -> None:
    prediction = torch.zeros(1, 2, requires_grad=True)
    target, weights = torch.arange(101.0).unsqueeze(0), torch.full((101,), 1 / 101)
    optimizer = torch.optim.SGD([prediction], lr=40.0)
    for step in range(400):
        for group in optimizer.param_groups:
            group["lr"] = 40.0 / (1 + step / 10)
        optimizer.zero_grad()
        td.quantile_huber_error(prediction, target, QUARTERS, weights, threshold=0).sum().backward()
        optimizer.step()
    torch.testing.assert_close(prediction.detach(), torch.tensor([[25.0, 75.0]]), atol=1, rtol=0)


# --- learned fractions


def test_the_gradient_of_fractions_by_hand() -> None:
    edges = torch.tensor([[0.2, 0.6]], requires_grad=True)
    at_edges, at_midpoints = torch.tensor([[2.0, 5.0]]), torch.tensor([[1.0, 4.0, 8.0]])
    loss = td.fraction_error(edges, at_edges, at_midpoints)
    # 2 * 2 - 1 - 4 = -1 and 2 * 5 - 4 - 8 = -2; it is a gradient and no error
    assert loss.tolist() == [0.0]
    assert _gradient(loss, edges).tolist() == [[-1.0, -2.0]]


def test_the_quantiles_get_no_gradient_from_the_fractions() -> None:
    edges, at_edges, at_midpoints = (torch.rand(1, n, requires_grad=True) for n in (2, 2, 3))
    td.fraction_error(edges, at_edges, at_midpoints).sum().backward()
    assert edges.grad is not None
    assert at_edges.grad is None
    assert at_midpoints.grad is None


def test_the_gradient_of_fractions_is_that_of_the_wasserstein_distance() -> None:
    def wasserstein(inner: list[float]) -> float:
        """Distance of a step function to the quantile function t^2, each half a step exactly."""
        cuts = [0.0, *inner, 1.0]
        distance = 0.0
        for left, right in pairwise(cuts):
            middle = (left + right) / 2
            step = middle**2
            distance += step * (middle - left) - (middle**3 - left**3) / 3
            distance += (right**3 - middle**3) / 3 - step * (right - middle)
        return distance

    inner, small = [0.1, 0.45, 0.5], 1e-6
    edges = torch.tensor([inner], dtype=torch.float64, requires_grad=True)
    cuts = torch.tensor([0.0, *inner, 1.0], dtype=torch.float64)
    midpoints = ((cuts[1:] + cuts[:-1]) / 2).unsqueeze(0)
    loss = td.fraction_error(edges, edges.detach() ** 2, midpoints**2)
    for place, found in enumerate(_gradient(loss, edges)[0].tolist()):
        up, down = list(inner), list(inner)
        up[place] += small
        down[place] -= small
        slope = (wasserstein(up) - wasserstein(down)) / (2 * small)
        assert found == pytest.approx(slope, rel=1e-6)


def _drawn(data: st.DataObject, shape: tuple[int, ...], high: float) -> Tensor:
    """Draw float64 between -high and high."""
    size = torch.Size(shape).numel()
    values = data.draw(st.lists(st.floats(-high, high), min_size=size, max_size=size))
    return torch.tensor(values, dtype=torch.float64).view(shape)


def _gradient(loss: Tensor, of: Tensor) -> Tensor:
    return torch.autograd.grad(loss.sum(), of)[0]
