import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_dqn.reporting.statistics import (
    best_median_worst,
    interquartile_mean,
    sign_test,
    stratified_bootstrap_interval,
    wilson_interval,
)

ONE_TASK = [[500.0], [489.5], [471.25], [500.0], [350.0]]
TWO_TASKS = [[1.0, 10.0], [2.0, 14.0], [4.0, 30.0]]
FOUR_TASKS = [
    [0.0, 1.15, 1.45, 4.91],
    [-0.45, 0.5, 2.12, 5.13],
    [-0.49, 0.69, 2.98, 5.04],
    [0.11, 0.53, 1.94, 5.07],
    [-1.34, 0.77, -1.8, 4.87],
    [-1.84, 0.88, -0.53, 5.03],
    [0.16, 0.91, -3.03, 4.95],
    [-0.05, 1.06, -1.06, 4.95],
    [-0.98, 0.6, 4.12, 4.92],
    [-0.03, 1.44, 0.83, 4.99],
]

# rliable 1.2: metrics.aggregate_iqm, and library.get_interval_estimates of it with 50,000 samples
RLIABLE = [
    (ONE_TASK, 486.9166666666667, (390.4166666666667, 500.0)),
    (TWO_TASKS, 7.5, (5.75, 16.25)),
    (FOUR_TASKS, 1.1105, (0.6440, 1.5620)),
]
# scipy.stats.trim_mean(scores, 0.25) of 0, 1, 4, ..., (n - 1)^2 for n = 1, 2, ..., 9
TRIM_MEANS = [0.0, 0.5, 5 / 3, 2.5, 14 / 3, 7.5, 11.0, 13.5, 18.0]

scores_lists = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40)


@pytest.mark.parametrize(("num_scores", "expected"), list(enumerate(TRIM_MEANS, start=1)))
def test_the_lowest_and_the_highest_quarter_are_left_out(num_scores, expected):
    assert interquartile_mean(np.arange(num_scores) ** 2) == pytest.approx(expected, rel=1e-15)


def test_outliers_do_not_count():
    assert interquartile_mean([-1e9, 2.0, 3.0, 1e9]) == 2.5


def test_an_axis_is_reduced_row_by_row():
    scores = np.random.default_rng(0).normal(size=(3, 7))
    rows = [interquartile_mean(row) for row in scores]
    np.testing.assert_array_equal(interquartile_mean(scores, axis=1), rows)
    np.testing.assert_array_equal(interquartile_mean(scores.T, axis=0), rows)


@given(scores_lists)
def test_it_lies_between_the_extremes(scores):
    mean = interquartile_mean(scores)
    assert min(scores) - 1e-9 <= mean <= max(scores) + 1e-9


@given(scores_lists, st.floats(-100, 100), st.floats(0.01, 100))
def test_it_moves_and_grows_with_the_scores(scores, shift, scale):
    moved = interquartile_mean(np.array(scores) * scale + shift)
    assert moved == pytest.approx(interquartile_mean(scores) * scale + shift, abs=1e-6)


@given(scores_lists, st.randoms())
def test_the_order_of_the_runs_does_not_matter(scores, random):
    shuffled = random.sample(scores, len(scores))
    assert interquartile_mean(shuffled) == interquartile_mean(scores)


@pytest.mark.parametrize(("scores", "mean", "interval"), RLIABLE)
def test_it_agrees_with_rliable(scores, mean, interval):
    assert interquartile_mean(scores) == pytest.approx(mean, rel=1e-12)
    found = stratified_bootstrap_interval(scores, samples=50_000)
    assert found == pytest.approx(interval, abs=0.02 * (interval[1] - interval[0]))


def test_two_runs_are_drawn_as_the_four_equally_likely_pairs():
    # Means 0, 1/2, 1/2 and 1 with a quarter each: the 20 % quantile is 0, the 80 % quantile 1.
    assert stratified_bootstrap_interval([0.0, 1.0], np.mean, confidence=0.6) == (0.0, 1.0)
    assert stratified_bootstrap_interval([0.0, 1.0], np.mean, confidence=0.4) == (0.5, 0.5)


def test_runs_are_drawn_within_their_task_so_levels_do_not_widen_the_interval():
    noise = np.random.default_rng(0).normal(size=(10, 3))
    low, high = stratified_bootstrap_interval(noise, np.mean)
    apart = noise + np.array([0.0, 1e3, -1e3])
    far_low, far_high = stratified_bootstrap_interval(apart, np.mean)
    assert (far_low, far_high) == pytest.approx((low, high), abs=1e-9)
    unstratified = stratified_bootstrap_interval(apart.ravel(), np.mean)
    assert unstratified[1] - unstratified[0] > 100 * (high - low)


def test_tasks_may_have_different_numbers_of_runs():
    table = np.array(TWO_TASKS)
    by_name = {"first": table[:, 0], "second": table[:, 1]}
    assert stratified_bootstrap_interval(by_name) == stratified_bootstrap_interval(table)
    uneven = {"sure": [5.0] * 6, "unsure": [0.0, 10.0]}
    assert stratified_bootstrap_interval(uneven, np.mean) == (3.75, 6.25)


def test_any_statistic_with_an_axis_can_be_estimated():
    assert stratified_bootstrap_interval([1.0, 2.0, 9.0], np.max, confidence=0.9) == (2.0, 9.0)


def test_the_same_scores_have_the_same_interval_and_a_generator_other_draws():
    scores = np.random.default_rng(0).normal(size=(5, 4))
    default = stratified_bootstrap_interval(scores)
    assert stratified_bootstrap_interval(scores) == default
    other = stratified_bootstrap_interval(scores, generator=np.random.default_rng(1))
    assert other != default
    assert other == pytest.approx(default, abs=0.2)


@settings(max_examples=30)
@given(st.lists(st.floats(-100, 100), min_size=1, max_size=8))
def test_the_interval_lies_within_the_scores_and_narrows_with_confidence(scores):
    low, high = stratified_bootstrap_interval(scores, samples=200)
    inner_low, inner_high = stratified_bootstrap_interval(scores, samples=200, confidence=0.5)
    assert min(scores) - 1e-9 <= low <= inner_low <= inner_high <= high <= max(scores) + 1e-9


def test_a_95_percent_interval_of_many_runs_covers_the_truth_about_as_often():
    generator = np.random.default_rng(0)
    trials = 400
    covered = 0
    for _ in range(trials):
        scores = generator.normal(size=30)
        low, high = stratified_bootstrap_interval(scores, np.mean, samples=500, generator=generator)
        covered += low <= 0.0 <= high
    assert 0.89 < covered / trials < 0.98  # percentile intervals of 30 runs cover about 93.5 %


@pytest.mark.parametrize("scores", [[], [1.0, float("nan")], np.zeros((2, 0))])
def test_no_score_and_nan_are_refused(scores):
    with pytest.raises(ValueError, match="score"):
        interquartile_mean(scores)


@pytest.mark.parametrize(
    ("scores", "arguments", "message"),
    [
        ([1.0], {"samples": 0}, "samples=0"),
        ([1.0], {"confidence": 1.0}, "confidence=1.0"),
        ([1.0, float("nan")], {}, "NaN"),
        ([], {}, "at least one score"),
        ({}, {}, "at least one task"),
        ({"a": [1.0], "b": []}, {}, "b of shape"),
        ({"a": [[1.0]]}, {}, "a of shape"),
        (np.zeros((2, 2, 2)), {}, r"expected \[runs\] or \[runs, tasks\]"),
    ],
)
def test_what_cannot_be_drawn_from_is_refused(scores, arguments, message):
    with pytest.raises(ValueError, match=message):
        stratified_bootstrap_interval(scores, **arguments)


# scipy.stats.binomtest(successes, trials).proportion_ci(confidence, method="wilson")
WILSON = [
    (0, 10, 0.95, (0.0, 0.27753279986288)),
    (10, 10, 0.95, (0.72246720013712, 1.0)),
    (500, 1000, 0.95, (0.469069600368, 0.530930399632)),
    (3, 7, 0.9, (0.186443190364, 0.710522908986)),
]
# scipy.stats.binomtest(successes, trials, alternative="greater").pvalue
SIGN_TESTS = [
    (59, 100, 0.04431304005703379),
    (58, 100, 0.06660530960360679),
    (5, 5, 0.03125),
    (0, 7, 1.0),
    (600, 1000, 1.3642320780329735e-10),
    (101, 200, 0.4718257604953717),
]


@pytest.mark.parametrize(("successes", "trials", "confidence", "expected"), WILSON)
def test_the_interval_of_a_share_is_wilsons(successes, trials, confidence, expected):
    found = wilson_interval(successes, trials, confidence=confidence)
    assert found == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize("trials", [1, 3, 7, 10, 97])
def test_wilsons_interval_ends_exactly_where_nothing_or_all_happened(trials):
    assert wilson_interval(0, trials)[0] == 0.0
    assert wilson_interval(trials, trials)[1] == 1.0


def test_wilsons_interval_holds_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    for truth in (0.03, 0.5, 0.9):
        intervals = [wilson_interval(int(n), 60) for n in generator.binomial(60, truth, size=2_000)]
        assert 0.92 < np.mean([low <= truth <= high for low, high in intervals]) < 0.98


@pytest.mark.parametrize(("successes", "trials", "expected"), SIGN_TESTS)
def test_the_sign_test_counts_tosses(successes, trials, expected):
    assert sign_test(successes, trials) == pytest.approx(expected, rel=1e-9)


def test_nothing_decided_proves_nothing():
    assert sign_test(0, 0) == 1.0


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (3, 2), (-1, 5)])
def test_impossible_counts_are_refused(successes, trials):
    with pytest.raises(ValueError, match=f"successes={successes} of trials={trials}"):
        wilson_interval(successes, trials)
    if trials:
        with pytest.raises(ValueError, match=f"successes={successes} of trials={trials}"):
            sign_test(successes, trials)


def test_a_confidence_beyond_certainty_is_refused_for_shares():
    with pytest.raises(ValueError, match="confidence=95"):
        wilson_interval(1, 2, confidence=95)


@pytest.mark.parametrize(
    ("values", "places"),
    [
        ([5.0], {"only": 0}),
        ([5.0, 2.0], {"best": 0, "worst": 1}),
        ([5.0, 2.0, 3.0], {"best": 0, "median": 2, "worst": 1}),
        ([1.0, 2.0, 3.0, 4.0], {"best": 3, "median": 1, "worst": 0}),
        ([7.0] * 5, {"best": 4, "median": 2, "worst": 0}),
    ],
)
def test_of_best_median_and_worst_none_is_chosen_twice(values, places):
    assert best_median_worst(values) == places
