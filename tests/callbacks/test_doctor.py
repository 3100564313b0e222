"""The doctor tells a finding once, keeps it, goes on with a run, and moves nothing."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.demos.boring_classes import BoringModel

from lightning_dqn import ReplayConfig
from lightning_dqn.callbacks import Diagnostics, Doctor, EMATargetNetwork
from lightning_dqn.diagnostics.doctor.facts import facts_of
from lightning_dqn.diagnostics.doctor.rule import Facts
from lightning_dqn.reporting.csv_logger import csv_logger
from lightning_dqn.runs.finished.examined import facts_of_run, findings_of
from lightning_dqn.schedules import HorizonSchedule, LinearSchedule, RestartedSchedule


def sick(make_data: Any) -> Any:
    """Data of which values beyond returns come: rewards of 1 can't add up to more than 1.01."""
    return make_data(replay=ReplayConfig(gamma=0.01), env_steps_per_epoch=64, batch_size=8)


def fit(trainer: pl.Trainer, module: Any, data: Any, **arguments: Any) -> list[str]:
    """Fit and return what was told of it."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        trainer.fit(module, data, **arguments)
    return [text for one in told if (text := str(one.message)).startswith("doctor:")]


def far_off(module: Any) -> Any:
    """A module that says 50 whatever it sees."""
    with torch.no_grad():
        list(module.q_network.parameters())[-1].fill_(50.0)
    return module


@pytest.fixture
def callbacks() -> list[pl.Callback]:
    return [EMATargetNetwork(tau=0.1), Diagnostics(every_n_env_steps=8)]


def test_a_finding_is_told_once_and_kept_in_the_run_folder(
    tmp_path: Path, make_trainer: Any, make_data: Any, make_module: Any, callbacks: Any
) -> None:
    doctor = Doctor(tmp_path / "run")
    trainer = make_trainer(callbacks=[*callbacks, doctor], log_every_n_steps=1)
    told = fit(trainer, far_off(make_module()), sick(make_data))
    assert [line.split()[1] for line in told].count("values-beyond-returns") == 1
    kept = json.loads((tmp_path / "run" / "findings.json").read_text())
    [finding] = [one for one in kept["findings"] if one["rule"] == "values-beyond-returns"]
    assert finding["env_steps"] < finding["last_env_steps"] <= 80
    assert finding["remedy"] in told[0]
    assert Facts.of(kept["facts"]).gamma == 0.01


RISING = HorizonSchedule(0.9, 0.99, 1_000)


@pytest.mark.parametrize(
    ("gamma", "largest"),
    [
        (0.9, 0.9),
        (-0.9, -0.9),
        (RISING, 0.99),
        (RestartedSchedule(RISING, 50), 0.99),
        (LinearSchedule(0.99, 0.9, 50), 0.99),
        (lambda env_steps: 0.9, None),
    ],
)
def test_returns_are_bounded_by_the_largest_discount_there_is(
    make_data: Any, make_module: Any, gamma: Any, largest: float | None
) -> None:
    data = make_data(replay=ReplayConfig(gamma=gamma))
    assert facts_of(make_module(), data).gamma == largest


def test_a_healthy_run_says_so_in_its_folder(
    tmp_path: Path, make_trainer: Any, make_data: Any, make_module: Any, callbacks: Any
) -> None:
    trainer = make_trainer(callbacks=[*callbacks, Doctor(tmp_path)], log_every_n_steps=1)
    assert fit(trainer, make_module(), make_data()) == []
    assert json.loads((tmp_path / "findings.json").read_text())["findings"] == []


def test_metrics_show_afterwards_what_was_told_before(
    tmp_path: Path, make_trainer: Any, make_data: Any, make_module: Any, callbacks: Any
) -> None:
    doctor = Doctor(tmp_path)
    trainer = make_trainer(
        callbacks=[*callbacks, doctor], log_every_n_steps=1, logger=csv_logger(tmp_path)
    )
    fit(trainer, far_off(make_module()), sick(make_data))
    assert findings_of(tmp_path) == doctor.findings != []
    assert facts_of_run(tmp_path).batch_size == 8


def test_what_is_learned_is_the_same_with_and_without_it(
    make_trainer: Any, make_data: Any, make_module: Any, callbacks: Any
) -> None:
    weights = []
    for more in ([], [Doctor()]):
        module = make_module()
        trainer = make_trainer(callbacks=[*callbacks, *more], log_every_n_steps=1)
        fit(trainer, module, make_data())
        weights.append([p.detach().clone() for p in module.parameters()])
    assert all(map(torch.equal, *weights))


def test_a_continued_run_does_not_tell_again(
    tmp_path: Path, make_trainer: Any, make_data: Any, make_module: Any
) -> None:
    def trainer(epochs: int, doctor: Doctor) -> pl.Trainer:
        return make_trainer(
            callbacks=[
                EMATargetNetwork(tau=0.1),
                Diagnostics(every_n_env_steps=8),
                doctor,
                ModelCheckpoint(tmp_path, save_last=True),
            ],
            enable_checkpointing=True,
            max_epochs=epochs,
            log_every_n_steps=1,
        )

    first, second = Doctor(), Doctor()
    assert fit(trainer(1, first), far_off(make_module()), sick(make_data)) != []
    path = tmp_path / "last.ckpt"
    told = fit(
        trainer(2, second), make_module(), sick(make_data), ckpt_path=path, weights_only=True
    )
    assert not any("values-beyond-returns" in line for line in told)
    assert second.findings[0].env_steps == first.findings[0].env_steps
    assert second.findings[0].last_env_steps > first.findings[0].last_env_steps


def test_a_checkpoint_that_was_evaluated_leaves_the_next_fit_no_findings(
    tmp_path: Path, make_trainer: Any, make_data: Any, make_module: Any, callbacks: Any
) -> None:
    doctor = Doctor()
    trainer = make_trainer(callbacks=[*callbacks, doctor], log_every_n_steps=1)
    assert fit(trainer, far_off(make_module()), sick(make_data)) != []
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    trainer.test(make_module(), sick(make_data), ckpt_path=tmp_path / "a.ckpt", verbose=False)
    trainer = make_trainer(callbacks=[*callbacks, doctor], log_every_n_steps=1)
    assert fit(trainer, make_module(), make_data()) == []
    assert doctor.findings == []


def test_a_folder_that_can_not_be_written_ends_no_run(
    tmp_path: Path, make_trainer: Any, make_data: Any, make_module: Any
) -> None:
    (tmp_path / "file").write_text("")
    trainer = make_trainer(callbacks=[EMATargetNetwork(tau=0.1), Doctor(tmp_path / "file")])
    with pytest.warns(UserWarning, match="couldn't be written"):
        trainer.fit(make_module(), make_data())


def test_it_looks_at_a_dqn_alone(make_trainer: Any) -> None:
    with pytest.raises(TypeError, match="Doctor needs a DQN, not a BoringModel"):
        make_trainer(callbacks=[Doctor()]).fit(BoringModel())
