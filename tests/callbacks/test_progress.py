"""Progress: a line for each evaluation everywhere, a bar only on a terminal."""

import sys

import pytest
import pytorch_lightning as pl
from tqdm import tqdm

from lightning_dqn.callbacks import EMATargetNetwork, EnvStepProgressBar


@pytest.fixture
def fit(make_module, make_data, make_trainer):
    def run(*callbacks, **arguments):
        module, data = make_module(), make_data()
        trainer = make_trainer(
            callbacks=[EMATargetNetwork(tau=0.1), *callbacks],
            enable_progress_bar=True,
            **{"limit_val_batches": 2, "log_every_n_steps": 1, **arguments},
        )
        trainer.fit(module, data)
        return module, data

    return run


def test_each_evaluation_is_one_line_with_env_steps_and_return(fit, capsys):
    module, _ = fit(EnvStepProgressBar())
    [line] = [line for line in capsys.readouterr().out.splitlines() if "evaluation return" in line]
    assert f"{module.env_steps:,}" in line
    assert "env steps/s" in line


def test_nothing_moves_where_nobody_watches(fit, capsys):
    fit(EnvStepProgressBar())
    assert "warm-up" not in capsys.readouterr().err


def test_on_a_terminal_the_bar_counts_every_env_step_from_the_warm_up_on(fit, monkeypatch, capsys):
    shown = []

    class Bar(tqdm):
        def update(self, n=1):
            shown.append((self.desc, n))
            return super().update(n)

    monkeypatch.setattr("lightning_dqn.callbacks.progress.tqdm", Bar)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    module, data = fit(EnvStepProgressBar())
    assert shown[0][0].startswith("warm-up")
    assert shown[-1][0].startswith("training")
    assert sum(n for _, n in shown) == module.env_steps
    assert data.after_collection == []


def test_the_bar_needs_no_rows_of_training(fit, monkeypatch):
    class Logs(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, *args):
            pl_module.log("rollout/episode_return", 1.0)

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    module, _ = fit(EnvStepProgressBar(), Logs(), log_every_n_steps=0)
    assert module.updates == 12


def test_the_bar_ends_where_limits_end_the_run(fit, monkeypatch):
    totals = []

    class Bar(tqdm):
        def update(self, n=1):
            totals.append(self.total)
            super().update(n)

    monkeypatch.setattr("lightning_dqn.callbacks.progress.tqdm", Bar)
    endless = {"max_epochs": -1, "max_steps": 5}
    for limits in ({}, {"limit_train_batches": 2}, {"max_steps": 1}, endless, {"max_epochs": 2}):
        module, _ = fit(EnvStepProgressBar(), **limits)
        assert {*totals} == {module.env_steps}
        totals.clear()


def test_a_disabled_bar_says_nothing(fit, capsys):
    bar = EnvStepProgressBar()
    bar.disable()
    fit(bar)
    captured = capsys.readouterr()
    assert "evaluation return" not in captured.out
    assert "warm-up" not in captured.err
