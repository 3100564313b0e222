"""A trial is short, writes nothing that stays, and measures what a run would do."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from support.short_runs import small_config

from lightning_dqn.runs.trial import shortened, try_run


@pytest.fixture
def config(tmp_path: Path) -> Any:
    return small_config(tmp_path)


def test_a_trial_measures_both_halves_of_an_iteration_and_what_they_take(config: Any) -> None:
    trial = try_run(config, 1.0)
    assert len(trial.collecting) == len(trial.learning) > 3
    assert 0 < trial.collecting_seconds < 1
    assert 0 < trial.learning_seconds < 1
    assert trial.parameters * 4 * 3 < trial.network_bytes < trial.parameters * 4 * 20
    assert trial.peak_bytes > 50e6
    assert trial.checkpoint_bytes > trial.parameters * 4
    assert trial.rows > 0
    assert trial.warmup_seconds > 0


def test_a_trial_leaves_nothing_behind(
    config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, threads = OmegaConf.to_yaml(config), torch.get_num_threads()
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    run_dir = sorted(Path(config.run_dir).rglob("*"))
    try_run(config, 1.0)
    assert list(folder.iterdir()) == []
    assert sorted(Path(config.run_dir).rglob("*")) in (run_dir, [*run_dir, folder])
    assert OmegaConf.to_yaml(config) == before
    assert torch.get_num_threads() == threads


def test_a_trial_keeps_what_learning_costs_and_cuts_the_rest(tmp_path: Path) -> None:
    config = small_config(
        tmp_path,
        "data.replay.capacity=1000000",
        "data.replay.storage=memmap",
        f"data.replay.directory={tmp_path}",
        "data.collection.warmup_env_steps=50000",
    )
    short = shortened(config, tmp_path)
    assert list(short.callbacks) == ["target_network"]
    assert not short.logger
    assert short.data.replay.capacity == 20_000
    assert short.data.replay.storage == "cpu", "a file of the whole size takes its time"
    assert short.data.replay.directory is None
    assert short.data.collection.warmup_env_steps < 2_000
    assert short.data.updates_per_iteration == config.data.updates_per_iteration
