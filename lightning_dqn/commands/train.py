"""``python -m lightning_dqn +experiment=cartpole trainer.max_epochs=3``: train."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from lightning_dqn.commands.help import print_help
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.check import check_keys, check_values
from lightning_dqn.runs.compose import Composer, without_hydra
from lightning_dqn.runs.lengths import spread_budget
from lightning_dqn.runs.mistakes import told
from lightning_dqn.runs.resume import CHECKPOINT, Resumed, without_resume
from lightning_dqn.runs.shell import continue_command, shown
from lightning_dqn.runs.training import training_module
from lightning_dqn.runs.trust import needed_trust, take_trust
from lightning_dqn.safekeeping.folder_lock import locked, refuse_used
from lightning_dqn.safekeeping.signals import Stopped, requeue
from lightning_dqn.system.faults import DamagedCheckpoint, RunFault

_transcript = logging.getLogger("lightning_dqn.transcript")


def main(arguments: Sequence[str]) -> None:
    """Train, or print help or what one of Hydra's flags asks for."""
    if "--help" in arguments or "-h" in arguments:
        with told():
            print_help([a for a in arguments if a not in ("--help", "-h")])
        return
    with told():
        trust, rest = take_trust(arguments)
        resumed = Resumed.find(rest, trust)
        composer = Composer(without_resume(rest) if resumed is None else resumed.arguments)
    with composer:
        with told(composer.explain):
            if not composer.only_shows:
                check(composer, resumed)
        for note in composer.notes:
            print(f"lightning-dqn: {note}", file=sys.stderr)
        with told(composer.explain):
            composer.execute(train)


def train(config: DictConfig) -> float | None:
    """Train as the configuration says; return the test return, for sweepers."""
    training = training_module()
    # Warnings go to the terminal and to the log, as conf/hydra/job_logging/run.yaml has it.
    logging.captureWarnings(bool(logging.getLogger("py.warnings").handlers))
    held = ExitStack()
    try:
        with told():
            held.enter_context(locked(Path(config.run_dir)))
            experiment = training.prepare(config)
        summary = training.run(experiment)
    except Stopped as stopped:
        _end(stopped, config)
    except (RunFault, DamagedCheckpoint) as fault:
        _transcript.exception("the run ended with an error")
        if is_sweep():  # other jobs go on
            raise
        with told():
            raise fault
    except Exception:
        _transcript.exception("the run ended with an error")
        raise
    finally:
        held.close()
        logging.captureWarnings(False)
    _transcript.info("%s", summary)
    print(f"\n{summary}")
    return summary.episode_return


def is_sweep() -> bool:
    """Tell whether this job is one of several."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def _end(stopped: Stopped, config: DictConfig) -> NoReturn:
    """Say where a run that a signal ended has got to and how it goes on, and end this process.

    In a job of SLURM's that is told of its end by SIGUSR1, ask for the job to be run again.
    """
    run_dir = Path(config.run_dir)
    again = continue_command(run_dir, needed_trust(config))
    told = [f"{stopped}; {_saved(stopped, run_dir)}", f"  continue  {again}"]
    if stopped.number == getattr(signal, "SIGUSR1", None):
        told += requeue(os.environ)
    _transcript.info("%s", "\n".join(told))
    print("\n" + "\n".join(told), file=sys.stderr, flush=True)
    sys.exit(stopped.exit_status)


def _saved(stopped: Stopped, run_dir: Path) -> str:
    if stopped.checkpoint is not None:
        return f"all is saved in {shown(stopped.checkpoint)}"
    if (run_dir / CHECKPOINT).is_file():
        return f"{shown(run_dir / CHECKPOINT)} is as it was"
    return "nothing was learned yet"


def check(composer: Composer, resumed: Resumed | None = None) -> None:
    """Refuse what can't run, in any job, before a run's folder or logger exists.

    Keys and values of all jobs, and of the first all that can be known by building it.

    Args:
        composer: of the command line.
        resumed: the run that goes on.

    Raises:
        HydraException: a job can't be composed.
        ConfigError: it can, but not run.
    """
    seen: set[str] = set()
    for job in composer.jobs():
        try:
            if resumed is not None:
                resumed.check(job.config)
            refuse_used(Path(job.config.run_dir), is_continued=resumed is not None)
            check_keys(job.config)
            spread_budget(job.config)
            if job.number == 0:
                training = training_module()
                training.rehearse(training.prepare(without_hydra(job.config), seen))
            else:
                check_values(job.config, seen)
        except ConfigError as error:
            if job.number == 0:
                raise
            raise ConfigError(f"{error} (job {job.number}: {' '.join(job.overrides)})") from error
