"""Each rule is provoked through the real fit; a healthy run of each shipped kind isn't told of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from proofs.doctor_table import SHORT, rules_asked
from support.provocations import PROVOCATIONS, fit

from lightning_dqn.runs.finished.examined import findings_of


@pytest.mark.slow
@pytest.mark.parametrize("name", PROVOCATIONS)
def test_a_run_that_does_it_wrong_is_found(name: str) -> None:
    _, provoke = PROVOCATIONS[name]
    assert name in [one.rule for one in provoke()]


def test_a_run_that_never_logged_what_a_rule_reads_proves_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(
        "replay/terminated,replay/truncated,step,train/updates\n,,8,1\n3,,16,2\n"
    )
    assert rules_asked(tmp_path) == ["replay-ratio-off"]


@pytest.mark.slow
def test_the_same_run_done_right_is_not_told_of() -> None:
    assert fit("CartPole-v1", epochs=12) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT)
def test_a_shipped_experiment_has_no_finding(name: str, tmp_path: Path) -> None:
    arguments = [f"+experiment={name}", *SHORT[name], "test=false", f"hydra.run.dir={tmp_path}"]
    subprocess.run([sys.executable, "-m", "lightning_dqn", *arguments], check=True)
    assert findings_of(tmp_path) == []
