"""A run that was made is looked at by its metrics, with what it was told to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightning_dqn.diagnostics.doctor.rule import Facts
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.finished.examined import facts_of_run, findings_of, rows_of

CONFIG = """
data:
  batch_size: 64
  replay: {capacity: 1000, gamma: 0.9}
  evaluation: {environment: null}
environment: {num_envs: 3}
module: {max_gradient_norm: 5.0}
"""


def metrics(folder: Path, *lines: str) -> None:
    folder.joinpath("metrics.csv").write_text("\n".join(lines) + "\n")


def test_findings_come_from_the_rows(tmp_path: Path) -> None:
    metrics(
        tmp_path,
        "network/dormant_units,step,time/env_steps,train/loss",
        "0.9,1,100,",
        ",2,150,0.5",
        "0.95,3,200,",
    )
    [found] = findings_of(tmp_path)
    assert (found.rule, found.env_steps) == ("units-silent", 200)


def test_empty_cells_are_no_values_and_a_row_stands_at_what_was_told_last(
    tmp_path: Path,
) -> None:
    metrics(tmp_path, "step,train/loss,time/env_steps", "8,0.5,9", "7,,")
    assert list(rows_of(tmp_path)) == [
        (9, {"train/loss": 0.5}),
        (9, {}),
    ]


def test_facts_are_read_off_the_configuration_where_no_doctor_noted_them(tmp_path: Path) -> None:
    assert facts_of_run(tmp_path) == Facts()
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "config.yaml").write_text(CONFIG)
    expected = Facts(
        gamma=0.9,
        max_gradient_norm=5.0,
        batch_size=64,
        capacity=1000,
        evaluates_alike=True,
        num_envs=3,
        trains_both_sides=False,
        evaluates_both_sides=False,
    )
    assert facts_of_run(tmp_path) == expected
    (tmp_path / "findings.json").write_text('{"facts": {"gamma": 0.5, "of_later": 1}}')
    assert facts_of_run(tmp_path) == Facts(gamma=0.5)


def test_evaluation_in_self_play_is_not_alike(tmp_path: Path) -> None:
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "config.yaml").write_text(CONFIG.replace("0.9", "-0.9"))
    facts = facts_of_run(tmp_path)
    assert facts.evaluates_alike is False
    assert facts.trains_both_sides is facts.evaluates_both_sides is True


def test_a_folder_without_metrics_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"metrics\.csv is missing"):
        findings_of(tmp_path)


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "step\nx\n"])
def test_damaged_metrics_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises(ConfigError, match="can't be read as metrics"):
        findings_of(tmp_path)


def test_damaged_findings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "findings.json").write_text("[]")
    with pytest.raises(ConfigError, match="not what a doctor found"):
        facts_of_run(tmp_path)
