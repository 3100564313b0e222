"""Where returns can't tell which checkpoint is the best, the last one counts as such."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.short_runs import small_config, small_run

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.experiment import prepare
from lightning_dqn.runs.finished.finished_run import FinishedRun

ID = "environment.id=lightning_dqn/TicTacToe-v0"
SELF_PLAY = (ID, "data.replay.gamma=-0.9")
PAST_SELVES = (
    ID,
    "+environment.kwargs.opponent._target_=lightning_dqn.games.opponents.past_selves.PastSelves",
    "+callbacks/promote_past_self=default",
)
ELSEWHERE = (
    "+data.evaluation.environment._target_=lightning_dqn.environments.factory.EnvironmentFactory",
    "+data.evaluation.environment.id=${environment.id}",
    "+data.evaluation.environment.kwargs.opponent=random",
)
BY_REGRET = (
    "+callbacks/exact_metrics=default",
    "callbacks.best_checkpoint.monitor=eval/mean_regret",
    "callbacks.best_checkpoint.mode=min",
)


def test_of_self_play_the_last_weights_are_tested_and_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        summary = small_run(tmp_path / "run", *SELF_PLAY)
    [line] = [one for one in caplog.messages if one.startswith("callbacks.best_checkpoint: ")]
    assert "so the last checkpoint counts as the best; evaluate against an opponent" in line
    assert summary.tested == "the last weights"
    assert str(summary).splitlines()[0].startswith("small: rewards of both sides ")
    checkpoints = tmp_path / "run" / "checkpoints"
    assert not (checkpoints / "best.ckpt").exists()
    (tmp_path / "run" / "module.safetensors").unlink()  # as where it was interrupted
    assert FinishedRun.find(tmp_path / "run").weights == checkpoints / "last.ckpt"


@pytest.mark.parametrize(
    ("overrides", "kept", "why"),
    [
        (SELF_PLAY, 0, "sum of both sides' rewards"),
        ((*SELF_PLAY, "callbacks.best_checkpoint.save_top_k=3"), 0, "sum of both sides' rewards"),
        ((*SELF_PLAY, *ELSEWHERE), 1, None),
        ((*SELF_PLAY, *BY_REGRET), 1, None),
        ((*SELF_PLAY, "callbacks.best_checkpoint=null"), None, None),
        (PAST_SELVES, 0, "against PastSelves, which get stronger"),
        ((*PAST_SELVES, *ELSEWHERE), 1, None),
        ((), 1, None),
    ],
)
def test_the_best_is_kept_where_it_can_be_told(
    overrides: tuple[str, ...], kept: int | None, why: str | None, tmp_path: Path
) -> None:
    experiment = prepare(small_config(tmp_path, *overrides))
    best = experiment.config.callbacks.best_checkpoint
    assert (None if best is None else best.save_top_k) == kept
    assert (experiment.note is None) == (why is None)
    assert why is None or why in str(experiment.note)


def test_a_run_that_was_to_end_by_returns_of_self_play_is_refused(tmp_path: Path) -> None:
    config = small_config(tmp_path, *SELF_PLAY, "callbacks=early_stopping")
    with pytest.raises(ConfigError, match=r"^callbacks: EarlyStopping\(monitor='eval/episode_ret"):
        prepare(config)
