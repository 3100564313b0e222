"""From a configuration to all that a run is made of: what is built, refused and counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from omegaconf import open_dict
from pytorch_lightning.accelerators import CPUAccelerator
from support.short_runs import small_config

from lightning_dqn.callbacks import EMATargetNetwork, EnvStepProgressBar, SafeStop
from lightning_dqn.environments.workers import WorkerVectorEnv
from lightning_dqn.formats.saved import save_weights
from lightning_dqn.replay.samplers.lambda_returns import LambdaReturns
from lightning_dqn.runs.budget import refuse_nothing_left
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.experiment import build_trainer, prepare, rehearse


def test_module_and_data_are_those_of_the_configuration(tmp_path: Path) -> None:
    config = small_config(
        tmp_path / "run",
        "data.batch_size=5",
        "data/sampler=lambda_returns",
        "data.sampler.minibatches=3",
        "module.target.double=false",
        "environment.num_envs=3",
        "module.network.dueling=true",
        "seed=4",
    )
    experiment = prepare(config)
    assert experiment.config is config
    assert experiment.data.environment.num_envs == 3
    assert experiment.data.seed == 4
    assert experiment.data.sampling == LambdaReturns(minibatches=3)
    assert experiment.module.spec == experiment.data.environment.spec
    assert experiment.module.hparams["network"]["dueling"] is True
    assert experiment.module.hparams["network"]["layers"] == ["Flatten", {"Linear": 8}, "ReLU"]
    assert not (tmp_path / "run").exists()


def test_the_seed_decides_on_the_weights(tmp_path: Path) -> None:
    first, again, other = (
        prepare(small_config(tmp_path, f"seed={seed}")).module.q_network.state_dict()
        for seed in (1, 1, 2)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_a_callback_or_a_logger_is_taken_away_by_null(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    before = build_trainer(config)
    taken = [f"callbacks.{name}=null" for name in config.callbacks]
    config = small_config(tmp_path, *taken, "logger.csv=null")
    experiment = prepare(config)
    rehearse(experiment)
    left = {type(one).__name__ for one in experiment.trainer.callbacks}
    assert {type(one).__name__ for one in before.callbacks} - left >= {"Diagnostics", "Doctor"}
    assert "EMATargetNetwork" not in left
    assert experiment.trainer.loggers == []


REFUSED = {
    "seed=-1": "seed=-1: expected a whole number from 0",
    "seed=true": "seed=True: expected a whole number from 0",
    "num_threads=1.5": "num_threads=1.5: expected a whole number from 1, or null",
    "ckpt_path=nowhere": "ckpt_path=nowhere: there is no such file",
    "environment.id=Nowhere-v0": "environment.id=Nowhere-v0: ",
    "environment.id=lightning_dqn/TicTacToe-v0": "data.replay.gamma=0.99: in this environment the",
    "data.replay.capacity=100_000_000_000_000": "data.replay.capacity=100000000000000: ",
    "trainer.precision=64": "trainer.precision=64: choose 32-true or bf16-mixed",
    "trainer.strategy=ddp_spawn": "trainer.strategy=ddp_spawn: ",
    "trainer.devices=2 data.batch_size=9": "data.batch_size=9: is of all 2 ranks together",
    "callbacks.target_network=3": "callbacks.target_network=3: expected a mapping with a _target_",
    "callbacks.target_network.every_n_updates=abc": (
        "callbacks.target_network.every_n_updates='abc': expected a whole number or null"
    ),
    "callbacks.target_network.every_n_updates=0": (
        "callbacks.target_network.every_n_updates=0: at least 1"
    ),
    "callbacks.target_network.start=1.5": "callbacks.target_network.start=1.5: expected a whole",
    "+callbacks.target_network.every=3": "callbacks.target_network: TypeError: ",
    "callbacks.best_checkpoint.save_top_k=abc": "callbacks.best_checkpoint.save_top_k='abc': ",
    "logger.csv=3": "logger.csv=3: expected a mapping with a _target_",
    "data/sampler=lambda_returns module/target/munchausen=default": "module.target.munchausen=Mun",
    "data/sampler=lambda_returns": "module.target.double=True: lambda-returns hold",
    "data/sampler=online data.replay.n_step=3": "data.replay.n_step=3: ",
}


@pytest.mark.parametrize(("overrides", "message"), REFUSED.items())
def test_what_cannot_run_is_refused_by_its_key(
    overrides: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as refused:
        prepare(small_config(tmp_path / "run", *overrides.split()))
    assert str(refused.value).startswith(message)
    assert len(str(refused.value).splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_key_of_0_1_at_the_root_is_laid_over_what_it_is_now(tmp_path: Path) -> None:
    config = small_config(tmp_path, "module/head=categorical")
    with open_dict(config):
        config.value_range = {"min": -3.0}
    with pytest.warns(FutureWarning, match=r"value_range is now hints\.value_range; the old key"):
        prepare(config)
    assert config.hints.value_range == {"min": -3.0, "max": 100.0}
    assert config.module.head.v_min == -3.0


def test_a_trainer_has_the_callbacks_and_the_loggers_of_the_configuration(tmp_path: Path) -> None:
    config = small_config(tmp_path, "trainer.enable_progress_bar=true")
    trainer = build_trainer(config)
    kinds = [type(callback) for callback in trainer.callbacks]
    assert EMATargetNetwork in kinds
    assert EnvStepProgressBar in kinds
    first, second, third = trainer.checkpoint_callbacks
    assert (first.filename, second.filename) == ("best", "last")
    assert isinstance(third, SafeStop)
    assert [Path(logger.log_dir) for logger in trainer.loggers] == [tmp_path]
    assert Path(trainer.default_root_dir) == tmp_path
    assert trainer.max_epochs == 2


def test_a_trainer_without_progress_checkpoints_and_loggers_has_none(tmp_path: Path) -> None:
    config = small_config(
        tmp_path,
        "~callbacks.best_checkpoint",
        "~callbacks.last_checkpoint",
        "~callbacks.safe_stop",
        "~logger.csv",
        "+trainer.default_root_dir=elsewhere",
    )
    trainer = build_trainer(config)
    assert not [c for c in trainer.callbacks if isinstance(c, pl.callbacks.ProgressBar)]
    assert trainer.checkpoint_callbacks == []
    assert trainer.loggers == []
    assert Path(trainer.default_root_dir).name == "elsewhere"


def test_callbacks_are_rehearsed_before_a_run(tmp_path: Path) -> None:
    overrides = ["+callbacks/reset=periodic", "callbacks.reset.include=nothing_of_that_name"]
    experiment = prepare(small_config(tmp_path / "run", *overrides))
    with pytest.raises(ConfigError, match=r"^callbacks\.reset"):
        rehearse(experiment)
    rehearse(prepare(small_config(tmp_path / "run", "+callbacks/average_network=slow")))
    assert not (tmp_path / "run").exists()
    assert WorkerVectorEnv.while_waiting is None


def test_devices_that_turn_out_to_be_several_are_to_be_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CPUAccelerator, "auto_device_count", staticmethod(lambda: 2))
    with pytest.raises(
        ConfigError, match=r"trainer.devices=auto: there are 2, .*devices=2 trainer"
    ):
        prepare(small_config(tmp_path, "trainer.devices=auto", "trainer.accelerator=cpu"))


@pytest.mark.parametrize("form", ["folder", "checkpoint"])
def test_a_run_begins_with_the_network_of_another(form: str, tmp_path: Path) -> None:
    other = prepare(small_config(tmp_path, "seed=7"))
    trainer = build_trainer(small_config(tmp_path, "~logger.csv"))
    trainer.fit(other.module, other.data)
    path = tmp_path / "other.ckpt" if form == "checkpoint" else tmp_path / "other"
    if form == "checkpoint":
        trainer.save_checkpoint(path)
    else:
        save_weights(other.module.agent, path, other.module.hparams)
    learned = other.module.q_network.state_dict()
    module = prepare(
        small_config(tmp_path, f"weights_from={path}", "module.optimizer.lr=0.5")
    ).module
    for network in (module.q_network, module.target_network):
        assert all(torch.equal(network.state_dict()[name], learned[name]) for name in learned)
    assert (module.updates, module.env_steps) == (0, 0)


def test_another_network_or_no_file_to_begin_with_is_refused(tmp_path: Path) -> None:
    save_weights(prepare(small_config(tmp_path)).module.agent, tmp_path / "other")
    overrides = (f"weights_from={tmp_path / 'other'}", "module.network.hidden=[5]")
    with pytest.raises(ConfigError, match=r"^weights_from: .*other holds another network: size"):
        prepare(small_config(tmp_path, *overrides))
    with pytest.raises(ConfigError, match=r"^weights_from: .*nowhere"):
        prepare(small_config(tmp_path, f"weights_from={tmp_path / 'nowhere'}"))


def test_a_file_of_more_than_plain_values_is_refused_without_a_way_that_no_key_has(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.ckpt"
    torch.save({"callbacks": {"Mine": {"best": np.float64(1.0)}}}, path)
    for key, check in (("weights_from", prepare), ("ckpt_path", refuse_nothing_left)):
        with pytest.raises(ConfigError, match=rf"^{key}: .*more than tensors and plain") as refused:
            check(small_config(tmp_path, f"{key}={path}"))
        assert "weights_only" not in str(refused.value)
