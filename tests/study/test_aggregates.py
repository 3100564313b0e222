"""What scores of several games come to: by hand, and against the definitions written out."""

import numpy as np
import pytest

from lightning_dqn.study.aggregates import STATISTICS, Way, aggregates, estimate, has_spread
from lightning_dqn.study.improvement import probability_of_improvement
from lightning_dqn.study.profiles import performance_profile

HAND = {"A": [0.0, 0.4], "B": [1.0, 3.0]}


def made(seed: int = 0, runs: tuple[int, ...] = (3, 5, 4)) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {f"game {i}": generator.normal(i / 2, 1, size=n) for i, n in enumerate(runs)}


def test_both_ways_by_hand() -> None:
    runs, games = aggregates(HAND, "runs"), aggregates(HAND, "games")
    assert {name: one.value for name, one in runs.items()} == pytest.approx(
        {"iqm": 0.7, "median": 0.7, "mean": 1.1, "optimality_gap": (1 + 0.6) / 4}
    )
    assert {name: one.value for name, one in games.items()} == pytest.approx(
        {"iqm": 1.1, "median": 1.1, "mean": 1.1, "optimality_gap": 0.8 / 2}
    )


def naive_iqm(values: list[float]) -> float:
    ordered = sorted(values)
    cut = len(ordered) // 4
    middle = ordered[cut : len(ordered) - cut]
    return sum(middle) / len(middle)


def naive(values: list[float]) -> dict[str, float]:
    gap = sum(1 - min(value, 1.0) for value in values) / len(values)
    ordered, half = sorted(values), len(values) // 2
    median = ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2
    mean = sum(values) / len(values)
    return {"iqm": naive_iqm(values), "median": median, "mean": mean, "optimality_gap": gap}


@pytest.mark.parametrize("seed", range(3))
def test_aggregates_are_as_the_definitions_have_them(seed: int) -> None:
    scores = made(seed)
    lists = [own.tolist() for own in scores.values()]
    for way, values in (
        ("runs", [value for own in lists for value in own]),
        ("games", [sum(own) / len(own) for own in lists]),
    ):
        found = aggregates(scores, way, samples=10)  # type: ignore[arg-type]
        assert {key: one.value for key, one in found.items()} == pytest.approx(naive(values))


@pytest.mark.parametrize("way", ["runs", "games"])
def test_the_interval_draws_each_games_runs_among_themselves(way: Way) -> None:
    scores = {"A": np.array([0.0, 1.0]), "B": np.array([10.0, 10.0])}
    generator = np.random.default_rng(3)
    drawn = []
    for _ in range(4_000):
        own = [generator.choice(runs, size=2) for runs in scores.values()]
        drawn.append(np.mean(own if way == "runs" else [one.mean() for one in own]))
    found = estimate(scores, np.mean, way)
    assert found.interval == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=1e-9)
    assert found.interval == (5.0, 5.5), "never without a run of B, which would be far lower"


def test_ways_have_intervals_of_their_own() -> None:
    scores = made(runs=(6, 6, 6, 6))
    ends = {way: estimate(scores, STATISTICS["iqm"], way).interval for way in ("runs", "games")}
    assert ends["runs"] != ends["games"]
    for way in ("runs", "games"):
        low, high = ends[way]
        assert low < estimate(scores, STATISTICS["iqm"], way).value < high


def test_where_a_game_has_a_single_run_there_is_no_interval() -> None:
    assert has_spread(HAND)
    assert not has_spread({**HAND, "C": [1.0]})
    found = aggregates({**HAND, "C": [1.0]}, "runs")
    assert all(one.interval is None for one in found.values())
    assert performance_profile({"C": [1.0]}, [0.5]).low is None
    assert probability_of_improvement({"C": [1.0]}, {"C": [0.5, 0.6]}).interval is None


@pytest.mark.parametrize("wrong", [{}, {"A": []}, {"A": [float("nan"), 1.0]}])
def test_scores_that_are_none_are_refused(wrong: dict[str, list[float]]) -> None:
    with pytest.raises(ValueError, match=r"expected at least one|NaN"):
        aggregates(wrong, "runs")


@pytest.mark.parametrize("wrong", [{"A": []}, {"A": [float("nan"), 1.0]}])
def test_scores_that_are_none_are_compared_with_nothing(wrong: dict[str, list[float]]) -> None:
    right, told = {"A": [1.0, 2.0]}, r"^A.*(expected at least one score|a score is NaN)"
    for first, second in ((wrong, right), (right, wrong)):
        with pytest.raises(ValueError, match=told):
            probability_of_improvement(first, second)
    with pytest.raises(ValueError, match=told):
        performance_profile(wrong, [0.5])


def test_a_profile_by_hand_counts_games_alike_and_thresholds_out() -> None:
    scores = {"A": [0.0, 0.5, 1.0, 2.0], "B": [0.5, 3.0]}
    found = performance_profile(scores, [-1.0, 0.5, 1.5, 3.0])
    assert found.share.tolist() == [1.0, (2 / 4 + 1 / 2) / 2, (1 / 4 + 1 / 2) / 2, 0.0]


def test_a_profiles_band_is_that_of_the_bootstrap() -> None:
    scores, levels = made(), np.linspace(-2, 3, 7)
    found = performance_profile(scores, levels)
    generator = np.random.default_rng(1)
    drawn = [
        np.mean(
            [
                (generator.choice(own, len(own))[:, None] > levels).mean(axis=0)
                for own in scores.values()
            ],
            axis=0,
        )
        for _ in range(4_000)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    assert found.low == pytest.approx(low, abs=0.035)
    assert found.high == pytest.approx(high, abs=0.035)
    assert (found.low <= found.share).all()
    assert (found.share <= found.high).all()


def test_improvement_by_hand_counts_ties_half_and_games_alike() -> None:
    first, second = {"A": [1.0, 2.0], "B": [0.0]}, {"A": [1.0, 3.0], "B": [-1.0]}
    assert probability_of_improvement(first, second).value == ((0.5 + 0 + 1 + 0) / 4 + 1) / 2
    assert probability_of_improvement(second, first).value == pytest.approx(1 - 0.6875)


def test_improvement_has_the_interval_of_the_bootstrap() -> None:
    first, second = made(0), made(1, (4, 3, 6))
    found = probability_of_improvement(first, second)
    generator = np.random.default_rng(2)
    drawn = []
    for _ in range(3_000):
        own = []
        for game in first:
            x = generator.choice(first[game], len(first[game]))
            y = generator.choice(second[game], len(second[game]))
            own.append(np.mean((x[:, None] > y) + 0.5 * (x[:, None] == y)))
        drawn.append(np.mean(own))
    assert found.interval == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.02)


def test_agents_are_compared_in_the_same_games_only() -> None:
    with pytest.raises(ValueError, match="games A and B: expected the same"):
        probability_of_improvement({"A": [1.0]}, {"B": [1.0]})
