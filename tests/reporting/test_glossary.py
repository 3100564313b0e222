"""The list of metrics, and which of them have a best value."""

from __future__ import annotations

import pytest

from lightning_dqn.reporting.glossary import BEST, GLOSSARY, best_is


def test_what_has_a_best_value_is_in_the_glossary() -> None:
    assert BEST.keys() <= GLOSSARY.keys()


@pytest.mark.parametrize(
    ("key", "best"),
    [
        ("eval/episode_return", "max"),
        ("rollout/episode_return", "max"),
        ("eval/q_rmse", "min"),
        ("eval/random/first/win_rate", "max"),
        ("eval/random/first/loss_rate", "min"),
        ("eval/exact/perfect/second/loss_rate", "min"),
        ("eval/random/first/draw_rate", None),
        ("eval/episode_return_std", None),
        ("test/episode_return", None),
        ("train/loss", None),
        ("time/env_steps", None),
    ],
)
def test_the_best_is_the_largest_or_the_least(key: str, best: str | None) -> None:
    assert best_is(key) == best
