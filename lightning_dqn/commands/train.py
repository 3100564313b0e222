"""``python -m lightning_dqn +experiment=cartpole trainer.max_epochs=3``: train."""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path
from typing import NoReturn

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from lightning_dqn.commands import sweep
from lightning_dqn.commands.help import print_help
from lightning_dqn.commands.main import COMMANDS
from lightning_dqn.runs.budget import refuse_epochs
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.compose import Composer
from lightning_dqn.runs.hydra_flags import in_one_word
from lightning_dqn.runs.hydra_jobs import Job
from lightning_dqn.runs.jobs_check import check_jobs
from lightning_dqn.runs.mistakes import RUN_FAULT, exit_on_mistake, one_line, tell
from lightning_dqn.runs.ranks import let_the_first_end, rank_of
from lightning_dqn.runs.resume import CHECKPOINT, Resumed
from lightning_dqn.runs.resuming import find_resumed, without_resume
from lightning_dqn.runs.shell import continue_command, shown
from lightning_dqn.runs.training import training_module
from lightning_dqn.runs.trust import needed_trust, take_trust
from lightning_dqn.safekeeping.folder_lock import locked
from lightning_dqn.safekeeping.generations import is_kept
from lightning_dqn.safekeeping.signals import Stopped, heard_before_a_run, requeue
from lightning_dqn.study.planning import begun
from lightning_dqn.study.searching import asked_search
from lightning_dqn.study.searching import begun as begun_search
from lightning_dqn.study.sweep import is_sweep as is_of_sweep
from lightning_dqn.system.faults import DamagedCheckpoint, RunFault
from lightning_dqn.system.files import FAILURE, PRUNED, write_json
from lightning_dqn.system.output import lasting_output
from lightning_dqn.system.overrides import unquoted
from lightning_dqn.system.processes import follows_parent

_transcript = logging.getLogger("lightning_dqn.transcript")


def main(arguments: Sequence[str]) -> None:
    """Train, or print help or what one of Hydra's flags asks for."""
    if "--help" in arguments or "-h" in arguments:
        with exit_on_mistake():
            print_help([a for a in arguments if a not in ("--help", "-h")])
        return
    words = in_one_word(arguments)
    with exit_on_mistake():
        _refuse_commands(words)
    with lasting_output():
        _main(words)


def _refuse_commands(arguments: Sequence[str]) -> None:
    """Refuse the name of a command that isn't the first word, by which it would be one."""
    for word in arguments:
        if word in COMMANDS:
            raise ConfigError(
                f"{word}: a command comes first: python -m lightning_dqn {word} <what it takes>"
            )


def _main(arguments: Sequence[str]) -> None:
    if (folder := sweep_of(arguments)) is not None:
        sweep.resume(folder, without_resume(arguments), train)
    with exit_on_mistake():
        trust, rest = take_trust(arguments)
        resumed = find_resumed(rest, trust)
        composer = Composer(without_resume(rest) if resumed is None else resumed.arguments)
    with composer:
        with exit_on_mistake(composer.explain):
            searched = None if composer.only_shows or resumed else asked_search(composer)
            if searched is not None:
                sweep.search(begun_search(searched, composer, arguments), train)
            plan = None if composer.only_shows else check_jobs(composer, _goes_on(resumed))
        if plan is not None and plan.folder is not None:
            with exit_on_mistake():
                asked = begun(plan, arguments)
            sweep.run(composer, asked, train)
        tell(composer.notes)
        with exit_on_mistake(composer.explain):
            composer.execute(train)


def sweep_of(arguments: Sequence[str]) -> Path | None:
    """Return the folder of a sweep that ``resume=`` names, if it names one."""
    named = [one.removeprefix("resume=") for one in arguments if one.startswith("resume=")]
    folder = Path(unquoted(named[-1])) if named else None
    return folder if folder is not None and is_of_sweep(folder) else None


def _goes_on(resumed: Resumed | None) -> Callable[[Job], bool]:
    def goes_on(job: Job) -> bool:
        if resumed is not None:
            resumed.check(job.config)
            refuse_epochs(resumed.asked, job.config)
        return resumed is not None

    return goes_on


def train(config: DictConfig) -> float | None:
    """Train as the configuration says; return the test return, for sweepers.

    Of several ranks the first alone holds and writes the run's folder, and tells.
    """
    with heard_before_a_run():
        return _train(config)


def _train(config: DictConfig) -> float | None:
    training = training_module()
    # Warnings go to the terminal and to the log, as conf/hydra/job_logging/run.yaml has it.
    logging.captureWarnings(bool(logging.getLogger("py.warnings").handlers))
    run_dir, is_first, parent = Path(config.run_dir), rank_of(config, os.environ) == 0, os.getppid()
    mistakes = nullcontext if is_sweep() else exit_on_mistake  # a job's don't end the others
    with ExitStack() as held:
        held.callback(logging.captureWarnings, False)
        if is_first:
            with mistakes():
                held.enter_context(locked(run_dir))
        try:
            with mistakes():
                if is_first:
                    _forget_ends(run_dir)
                experiment = training.prepare(config)
            summary = training.run(experiment)
        except (Stopped, SystemExit) as ended:
            stopped = _as_stopped(ended)
            if is_first:
                _tell(stopped, config)
            else:
                _end_behind_the_first(stopped, parent, config)
            if is_sweep():  # which ends with it, and says how it goes on
                raise stopped from None
            sys.exit(stopped.exit_status)
        except Exception as error:
            if is_first:
                _note_failure(run_dir, error)
            _tell_failure(error, config, is_first=is_first)
    if is_first:
        _transcript.info("%s", summary)
        print(f"\n{summary}")
    return summary.episode_return


def _as_stopped(ended: Stopped | SystemExit) -> Stopped:
    """Return what ended a run, if a signal did; any other end goes on."""
    if isinstance(ended, Stopped):
        return ended
    if ended.code is not None:
        raise ended
    # As Lightning ends at a SIGTERM that came before the run could hear it: no success.
    return Stopped(signal.SIGTERM)


def _end_behind_the_first(stopped: Stopped, parent: int, config: DictConfig) -> None:
    """Let the first rank tell, if all agreed to end; else say that this one is gone."""
    if stopped.checkpoint is not None:
        let_the_first_end(parent)
        return
    rank = rank_of(config, os.environ)
    print(f"lightning-dqn: rank {rank}: {stopped}", file=sys.stderr, flush=True)


def _tell_failure(error: Exception, config: DictConfig, *, is_first: bool) -> NoReturn:
    """Tell of an error, as briefly as it can be, and how a run goes on of which a part is saved."""
    run_dir = Path(config.run_dir)
    if is_sweep():
        told_now = f"lightning-dqn: {run_dir.name} failed: {one_line(error)}"
        print(told_now, file=sys.stderr, flush=True)
        raise error
    try:
        if isinstance(error, RunFault | DamagedCheckpoint):
            with exit_on_mistake():
                raise error
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise error
        traceback.print_exception(error)
        sys.exit(RUN_FAULT)
    finally:
        checkpoint = run_dir / CHECKPOINT
        if is_first and is_kept(checkpoint) and not isinstance(error, DamagedCheckpoint):
            again = continue_command(run_dir, needed_trust(config))
            told_last = f"  saved     {shown(checkpoint)}\n  continue  {again}"
            print(told_last, file=sys.stderr, flush=True)


def _forget_ends(run_dir: Path) -> None:
    """Delete what an earlier part of a run, which goes on, left of how it ended."""
    for left in (FAILURE, PRUNED):
        (run_dir / left).unlink(missing_ok=True)


def is_sweep() -> bool:
    """Tell whether this job is one of several."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def _note_failure(run_dir: Path, error: Exception) -> None:
    """Write into a run's log and folder why it ended, for who reads or sums up."""
    _transcript.exception("the run ended with an error")
    with suppress(OSError):  # the folder may be what failed
        write_json(run_dir / FAILURE, {"error": one_line(error), "type": type(error).__name__})


def _tell(stopped: Stopped, config: DictConfig) -> None:
    """Say where a run that a signal ended has got to, and how it goes on.

    In a job of SLURM's that is told of its end by SIGUSR1, ask for the job to be run again; of
    several runs of a job each would, so that is left to what began them.
    """
    run_dir = Path(config.run_dir)
    again = continue_command(run_dir, needed_trust(config))
    told = [f"{stopped}; {_saved(stopped, run_dir)}", f"  continue  {again}"]
    is_one_of_several = is_sweep() or follows_parent()
    if stopped.is_preemption and not is_one_of_several:
        told += requeue(os.environ, "with resume=auto it continues")
    _transcript.info("%s", "\n".join(told))
    print("\n" + "\n".join(told), file=sys.stderr, flush=True)


def _saved(stopped: Stopped, run_dir: Path) -> str:
    if stopped.checkpoint is not None and stopped.is_saved:
        return f"all is saved in {shown(stopped.checkpoint)}"
    failed = "" if stopped.checkpoint is None else "what is new couldn't be saved; "
    if is_kept(run_dir / CHECKPOINT):
        return f"{failed}{shown(run_dir / CHECKPOINT)} is as it was"
    return f"{failed}nothing was saved before" if failed else "nothing was learned yet"
