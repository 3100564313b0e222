"""Each rule finds what it is for in made-up rows, and nothing in healthy ones or just below."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pytest
from support.provocations import PROVOCATIONS

from lightning_dqn.diagnostics.doctor.examination import RULES, examine
from lightning_dqn.diagnostics.doctor.rule import Facts
from lightning_dqn.reporting.glossary import GLOSSARY

FACTS = Facts(
    gamma=0.9,
    max_gradient_norm=10.0,
    updates_per_env_step=0.5,
    batch_size=32,
    capacity=10_000,
    evaluates_alike=True,
)
Row = dict[str, float]

HEALTHY: Row = {
    "values/q_value_p5": 2.0,
    "values/q_value_p95": 9.0,
    "replay/largest_reward": 1.0,
    "eval/overestimation": 1.0,
    "eval/discounted_return": 8.0,
    "eval/return_p0": 50.0,
    "eval/return_p100": 90.0,
    "network/dormant_units": 0.4,
    "train/learning_rate": 1e-3,
    "train/gradient_norm": 5.0,
    "replay/fill": 1.0,
    "replay/terminated": 0.01,
    "replay/truncated": 0.0,
    "replay/priority_stale": 0.0,
    "replay/priority_p5": 0.1,
    "replay/priority_p50": 0.5,
    "replay/priority_p95": 2.0,
    "replay/duplicates": 0.01,
    "eval/episode_return_std": 5.0,
    "eval/episodes": 25.0,
}


def healthy(time: int) -> Row:
    """A run that learns: returns rise, the target follows in a saw, the loss comes to rest."""
    return {
        **HEALTHY,
        "network/target_distance": 0.02 + 0.01 * (time % 3),
        "train/updates": 500.0 * time,
        "train/loss": 1.0 / (1 + time),
        "rollout/epsilon": max(0.05, 1.0 - 0.1 * time),
        "rollout/episode_return": 10.0 + time,
        "eval/episode_return": 12.0 + time,
    }


def rows(change: Callable[[int], Mapping[str, float]]) -> Iterator[tuple[int, Row]]:
    for time in range(1, 61):
        yield 1_000 * time, {**healthy(time), **change(time)}


def found(change: Callable[[int], Mapping[str, float]], facts: Facts = FACTS) -> list[str]:
    return [one.rule for one in examine(rows(change), facts)]


def of(**changes: float | Callable[[int], float]) -> Callable[[int], Row]:
    """A change of keys, whose slash is written as two underscores."""
    return lambda time: {
        key.replace("__", "/"): value(time) if callable(value) else value
        for key, value in changes.items()
    }


def drop(time: int) -> float:
    return 72.0 if time < 30 else 20.0


CASES: dict[str, tuple[Callable[[int], Row], Callable[[int], Row]]] = {
    "values-beyond-returns": (of(values__q_value_p95=15.1), of(values__q_value_p95=14.9)),
    "values-overestimated": (of(eval__overestimation=181.0), of(eval__overestimation=179.0)),
    "units-silent": (of(network__dormant_units=0.66), of(network__dormant_units=0.64)),
    "target-still": (
        of(network__target_distance=lambda time: 0.1 * time),
        of(network__target_distance=lambda time: min(0.49, 0.01 * time)),
    ),
    "target-hasty": (of(network__target_distance=0.0), of(network__target_distance=1.1e-5)),
    "gradient-always-clipped": (
        of(train__gradient_norm=101.0, eval__episode_return=3.0),
        of(train__gradient_norm=99.0, eval__episode_return=3.0),
    ),
    "no-episode-ends": (
        of(replay__terminated=0.0, replay__truncated=0.0),
        of(replay__terminated=0.0, replay__truncated=1e-4),
    ),
    "terminals-lost": (
        of(replay__terminated=lambda time: 0.01 * (time < 30), replay__truncated=0.1),
        of(replay__terminated=lambda time: 0.01 if time < 30 else 1e-5, replay__truncated=0.1),
    ),
    "priorities-stale": (of(replay__priority_stale=0.11), of(replay__priority_stale=0.1)),
    "priorities-collapsed": (of(replay__duplicates=0.26), of(replay__duplicates=0.24)),
    "replay-ratio-off": (
        of(train__updates=lambda time: 630.0 * time),
        of(train__updates=lambda time: 620.0 * time),
    ),
    "explored-in-vain": (
        of(rollout__epsilon=0.05, rollout__episode_return=-200.0),
        of(rollout__epsilon=0.05, rollout__episode_return=lambda time: -200.0 + (time == 5)),
    ),
    "loss-misleads": (
        of(eval__episode_return=drop, train__loss=lambda time: 1.0 if time < 30 else 0.49),
        of(eval__episode_return=drop, train__loss=lambda time: 1.0 if time < 30 else 0.51),
    ),
    "evaluation-below-training": (
        of(rollout__episode_return=lambda time: 50.0 + min(time, 20), eval__episode_return=59.0),
        of(rollout__episode_return=lambda time: 50.0 + min(time, 20), eval__episode_return=61.0),
    ),
}


@pytest.mark.parametrize("name", [rule.name for rule in RULES])
def test_a_rule_finds_what_it_is_for_and_nothing_just_below(name: str) -> None:
    provoking, below = CASES[name]
    assert name in found(provoking)
    assert name not in found(below)


def test_a_healthy_run_has_no_finding() -> None:
    assert found(lambda time: {}) == []


@pytest.mark.parametrize("name", [rule.name for rule in RULES])
def test_a_rule_is_found_alone_or_beside_what_it_brings(name: str) -> None:
    assert set(found(CASES[name][0])) <= {name, *BRINGS.get(name, ())}


BRINGS = {
    name: ("evaluation-below-training",) for name in ("gradient-always-clipped", "loss-misleads")
}
"""Rule -> what else its made-up rows show."""


def test_every_rule_is_provoked_and_says_what_to_do_and_where_it_is_from() -> None:
    names = [rule.name for rule in RULES]
    assert list(PROVOCATIONS) == names == list(CASES)
    for rule in RULES:
        assert rule.remedy
        assert rule.source
        assert "Threshold:" in (rule.judge.__doc__ or ""), rule.name


def test_rules_read_what_stands_in_the_glossary() -> None:
    known = {key.replace("<share>", share) for key in GLOSSARY for share in ("0", "5", "50", "95")}
    known |= {"eval/return_p100"}
    assert {key for rule in RULES for key in rule.reads} <= known


def test_without_facts_what_needs_them_is_silent() -> None:
    for name in ("values-beyond-returns", "replay-ratio-off", "evaluation-below-training"):
        assert name not in found(CASES[name][0], Facts())


@pytest.mark.parametrize("steps_without_updates", [1_500, 50_000])
def test_a_ring_that_was_filled_again_is_no_other_ratio(steps_without_updates: int) -> None:
    """Of a run that went on without its ring, which made no updates meanwhile."""
    facts, rows = Facts(updates_per_env_step=0.5), []
    for number in range(60):
        refilled = sum(steps_without_updates for at in (10, 40) if number >= at)
        rows.append((1_000 * number + refilled, {"train/updates": 500.0 * number}))
    assert examine(rows, facts) == []
    wrong = [(env_steps, {"train/updates": row["train/updates"] / 2}) for env_steps, row in rows]
    [finding] = examine(wrong, facts)
    assert finding.what == "0.25 updates are made for each env step, and 0.5 were asked for"


def test_a_policy_that_has_hardly_learned_is_not_held_against_exploration() -> None:
    provoking = CASES["evaluation-below-training"][0]
    early = found(lambda time: {**provoking(time), "train/updates": 10.0 * time})
    assert "evaluation-below-training" not in early


def test_values_of_either_sign_are_beyond_returns() -> None:
    assert found(of(values__q_value_p5=-15.1)) == ["values-beyond-returns"]


def test_without_a_discount_no_value_is_beyond_returns() -> None:
    case = CASES["values-beyond-returns"][0]
    assert found(case, FACTS._replace(gamma=1.0)) == []


def test_the_target_may_come_close_when_the_learning_rate_has_fallen() -> None:
    rate = of(
        network__target_distance=lambda time: 0.02 if time < 30 else 0.0,
        train__learning_rate=lambda time: 1e-3 if time < 30 else 9e-5,
    )
    assert found(rate) == []


def test_a_target_that_is_copied_now_and_then_may_be_just_that_at_each_look() -> None:
    case = CASES["target-hasty"][0]
    assert found(case, FACTS._replace(target_lags=True)) == []
    assert found(case, FACTS._replace(target_lags=False)) == ["target-hasty"]


def test_gradients_may_be_clipped_always_where_something_is_learned() -> None:
    assert found(of(train__gradient_norm=500.0)) == []


def test_a_mean_that_no_episode_has_joined_since_says_nothing_of_exploration() -> None:
    def of_long_episodes(length: float) -> Callable[[int], Row]:
        return of(
            rollout__epsilon=0.0, rollout__episode_return=-200.0, rollout__episode_length=length
        )

    assert found(of_long_episodes(7_000.0)) == ["explored-in-vain"]
    assert found(of_long_episodes(8_000.0)) == []  # 59,000 env steps are no 8 of them
    many = FACTS._replace(num_envs=32)
    assert found(of_long_episodes(900.0), many) == ["explored-in-vain"]
    assert found(of_long_episodes(1_000.0), many) == []


def test_many_environments_have_not_yet_come_to_an_end() -> None:
    """64 games of Pong, a thousand steps each at least: 60,000 env steps need not end one."""
    endless = of(replay__terminated=0.0, replay__truncated=0.0)
    assert found(endless, FACTS._replace(num_envs=24)) == ["no-episode-ends"]
    assert found(endless, FACTS._replace(num_envs=25)) == []


def test_priorities_that_are_all_alike_have_collapsed_too() -> None:
    alike = of(replay__priority_p5=0.3, replay__priority_p50=0.3, replay__priority_p95=0.3)
    assert found(alike) == ["priorities-collapsed"]


def test_a_small_ring_may_give_a_transition_twice() -> None:
    assert found(of(replay__duplicates=0.3), FACTS._replace(capacity=400)) == []
