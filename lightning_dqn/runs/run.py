"""A run: fit, test, save, sum up."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from pytorch_lightning.callbacks import LambdaCallback, Timer
from pytorch_lightning.utilities import rank_zero_warn

from lightning_dqn.formats.saved import HYPERPARAMETERS, WEIGHTS, save_weights
from lightning_dqn.reporting.rows import Trained
from lightning_dqn.runs.budget import keep_budget
from lightning_dqn.runs.by_hand import changed_by_hand
from lightning_dqn.runs.experiment import Experiment, prepare, rehearse
from lightning_dqn.runs.launching import as_ranks
from lightning_dqn.runs.loggers import following, task_overrides
from lightning_dqn.runs.opening import config_tree, opening_line
from lightning_dqn.runs.provenance import provenance
from lightning_dqn.runs.pruned import Pruned, read_pruned
from lightning_dqn.runs.resume import CHECKPOINT
from lightning_dqn.runs.shell import continue_command, evaluate_command, shown
from lightning_dqn.runs.trust import needed_trust
from lightning_dqn.runs.unread import without_idle_warnings
from lightning_dqn.safekeeping.generations import is_kept
from lightning_dqn.safekeeping.reading import read_checkpoint
from lightning_dqn.system.faults import DamagedCheckpoint
from lightning_dqn.system.files import FINDINGS, SUMMARY, write_json

_logger = logging.getLogger(__name__)

__all__ = ["Summary", "prepare", "rehearse", "run"]


@dataclass(frozen=True)
class Summary:
    """What a run came to; ``str`` of it is what the terminal shows at the end.

    ``longer``: what makes it longer where it is continued, None: it can't be. ``of_both_sides``:
    its test was self-play, so that a return is the rewards of both in sum.
    """

    name: str
    run_dir: Path
    env_steps: int
    updates: int
    seconds: float
    tested: str
    episode_return: float | None
    episode_return_std: float | None
    episodes: int
    episodes_cut: int = 0
    trust: tuple[str, ...] = ()
    changed_by_hand: tuple[str, ...] = ()
    longer: str | None = "trainer.max_epochs=N"
    findings: tuple[str, ...] = ()
    of_both_sides: bool = False

    def __str__(self) -> str:
        rate = self.env_steps / max(self.seconds, 1e-9)
        lines = [
            f"{self.name}: {self._result()}",
            f"  trained   {self.env_steps:,} env steps, {self.updates:,} updates in "
            f"{self.seconds:.1f} s ({rate:,.0f} env steps/s)",
            *(f"  by hand   {one}" for one in self.changed_by_hand),
            *([f"  doctor    {', '.join(self.findings)} ({FINDINGS})"] if self.findings else []),
            f"  files     {self.run_dir}",
            f"  evaluate  {evaluate_command(self.run_dir, self.trust)}",
        ]
        if self.longer is not None:
            lines.append(f"  continue  {continue_command(self.run_dir, self.trust, self.longer)}")
        return "\n".join(lines)

    def _result(self) -> str:
        if self.episode_return is None:
            return "not tested"
        cut = f", {self.episodes_cut} of them cut" if self.episodes_cut else ""
        what = "rewards of both sides" if self.of_both_sides else "return"
        return (
            f"{what} {self.episode_return:.1f} ± {self.episode_return_std:.1f} over "
            f"{self.episodes} test episodes{cut} ({self.tested})"
        )


def run(experiment: Experiment) -> Summary | Pruned:
    """Train, test the best checkpoint, save its weights and return the summary.

    The summary is also the run folder's ``summary.json``, written last: where it lies, the run is
    complete; when it learns on, summary and weights are taken away until its end. A trial that was
    given up is neither tested nor summed up. Of several ranks the first alone tells and writes.
    """
    began = time.perf_counter()
    config, module, trainer = experiment.config, experiment.module, experiment.trainer
    run_dir = Path(config.run_dir)
    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
    is_first = trainer.is_global_zero
    if is_first:
        _say(experiment, run_dir)
        keep_budget(config)
        callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        callbacks.append(LambdaCallback(on_train_start=partial(_begin, config)))
    with following(experiment), as_ranks(trainer):
        with without_idle_warnings():
            trainer.fit(module, experiment.data, ckpt_path=config.ckpt_path, weights_only=True)
        if (pruned := read_pruned(run_dir)) is not None:
            return pruned
        fitted = _Fitted(
            module.report.trained(module.env_steps), module.updates, _best_checkpoint(trainer)
        )
        results = _test(experiment, fitted.best)
        if is_first:
            save_weights(module.agent, run_dir, module.hparams)
    summary = _sum_up(experiment, fitted, results)
    if is_first:
        seconds = time.perf_counter() - began + fitted.trained.seconds_before
        record = _record(experiment, fitted, seconds, is_tested=bool(results))
        run_dir.mkdir(parents=True, exist_ok=True)
        write_json(run_dir / SUMMARY, {**asdict(summary), **record})
    return summary


def _begin(config: DictConfig, trainer: pl.Trainer, module: pl.LightningModule) -> None:
    """Take away what doesn't hold once it learns: of a run that goes on what it came to before.

    Of one that begins anew, the rows of an attempt that was ended before it had a checkpoint.
    """
    if config.ckpt_path is not None:
        for name in (WEIGHTS, HYPERPARAMETERS, SUMMARY):
            Path(config.run_dir, name).unlink(missing_ok=True)
        return
    for logger in trainer.loggers:
        if hasattr(logger, "rewind"):
            logger.rewind(0, 0)


class _Fitted(NamedTuple):
    """Where training left a run; testing takes the module back to the best checkpoint."""

    trained: Trained
    updates: int
    best: str | None


def _sum_up(experiment: Experiment, fitted: _Fitted, results: Mapping[str, float]) -> Summary:
    """Return what the terminal shows of a run that was tested, or wasn't asked to be."""
    config, env_steps = experiment.config, experiment.module.env_steps
    run_dir = Path(config.run_dir)
    is_best = fitted.best is not None
    return Summary(
        name=config.name,
        run_dir=shown(run_dir),
        env_steps=fitted.trained.env_steps,
        updates=fitted.updates,
        seconds=fitted.trained.seconds,
        tested=f"the best checkpoint, of env step {env_steps:,}" if is_best else "the last weights",
        episode_return=results.get("test/episode_return"),
        episode_return_std=results.get("test/episode_return_std"),
        episodes=int(results.get("test/episodes", 0)),
        episodes_cut=int(results.get("test/episodes_cut", 0)),
        trust=tuple(needed_trust(config)),
        changed_by_hand=changed_by_hand(run_dir),
        longer=_longer(experiment) if is_kept(run_dir / CHECKPOINT) else None,
        findings=tuple(_findings(experiment.trainer)),
        of_both_sides=experiment.data.evaluation_environment.spec.zero_sum_turns,
    )


def _longer(experiment: Experiment) -> str:
    """Return the key that a continued run needs to learn on: of the limit that ended this one."""
    config, trainer = experiment.config, experiment.trainer
    timers = [c for c in trainer.callbacks if isinstance(c, Timer)]  # type: ignore[attr-defined]
    if config.trainer.get("max_time") is not None and any(
        (left := timer.time_remaining()) is not None and left <= 0 for timer in timers
    ):
        return "trainer.max_time=DD:HH:MM:SS"
    if config.get("env_steps") is not None:
        return "env_steps=N"
    return "trainer.max_epochs=N"


def _record(
    experiment: Experiment, fitted: _Fitted, wall_seconds: float, *, is_tested: bool
) -> dict[str, Any]:
    """Return what only the file tells: labels, how it was tested and what it was made with."""
    config = experiment.config
    rules = experiment.data.evaluation_rules if is_tested else None
    return {
        "seed": config.seed,
        "tags": list(config.tags),
        "notes": config.get("notes"),
        "overrides": task_overrides(),
        "evaluation": None if rules is None else rules._asdict(),
        "first_env_step": fitted.trained.first_env_step,
        "tested_env_steps": experiment.module.env_steps,
        "wall_seconds": wall_seconds,
        **provenance(experiment.trainer.strategy.root_device),
    }


def _findings(trainer: pl.Trainer) -> Iterator[str]:
    """Yield the rules by which a doctor among the callbacks found something."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        yield from (finding.rule for finding in getattr(callback, "findings", ()))


def _test(experiment: Experiment, best: str | None) -> dict[str, float]:
    """Leave the module with the weights of the best checkpoint, tested if that is asked for."""
    module, trainer = experiment.module, experiment.trainer
    if experiment.config.test:
        with warnings.catch_warnings():
            # Of a folder that was moved: the fit has followed it, and the test needs no scores.
            warnings.filterwarnings("ignore", message="The dirpath has changed from ")
            [results] = trainer.test(
                module, experiment.data, ckpt_path=best, verbose=False, weights_only=True
            )
        return dict(results)
    if best:
        checkpoint = read_checkpoint(Path(best))
        module.on_load_checkpoint(checkpoint)
        module.load_state_dict(checkpoint["state_dict"])
    return {}


def _say(experiment: Experiment, run_dir: Path) -> None:
    """Say what begins, on the terminal and in the run's log."""
    if experiment.config.print_config:
        _logger.info("%s", config_tree(experiment.config))
    _logger.info("%s", opening_line(experiment, shown(run_dir)))
    if experiment.note is not None:
        _logger.info("%s", experiment.note)


def _best_checkpoint(trainer: pl.Trainer) -> str | None:
    callback = trainer.checkpoint_callback
    path = getattr(callback, "best_model_path", None)
    if not path or getattr(callback, "save_top_k", 1) == 0:  # then it's one of before a resume
        return None
    best = Path(path)
    reason = f"{best}: isn't there"
    try:
        if is_kept(best):
            read_checkpoint(best)
            return str(path)
    except DamagedCheckpoint as error:
        reason = str(error)
    rank_zero_warn(f"the last weights are tested instead of the best: {reason}")
    return None
