"""DeviceStats: system load in rows of their own, whose step is env steps."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from support.resumed_runs import Rows
from support.short_fits import without_target
from support.short_runs import small_run

from lightning_dqn.callbacks import DeviceStats
from lightning_dqn.reporting.glossary import GLOSSARY

OF_THE_MACHINE = {"system/cpu_percent", "system/cpu_vm_percent", "system/cpu_swap_percent"}


def rows_of(make_trainer: Any, make_module: Any, make_data: Any, callback: DeviceStats) -> Any:
    """Return the rows of system load, with their steps, and those of training."""
    rows = Rows()
    trainer = make_trainer(callbacks=[callback], logger=rows, max_epochs=2, log_every_n_steps=2)
    trainer.fit(without_target(make_module), make_data())
    load = [(step, row) for step, row in rows.rows if any(k.startswith("system/") for k in row)]
    return load, [(step, row) for step, row in rows.rows if "train/loss" in row]


def test_each_row_of_training_has_one_of_system_load_at_its_env_steps(
    make_trainer, make_module, make_data
):
    load, training = rows_of(make_trainer, make_module, make_data, DeviceStats())
    assert len(load) == 3
    assert [step for step, _ in load] == [step for step, _ in training]
    for step, row in load:
        assert row.keys() == {*OF_THE_MACHINE, "time/env_steps"}
        assert row["time/env_steps"] == step
        assert all(0 <= row[key] <= 100 for key in OF_THE_MACHINE)


def test_the_machine_can_be_left_out(make_trainer, make_module, make_data):
    load, training = rows_of(make_trainer, make_module, make_data, DeviceStats(cpu_stats=False))
    assert load == []
    assert len(training) == 3


def test_of_an_accelerator_what_the_glossary_has_is_logged(
    make_trainer, make_module, make_data, monkeypatch
):
    trainer = make_trainer()
    found = {"allocated_bytes.all.current": 7, "num_ooms": 0, "active.large_pool.peak": 3}
    monkeypatch.setattr(trainer.accelerator, "get_device_stats", lambda device: found)
    monkeypatch.setattr(type(trainer.strategy), "root_device", _Device())
    told: list[Any] = []
    monkeypatch.setattr(
        "lightning_dqn.callbacks.device_stats.tell_row", lambda m, r: told.append(r)
    )
    DeviceStats().on_train_batch_end(trainer, make_module(), None, None, 0)
    [row] = told
    expected = {*OF_THE_MACHINE, "system/allocated_bytes.all.current", "system/num_ooms"}
    assert row.keys() == expected | {"time/env_steps"}
    assert expected <= GLOSSARY.keys()


class _Device:
    type = "cuda"


def test_the_word_in_the_configuration_reaches_the_csv_file(tmp_path: Path):
    small_run(tmp_path / "run", "+callbacks/device_stats=default", "test=false")
    with (tmp_path / "run" / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["system/cpu_percent"]]
    assert rows
    assert all(row["step"] == row["time/env_steps"] for row in rows)


def test_it_needs_a_module_that_counts_env_steps(make_trainer):
    import pytorch_lightning as pl

    with pytest.raises(TypeError, match="DeviceStats needs a DQN, not a LightningModule"):
        DeviceStats().on_train_batch_end(make_trainer(), pl.LightningModule(), None, None, 0)
