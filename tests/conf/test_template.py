"""Idioms that people know from templates: debug, trainer, logger, callbacks, tags."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hydra.core.hydra_config import HydraConfig
from support.processes import command

from lightning_dqn.runs.compose import compose
from lightning_dqn.runs.experiment import prepare
from lightning_dqn.runs.run import run

EXPERIMENTS = ("cartpole", "tictactoe", "connect_four", "frozen_lake")


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_debug_fast_runs_every_part_of_an_experiment_once(experiment: str, tmp_path: Path) -> None:
    config = compose([f"+experiment={experiment}", "+debug=fast", "trainer=cpu"])
    config.run_dir = str(tmp_path / "run")
    config.trainer.enable_progress_bar = False
    summary = run(prepare(config))
    assert summary.updates > 0
    assert summary.episodes == 4
    assert (tmp_path / "run" / "module.safetensors").is_file()


def test_debug_profile_prints_where_the_time_goes(tmp_path: Path) -> None:
    short = ("data.env_steps_per_epoch=512", "data.collection.warmup_env_steps=64")
    result = command("+debug=profile", "trainer=cpu", *short, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "Profiler Report" in result.stdout
    assert "run_training_batch" in result.stdout


def test_debug_overfit_brings_the_loss_down(tmp_path: Path) -> None:
    config = compose(["+debug=overfit", "trainer=cpu", "data.updates_per_iteration=4"])
    config.run_dir = str(tmp_path)
    config.trainer.enable_progress_bar = False
    assert run(prepare(config)).updates == 4 * 256
    with (tmp_path / "metrics.csv").open() as file:
        losses = [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]
    assert sum(losses[-32:]) < 0.1 * sum(losses[:32])


@pytest.mark.parametrize(("choice", "accelerator"), [("cpu", "cpu"), ("gpu", "gpu")])
def test_a_device_is_chosen_beside_any_experiment(choice: str, accelerator: str) -> None:
    for experiment in EXPERIMENTS:
        config = compose([f"+experiment={experiment}", f"trainer={choice}"])
        assert config.trainer.accelerator == accelerator
        assert (
            config.trainer.max_epochs == compose([f"+experiment={experiment}"]).trainer.max_epochs
        )


def test_early_stopping_ends_a_run_that_is_good_enough(tmp_path: Path) -> None:
    chosen = ["callbacks=early_stopping", "callbacks.early_stopping.stopping_threshold=5"]
    config = compose(["+experiment=cartpole", "+debug=fast", "trainer=cpu", *chosen])
    config.run_dir = str(tmp_path)
    config.trainer.max_epochs = 50
    assert run(prepare(config)).env_steps < 3_000


@pytest.mark.parametrize(
    ("logger", "names"),
    [
        ("csv", {"csv"}),
        ("wandb", {"csv", "wandb"}),
        ("tensorboard", {"csv", "tensorboard"}),
        ("mlflow", {"csv", "mlflow"}),
        ("many", {"csv", "tensorboard", "wandb"}),
    ],
)
def test_loggers_stand_beside_the_csv_file(logger: str, names: set[str]) -> None:
    assert set(compose([f"logger={logger}"]).logger) == names


def test_tags_are_kept_with_the_run_and_go_to_wandb(tmp_path: Path) -> None:
    config = compose(["tags=[a,b]", "logger=wandb"])
    assert config.logger.wandb.tags == ["a", "b"]
    config = compose(["+debug=fast", "trainer=cpu", "tags=[a,b]"])
    config.run_dir = str(tmp_path)
    run(prepare(config))
    assert json.loads((tmp_path / "summary.json").read_text())["tags"] == ["a", "b"]
    assert not HydraConfig.initialized()


def test_the_log_has_what_the_terminal_shows_and_how_it_ended(tmp_path: Path) -> None:
    (tmp_path / "of_a_test.py").write_text(
        "import gymnasium\nclass Breaks(gymnasium.Wrapper):\n"
        "    steps = 0\n"
        "    def step(self, action):\n"
        "        Breaks.steps += 1\n"
        "        if Breaks.steps > 1_500: raise RuntimeError('the pole is gone')\n"
        "        return self.env.step(action)\n"
    )
    arguments = ["+debug=fast", "trainer=cpu", "hydra.run.dir=run", "print_config=true"]
    wrapper = "environment.wrappers=[{_target_: of_a_test.Breaks, _partial_: true}]"
    result = command(*arguments, wrapper, "trainer.max_epochs=9", cwd=tmp_path)
    assert result.returncode == 1
    log = (tmp_path / "run" / "train.log").read_text()
    for line in result.stdout.splitlines():
        assert line in log
    assert "8 environments CartPole-v1" in result.stdout
    assert "evaluation return" in result.stdout
    assert "RuntimeError: the pole is gone" in log
