"""Which of several processes this is, and that all of them work in one folder."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

import pytest
from omegaconf import OmegaConf

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.ranks import (
    asks_for_several,
    check_common_folder,
    check_launcher,
    let_the_first_end,
    rank_of,
)

TORCHRUN = {"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4"}


def config(folder: str = "runs/${now:%H}", **trainer: Any) -> Any:
    return OmegaConf.create({"trainer": trainer, "hydra": {"run": {"dir": folder}}})


@pytest.mark.parametrize(
    ("trainer", "several"),
    [
        ({}, False),
        ({"devices": 1, "strategy": "auto", "num_nodes": 1}, False),
        ({"devices": [1]}, False),
        ({"devices": "auto"}, False),
        ({"devices": 2}, True),
        ({"devices": -1}, True),
        ({"devices": [0, 3]}, True),
        ({"devices": 1, "num_nodes": 2}, True),
        ({"devices": "auto", "strategy": "ddp"}, True),
    ],
)
def test_several_are_asked_for_by_devices_nodes_or_strategy(
    trainer: dict[str, Any], several: bool
) -> None:
    assert asks_for_several(config(**trainer)) == several


@pytest.mark.parametrize(
    ("environment", "rank"),
    [
        ({}, 0),
        (TORCHRUN, 3),
        ({"SLURM_PROCID": "2", "SLURM_NTASKS": "4"}, 2),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_JOB_NAME": "bash"}, 0),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "LOCAL_RANK": "1", "NODE_RANK": "0"}, 1),
        ({"LOCAL_RANK": "1", "NODE_RANK": "0", "WORLD_SIZE": "2"}, 1),
        ({"LOCAL_RANK": "0", "NODE_RANK": "0", "WORLD_SIZE": "2"}, 0),
        ({"LOCAL_RANK": "0", "NODE_RANK": "1", "WORLD_SIZE": "2"}, 1),
    ],
)
def test_each_launcher_tells_a_process_its_number(environment: dict[str, str], rank: int) -> None:
    assert rank_of(config(devices=2), environment) == rank
    assert rank_of(config(devices=1), environment) == 0, "a run of its own"


def test_processes_of_a_launcher_need_a_folder_for_all() -> None:
    with pytest.raises(ConfigError, match=r"hydra.run.dir: each process that torchrun or SLURM"):
        check_common_folder(config(devices=2), TORCHRUN)
    check_common_folder(config("runs/one", devices=2), TORCHRUN)
    check_common_folder(config(devices=2), {"LOCAL_RANK": "1", "WORLD_SIZE": "2"})
    by_hand = {"SLURM_PROCID": "0", "SLURM_NTASKS": "2", "SLURM_JOB_NAME": "interactive"}
    check_common_folder(config(devices=2), by_hand)
    with pytest.raises(ConfigError, match=r"hydra.run.dir: each process"):
        check_common_folder(config(devices=2), {**by_hand, "SLURM_JOB_NAME": "dqn"})
    check_common_folder(config(devices=1), TORCHRUN)


@pytest.mark.parametrize(
    ("launcher", "can"),
    [
        ("hydra._internal.core_plugins.basic_launcher.BasicLauncher", True),
        ("lightning_dqn.study.processes.Processes", True),
        ("hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher", False),
    ],
)
def test_ranks_are_started_by_jobs_that_are_processes_of_the_command_line(
    launcher: str, can: bool
) -> None:
    asked = config(devices=2)
    asked.hydra.launcher = {"_target_": launcher}
    if can:
        check_launcher(asked)
    else:
        with pytest.raises(ConfigError, match="from the jobs of JoblibLauncher; choose"):
            check_launcher(asked)
    asked.trainer.devices = 1
    check_launcher(asked)


def test_who_waits_for_the_first_to_end_goes_at_a_signal_without_a_word() -> None:
    before = signal.getsignal(signal.SIGTERM)
    since = time.monotonic()
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    try:
        let_the_first_end(os.getppid())
    finally:
        timer.join()
        signal.signal(signal.SIGTERM, before)
    assert 0.2 <= time.monotonic() - since < 30.0
