"""Suites of the fake program in place of training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning_dqn.study.results import Failure
from lightning_dqn.study.suite import Suite
from lightning_dqn.study.sweep_results import SweepResults
from support.fake_studies import made_results

FAKE_SUITE = """
experiment: cartpole
key: +environment.game
table: atari_100k
games: [Pong, Breakout, Alien]
"""
"""Its experiment has no games, but nobody looks."""

HOW = {"epsilon": 0.001, "max_episode_steps": 10_000}


def write_fake_suite(folder: Path, text: str = FAKE_SUITE) -> None:
    """Make the suite ``fake`` known in a working folder."""
    (folder / "conf" / "suite").mkdir(parents=True, exist_ok=True)
    (folder / "conf" / "suite" / "fake.yaml").write_text(text)


def made_suite(
    folder: Path,
    scores: dict[str, tuple[float, ...]],
    *,
    table: str | None = "atari_100k",
    words: str = "algorithm=atari/der",
    **run: Any,
) -> SweepResults:
    """Return what a suite came to; a game without a score failed with its only seed.

    Args:
        folder: of the suite.
        scores: of the runs, by game.
        table: of the suite.
        words: of its command, which tell it apart.
        run: what else is to be known of each run.
    """
    suite = Suite("atari100k", "atari_100k", "environment.game", tuple(scores), table=table)
    how = {"evaluation": HOW, "episodes_cut": 0, "tested": "the last weights", **run}
    settings = []
    for game, returns in scores.items():
        one = made_results(folder, game, returns, (f"environment.game={game}",), **how)
        failed = (Failure(0, "boom", f"game={game},seed=0"),)
        settings.append(one if returns else replace(one, failures=failed))
    command = f"python -m lightning_dqn suite atari100k {words} games=all seeds=0,1"
    return SweepResults("atari100k", folder, command, tuple(settings), suite=suite)
