"""Each rule is provoked through the real fit; a healthy run of each shipped kind isn't told of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from proofs.doctor_table import SHORT
from support.provocations import PROVOCATIONS, fit

from lightning_dqn.runs.examined import findings_of


@pytest.mark.slow
@pytest.mark.parametrize("name", PROVOCATIONS)
def test_a_run_that_does_it_wrong_is_found(name: str) -> None:
    _, provoke = PROVOCATIONS[name]
    assert name in [one.rule for one in provoke()]


@pytest.mark.slow
def test_the_same_run_done_right_is_not_told_of() -> None:
    assert fit("CartPole-v1", epochs=12) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT)
def test_a_shipped_experiment_has_no_finding(name: str, tmp_path: Path) -> None:
    arguments = [f"+experiment={name}", *SHORT[name], "test=false", f"hydra.run.dir={tmp_path}"]
    subprocess.run([sys.executable, "-m", "lightning_dqn", *arguments], check=True)
    assert findings_of(tmp_path) == []
