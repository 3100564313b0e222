"""Progress: a line for each evaluation everywhere, a bar only on a terminal."""

import sys

import pytest
from tqdm import tqdm

from lightning_dqn.callbacks import EMATargetNetwork, EnvStepProgressBar


@pytest.fixture
def fit(make_module, make_data, make_trainer):
    def run(*callbacks):
        module, data = make_module(), make_data()
        trainer = make_trainer(
            callbacks=[EMATargetNetwork(tau=0.1), *callbacks],
            enable_progress_bar=True,
            limit_val_batches=2,
            log_every_n_steps=1,
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


def test_a_disabled_bar_says_nothing(fit, capsys):
    bar = EnvStepProgressBar()
    bar.disable()
    fit(bar)
    captured = capsys.readouterr()
    assert "evaluation return" not in captured.out
    assert "warm-up" not in captured.err
