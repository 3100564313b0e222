"""Which of several processes of a run this is, before torch is there to ask.

Lightning starts the others of a run with the command line of the first; torchrun and SLURM start
all of them alike. All compose the same configuration, one writes the run's folder.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lightning_dqn.runs.build import ConfigError

_BY_HAND = ("bash", "interactive")
"""Names of SLURM's jobs in which Lightning starts processes itself."""

_SECONDS_FOR_THE_FIRST = 60.0


def asks_for_several(config: DictConfig) -> bool:
    """Tell whether a configuration asks for several processes that learn together."""
    trainer = config.trainer
    devices: Any = trainer.get("devices", 1)
    if OmegaConf.is_list(devices):
        devices = len(devices)
    is_ddp = str(trainer.get("strategy", "auto")).startswith("ddp")
    return is_ddp or str(devices) not in ("1", "auto", "None") or trainer.get("num_nodes", 1) != 1


def rank_of(config: DictConfig, environment: Mapping[str, str]) -> int:
    """Return the number of this process among those of its run, 0 where it is alone.

    Args:
        config: of the run.
        environment: of the process.
    """
    if not asks_for_several(config):
        return 0
    if (number := _number_by_launcher(environment)) is not None:
        return number
    local, node = (environment.get(name, "0") for name in ("LOCAL_RANK", "NODE_RANK"))
    return 0 if int(local) == int(node) == 0 else max(1, int(local))


def _number_by_launcher(environment: Mapping[str, str]) -> int | None:
    """Return what torchrun or SLURM tells a process of its number among all, None if neither does.

    A process that Lightning started, in a job of SLURM's too, has a ``LOCAL_RANK`` alone.
    """
    number = environment.get("RANK")
    if number is None and "LOCAL_RANK" not in environment and "SLURM_NTASKS" in environment:
        is_by_hand = environment.get("SLURM_JOB_NAME") in _BY_HAND
        number = None if is_by_hand else environment.get("SLURM_PROCID")
    return int(number) if number is not None and number.isdecimal() else None


def check_common_folder(config: DictConfig, environment: Mapping[str, str]) -> None:
    """Refuse processes that torchrun or SLURM started, each of which would make up a folder.

    Args:
        config: composed of a command line, with Hydra's own node.
        environment: of the process.

    Raises:
        ConfigError: saying how all come to have the same folder.
    """
    if not asks_for_several(config) or not _is_started_from_outside(environment):
        return
    folder: Any = OmegaConf.to_container(config.hydra.run, resolve=False)
    if "${now:" in str(folder["dir"]):
        raise ConfigError(
            "hydra.run.dir: each process that torchrun or SLURM started would have another folder, "
            "named by the time; name one for all, as hydra.run.dir=runs/<name>"
        )


def check_launcher(config: DictConfig) -> None:
    """Refuse launchers of jobs in whose processes Lightning can't start a run's other ranks.

    It starts them as this process was started, which in a job of theirs is the launcher's own way.

    Args:
        config: of a sweep's job, with Hydra's own node.

    Raises:
        ConfigError: naming the launchers that can.
    """
    launcher = str(config.hydra.launcher.get("_target_", ""))
    if not asks_for_several(config) or launcher.endswith((".BasicLauncher", ".Processes")):
        return
    raise ConfigError(
        f"hydra/launcher: several ranks can't be started from the jobs of "
        f"{launcher.rpartition('.')[2]}; choose hydra/launcher=processes or basic, or "
        "trainer.devices=1"
    )


def _is_started_from_outside(environment: Mapping[str, str]) -> bool:
    """Tell whether a launcher started several processes alike."""
    counts = [environment.get(name, "1") for name in ("WORLD_SIZE", "SLURM_NTASKS")]
    several = any(count.isdecimal() and int(count) > 1 for count in counts)
    return several and _number_by_launcher(environment) is not None


def let_the_first_end(parent: int) -> None:
    """Wait until the process that started this one has told how the run ended, and is gone.

    One that ended before it, otherwise than well, would end it too. Its end, or torchrun's, comes
    as a SIGTERM, by which nothing more is told here.

    Args:
        parent: its number, or that of another where torchrun or SLURM started this.
    """
    heard: list[int] = []
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    until = time.monotonic() + _SECONDS_FOR_THE_FIRST
    while os.getppid() == parent and not heard and time.monotonic() < until:
        time.sleep(0.05)
