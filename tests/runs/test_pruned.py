"""A run that its search gave up ends there, and says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightning_dqn.reporting.optuna_study import JOURNAL, METRIC, PRUNER, STUDY, open_storage
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.compose import compose
from lightning_dqn.runs.experiment import prepare
from lightning_dqn.runs.pruned import Pruned, read_pruned
from lightning_dqn.runs.run import run
from lightning_dqn.system.files import PRUNED


def test_a_run_that_was_given_up_is_neither_tested_nor_summed_up(tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna")
    study = optuna.create_study(storage=open_storage(tmp_path / JOURNAL), study_name=STUDY)
    study.set_user_attr(METRIC, "eval/episode_return")
    study.set_user_attr(PRUNER, {"_target_": "optuna.pruners.ThresholdPruner", "lower": 1_000})
    study.ask()
    told = ["+callbacks/prune_trial=default", "callbacks.prune_trial.trial=0"]
    config = compose(["+debug=fast", "trainer=cpu", *told])
    config.run_dir = str(tmp_path / "run")
    config.trainer.enable_progress_bar = False
    ended = run(prepare(config))
    assert ended == read_pruned(tmp_path / "run")
    assert isinstance(ended, Pruned)
    assert 512 <= ended.env_steps < 2 * 512 + 512
    assert str(ended).startswith(f"pruned at {ended.env_steps:,} env steps, eval/episode_return")
    assert not (tmp_path / "run" / "summary.json").exists()
    assert "test/" not in (tmp_path / "run" / "metrics.csv").read_text()


def test_a_run_that_wasnt_given_up_has_no_word_of_it(tmp_path: Path) -> None:
    assert read_pruned(tmp_path) is None


@pytest.mark.parametrize("text", ["", "[]", '{"env_steps": 3}'])
def test_a_broken_word_of_it_is_told_by_its_path(text: str, tmp_path: Path) -> None:
    (tmp_path / PRUNED).write_text(text)
    with pytest.raises(ConfigError, match=r"pruned.json: not where a run was pruned"):
        read_pruned(tmp_path)
