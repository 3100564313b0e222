"""``env_steps``, the budget of a whole run, as epochs; also where a run goes on with more."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.json_file import read_json
from lightning_dqn.runs.lengths import pace_of, warmup_of
from lightning_dqn.runs.resume import CONFIGURATION, is_own
from lightning_dqn.runs.shell import shown
from lightning_dqn.safekeeping.generations import is_kept, previous_of
from lightning_dqn.system.files import write_json
from lightning_dqn.system.overrides import key_of

BUDGET = CONFIGURATION.with_name("budget.json")
"""Of a run that has one, in its folder: into what epochs it was spread."""


class Progress(NamedTuple):
    """How far a run had come when its checkpoint was saved.

    Attributes:
        epochs: that were over.
        iterations: of the epoch that had begun.
        all_iterations: of all epochs.
        env_steps: so far, warm-up included.
        newest_epoch: iterations of the newest epoch that had begun, be it over or not.
    """

    epochs: int
    iterations: int
    all_iterations: int
    env_steps: int
    newest_epoch: int = 0

    def was_cut(self, epoch: int) -> bool:
        """Tell whether the newest epoch counts as over before its ``epoch`` iterations were made.

        Lightning does that where ``max_time`` or ``max_steps`` ends a fit.
        """
        return self.epochs > 0 and not self.iterations and self.newest_epoch < epoch


def spread_budget(config: DictConfig) -> None:
    """Turn ``env_steps``, of the whole run, into epochs that come to it.

    They are whole iterations and make 1 % more at most, or a part of an iteration. Their number
    stays as near as can be to what ``data.env_steps_per_epoch`` says, so that there is an
    evaluation as often. A run that goes on keeps its epochs; with another budget the epochs that
    are over count as they were, and the rest is spread anew.

    Raises:
        ConfigError: it isn't a number of env steps, or the warm-up or the run so far takes them
            all.
    """
    budget = _budget(config)
    if budget is None:
        return
    path = Path(str(config.ckpt_path)) if config.get("ckpt_path") else None
    goes_on = path is not None and is_own(path, config.run_dir)
    made = _made(config) if goes_on else None
    progress = None if path is None else progress_of(path)
    pace = pace_of(config)
    if made is not None and made["env_steps"] == budget:
        epoch = -(-made["env_steps_per_epoch"] // pace.env_steps_per_iteration)
        if progress is None or progress.env_steps >= budget or not progress.was_cut(epoch):
            _set(config, made["max_epochs"], made["env_steps_per_epoch"])
            return
    left = budget - pace.warmup_env_steps
    if left <= 0:
        raise ConfigError(
            f"env_steps={budget}: the warm-up takes them all; lower "
            f"data.collection.warmup_env_steps={warmup_of(config)}"
        )
    over = begun = 0
    # A run of before its budget was noted, which is over, has nothing left, and is tested again.
    is_over = made is None and goes_on
    if progress is not None and (not is_over or budget > progress.env_steps):
        over, begun = progress.epochs, progress.iterations
        left = _rest(budget, progress, pace.env_steps_per_iteration)
    iterations = -(-left // pace.env_steps_per_iteration)
    epochs = _epochs(iterations, round(left / int(config.data.env_steps_per_epoch)), begun)
    _set(config, over + epochs, -(-iterations // epochs) * pace.env_steps_per_iteration)


def refuse_epochs(asked: Sequence[str], config: DictConfig) -> None:
    """Refuse epochs that were asked for where the budget says how many there are.

    Raises:
        ConfigError: they were.
    """
    epochs = [one for one in asked if key_of(one) == "trainer.max_epochs"]
    if epochs and config.get("env_steps") is not None:
        raise ConfigError(
            f"{epochs[-1]}: the run is as long as env_steps={config.env_steps} says; set that to "
            "another number, or to null, for epochs of data.env_steps_per_epoch"
        )


def refuse_nothing_left(config: DictConfig) -> None:
    """Refuse epochs that the run of a checkpoint has made already.

    A run that goes on may have as many as it has made, which ends it; one that begins from
    another's checkpoint has to learn.

    Raises:
        ConfigError: there are no more.
    """
    epochs = config.trainer.max_epochs
    path = Path(str(config.ckpt_path))
    if config.ckpt_path is None or config.get("env_steps") is not None or not is_kept(path):
        return  # of a budget spread_budget says so, and check_keys that there is no such file
    progress = progress_of(path)
    if progress is None or not isinstance(epochs, int) or not 0 <= epochs <= progress.epochs:
        return
    if not is_own(path, config.run_dir):
        raise ConfigError(
            f"trainer.max_epochs={epochs}: the run of ckpt_path={shown(path)} has made "
            f"{progress.epochs} already, which count; name more"
        )
    if epochs < progress.epochs:
        raise ConfigError(
            f"trainer.max_epochs={epochs}: the run has made {progress.epochs} already; name more"
        )


def keep_budget(config: DictConfig) -> None:
    """Note in the run's folder the epochs that its budget was spread into."""
    if (budget := _budget(config)) is None:
        return
    path = Path(config.run_dir) / BUDGET
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(
        path,
        {
            "env_steps": budget,
            "max_epochs": config.trainer.max_epochs,
            "env_steps_per_epoch": config.data.env_steps_per_epoch,
        },
    )


def progress_of(checkpoint: Path) -> Progress | None:
    """Return how far the run of a checkpoint had come; None where it is none of a run.

    Raises:
        ConfigError: it can't be read.
    """
    generations = (checkpoint, previous_of(checkpoint)) if is_kept(checkpoint) else ()
    stamps = tuple(one.stat().st_mtime_ns for one in generations if one.is_file())
    return _progress(checkpoint, stamps)


@functools.lru_cache(maxsize=1)  # several checks ask, and each job of a sweep; it may hold a ring
def _progress(checkpoint: Path, stamps: tuple[int, ...]) -> Progress | None:
    """Return it of a file as it was written at that time."""
    # A configuration is composed and printed without torch, which this file brings.
    from lightning_dqn.safekeeping.reading import read_checkpoint

    try:
        saved = read_checkpoint(checkpoint, remedy="")
    except ValueError as error:
        raise ConfigError(f"ckpt_path: {error}") from error
    if "dqn" not in saved or "fit_loop" not in saved.get("loops", {}):
        return None  # the fit says what it is
    loop = saved["loops"]["fit_loop"]
    epochs = loop["epoch_progress"]["current"]
    batches = loop["epoch_loop.batch_progress"]["current"]
    has_begun = epochs["ready"] > epochs["processed"]
    iterations = batches["processed"] if has_begun else 0
    return Progress(
        epochs=epochs["processed"],
        iterations=iterations,
        all_iterations=saved["global_step"],
        env_steps=saved["dqn"]["env_steps"],
        newest_epoch=batches["processed"],
    )


def _budget(config: DictConfig) -> int | None:
    budget = config.get("env_steps")
    if budget is None:
        return None
    is_whole = isinstance(budget, int | float) and float(budget).is_integer() and budget > 0
    if not is_whole or isinstance(budget, bool):
        raise ConfigError(f"env_steps={budget!r}: expected a whole number from 1, or null")
    return int(budget)


def _made(config: DictConfig) -> dict[str, int] | None:
    path = Path(config.run_dir) / BUDGET
    if not path.is_file():
        return None
    with read_json(path, "what a run writes", "delete it") as saved:
        made = {key: int(value) for key, value in saved.items()}
        return {key: made[key] for key in ("env_steps", "max_epochs", "env_steps_per_epoch")}


def _rest(budget: int, progress: Progress, per_iteration: int) -> int:
    """Return the env steps of the epoch that has begun and of those after it."""
    if budget <= progress.env_steps:
        raise ConfigError(
            f"env_steps={budget}: the run has made {progress.env_steps} already; name more"
        )
    return budget - progress.env_steps + progress.iterations * per_iteration


def _epochs(iterations: int, wanted: int, begun: int) -> int:
    """Return into how many epochs to part iterations so that few are made beyond them.

    Each is longer than what is over of the one that has begun, which would else end with all of it.
    """
    wanted = min(max(1, wanted), iterations)
    near = (wanted + sign * by for by in range(iterations) for sign in (1, -1))
    return next(
        epochs
        for epochs in near
        if 1 <= epochs <= iterations
        and -(-iterations // epochs) > begun
        and 100 * (epochs * -(-iterations // epochs) - iterations) <= iterations
    )


def _set(config: DictConfig, epochs: int, length: int) -> None:
    config.trainer.max_epochs = epochs
    config.data.env_steps_per_epoch = length
