"""``python -m lightning_dqn +experiment=cartpole trainer.max_epochs=3``: train."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from lightning_dqn.commands.help import print_help
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.check import check_keys, check_values
from lightning_dqn.runs.compose import Composer, without_hydra
from lightning_dqn.runs.lengths import spread_budget
from lightning_dqn.runs.mistakes import told
from lightning_dqn.runs.resume import expand_resume
from lightning_dqn.runs.training import training_module
from lightning_dqn.system.faults import RunFault

_transcript = logging.getLogger("lightning_dqn.transcript")


def main(arguments: Sequence[str]) -> None:
    """Train, or print help or what one of Hydra's flags asks for."""
    if "--help" in arguments or "-h" in arguments:
        with told():
            print_help([a for a in arguments if a not in ("--help", "-h")])
        return
    with told():
        composer = Composer(expand_resume(arguments))
    with composer:
        with told(composer.explain):
            if not composer.only_shows:
                check(composer)
        for note in composer.notes:
            print(f"lightning-dqn: {note}", file=sys.stderr)
        with told(composer.explain):
            composer.execute(train)


def train(config: DictConfig) -> float | None:
    """Train as the configuration says; return the test return, for sweepers."""
    training = training_module()
    # Warnings go to the terminal and to the log, as conf/hydra/job_logging/run.yaml has it.
    logging.captureWarnings(bool(logging.getLogger("py.warnings").handlers))
    try:
        with told():
            experiment = training.prepare(config)
        summary = training.run(experiment)
    except RunFault as fault:
        _transcript.exception("the run ended with an error")
        if is_sweep():  # other jobs go on
            raise
        with told():
            raise fault
    except Exception:
        _transcript.exception("the run ended with an error")
        raise
    finally:
        logging.captureWarnings(False)
    _transcript.info("%s", summary)
    print(f"\n{summary}")
    return summary.episode_return


def is_sweep() -> bool:
    """Tell whether this job is one of several."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def check(composer: Composer) -> None:
    """Refuse what can't run, in any job, before a run's folder or logger exists.

    Keys and values of all jobs, and of the first all that can be known by building it.

    Raises:
        HydraException: a job can't be composed.
        ConfigError: it can, but not run.
    """
    seen: set[str] = set()
    for job in composer.jobs():
        try:
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
