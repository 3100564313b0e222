"""Two ranks reach what one reaches, by the experiments' commands on two processes of one CPU.

Slow: `pytest -m slow tests/proofs/test_ranks.py`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from support.processes import command

TWO = ("trainer.devices=2", "trainer.strategy=ddp", "trainer.accelerator=cpu", "hydra.run.dir=run")


def summary_of(experiment: str, seed: int, folder: Path) -> dict[str, float]:
    """Train with two ranks and return what the run came to."""
    env = {"MASTER_ADDR": "127.0.0.1"}
    env |= {"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {}
    own = (f"+experiment={experiment}", f"seed={seed}", *TWO)
    result = command(*own, cwd=folder, timeout=3_000, **env)
    assert result.returncode == 0, result.stderr
    summary: dict[str, float] = json.loads((folder / "run" / "summary.json").read_text())
    return summary


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("seed", range(3))
def test_two_ranks_solve_cartpole(seed: int, tmp_path: Path) -> None:
    summary = summary_of("cartpole", seed, tmp_path)
    assert summary["episodes"] == 100
    assert summary["env_steps"] <= 50_000
    assert summary["episode_return"] >= 480.0


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_two_ranks_solve_tic_tac_toe(tmp_path: Path) -> None:
    summary = summary_of("tictactoe", 0, tmp_path)
    assert summary["episodes"] == 1_000
    assert summary["episode_return"] == 0.0, "against the perfect player, from both seats"
