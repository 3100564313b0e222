"""Around a fit of several ranks: the processes that Lightning starts, and how they end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch.distributed as dist
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf, open_dict, read_write

from lightning_dqn.runs.jobs import ALONE, is_for_jobs
from lightning_dqn.runs.resume import flags_of
from lightning_dqn.system.processes import PARENT
from lightning_dqn.system.ranks import LostRank
from lightning_dqn.system.variables import given_back

_OF_A_GROUP = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Variables by which Lightning takes a process for one that somebody else started."""

_GONE = re.compile(r"gloo|NCCL|Connection (closed|reset)|TCPStore|Broken pipe", re.IGNORECASE)
"""In what gloo raises where another process of the group is gone; torch's own has a type."""

_OF_TORCHS_LOG = "TORCH_CPP_LOG_LEVEL"
"""Variable by which torch's library leaves out its own long warnings of processes that are gone."""

_SECONDS_TO_END = 30.0


@contextmanager
def as_ranks(trainer: pl.Trainer) -> Iterator[None]:
    """Let a Trainer start the other ranks, if there are to be several.

    They compose what this process composed, in its folder, whatever a sweep or a search made of
    the command line; they end when this one ends, and leave nothing by which the next run of this
    process would take itself for one of theirs.

    Raises:
        LostRank: another rank was gone in a call of Lightning's own.
    """
    if trainer.world_size == 1:
        yield
        return
    arguments, sys.argv = sys.argv, [sys.argv[0], *_arguments()]
    with given_back(*_OF_A_GROUP, PARENT, _OF_TORCHS_LOG):
        os.environ[PARENT] = str(os.getpid())
        os.environ.setdefault(_OF_TORCHS_LOG, "ERROR")
        try:
            with _naming_lost_ranks(trainer):
                yield
            _see_them_end(trainer)
        finally:
            sys.argv = arguments
            if dist.is_initialized():
                dist.destroy_process_group()


@contextmanager
def _naming_lost_ranks(trainer: pl.Trainer) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        is_lost = isinstance(error, dist.DistError) or _GONE.search(str(error))
        if isinstance(error, LostRank) or not is_lost:
            raise
        raise LostRank.of(trainer.global_rank, trainer.world_size, error) from error


def _see_them_end(trainer: pl.Trainer) -> None:
    """Wait for the processes that were started here, which have nothing left to do."""
    processes: list[Any] = getattr(trainer.strategy.launcher, "procs", [])
    for process in processes:
        try:
            process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            process.kill()


def _arguments() -> list[str]:
    """Return what another process is told to compose what this one composed."""
    if not HydraConfig.initialized():
        return sys.argv[1:]
    config: Any = HydraConfig.get()
    with read_write(config), open_dict(config):
        config.run.dir = config.runtime.output_dir  # which Lightning hands on
    hydra: Any = OmegaConf.to_container(config, resolve=False)
    own = [one for one in hydra["overrides"]["hydra"] if is_for_jobs(one)]
    return [*flags_of(hydra), *own, ALONE, *hydra["overrides"]["task"]]
