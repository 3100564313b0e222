"""``python -m lightning_dqn doctor``: look at a run before it begins, or at one that was made."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightning_dqn.commands.command import part_arguments, read_options, usage
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.compose import Composer, without_hydra
from lightning_dqn.runs.mistakes import exit_on_mistake
from lightning_dqn.runs.options import option
from lightning_dqn.runs.ranks import asks_for_several
from lightning_dqn.runs.training import training_module

if TYPE_CHECKING:
    from lightning_dqn.diagnostics.doctor.looks import Check
    from lightning_dqn.diagnostics.doctor.rule import Finding
    from lightning_dqn.runs.estimate import Line

FAULTS = 1
"""Exit status where something is wrong."""


@dataclass(frozen=True)
class DoctorOptions:
    """Check a run: what it needs, what is wrong with it, and what to do.

      python -m lightning_dqn doctor +experiment=cartpole [key=value ...]   before it begins
      python -m lightning_dqn doctor <run folder>                           by its metrics

    Before a run, random play checks its environment, and a trial of a few seconds estimates the
    memory, disk space and time of the whole run. All other keys are those of python -m
    lightning_dqn. The exit status is 0 if nothing is wrong, else 1.
    """

    run: str | None = option(
        "folder of a run, finished or not; null: check the run that the keys describe",
        None,
        is_path=True,
    )
    seconds: float = option("length of the trial in seconds", 10.0, least=1)
    random_steps: int = option(
        "env steps of random play, in each of two environments", 5_000, least=100
    )


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    if not arguments or "--help" in arguments or "-h" in arguments:
        print(usage(DoctorOptions))
        return
    own, rest = part_arguments(arguments, DoctorOptions)
    with exit_on_mistake():
        options = read_options(own, DoctorOptions)
        if options.run is not None and rest:
            raise ConfigError(f"{rest[0]}: a run that was made has its own keys; leave them out")
        if options.run is not None:
            return _of_run(options.run)
        composer = Composer(rest)
    with composer, exit_on_mistake(composer.explain):
        _before(composer, options)


def _of_run(run: str) -> None:
    """Print what was found in a run that was made."""
    from lightning_dqn.runs.finished.examined import findings_of

    found = findings_of(run)
    print("\n".join(_findings(found)) if found else f"{run}: nothing is wrong by the rules")
    sys.exit(FAULTS if found else 0)


def _before(composer: Composer, options: DoctorOptions) -> None:
    """Print what a run would take and what is wrong with it."""
    if composer.is_sweep:
        raise ConfigError("doctor: looks at one run; give each key one value")
    config = without_hydra(composer.config())
    if asks_for_several(config):
        raise ConfigError(
            "doctor: tries a run in one process; add trainer.devices=1 trainer.num_nodes=1 "
            "trainer.strategy=auto, by which it looks at what several ranks would share"
        )
    training = training_module()
    from lightning_dqn.diagnostics.doctor.checks import check_environment
    from lightning_dqn.runs.estimate import estimate
    from lightning_dqn.runs.trial import try_run

    experiment = training.prepare(config)
    clip = experiment.data.replay_config.reward_clip
    factory = experiment.data.environment
    checks, length = check_environment(factory, steps=options.random_steps, reward_clip=clip)
    _print(f"{config.name}: {factory.name}", _checks(checks))
    lines = estimate(experiment, try_run(config, options.seconds), length)
    _print("by a trial, not compiled", _estimates(lines))
    faults = [check for check in checks if check.remedy is not None]
    _print(
        "findings", [f"  {one.name}: {one.result}; {one.remedy}" for one in faults] or ["  none"]
    )
    sys.exit(FAULTS if faults else 0)


def _print(title: str, lines: Iterable[str]) -> None:
    print("\n".join([title, *lines, ""]), flush=True)


def _checks(checks: Sequence[Check]) -> Iterator[str]:
    width = max(len(check.name) for check in checks) + 2
    for check in checks:
        state = "ok" if check.remedy is None else "WRONG"
        yield f"  {state:<7}{check.name:<{width}}{check.result}"


def _estimates(lines: Sequence[Line]) -> Iterator[str]:
    width = max(len(line.what) for line in lines) + 2
    for line in lines:
        yield f"  {line.group:<8}{line.what:<{width}}{line.amount}"


def _findings(found: Sequence[Finding]) -> Iterator[str]:
    for one in found:
        until = f"{one.env_steps:,} to {one.last_env_steps:,}"
        yield f"{one.rule} (env steps {until}): {one.what}\n  {one.remedy}"
