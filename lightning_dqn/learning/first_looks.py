"""What callbacks monitor: refused where nothing logs it, or nothing has by the time they look."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping

from lightning_dqn.learning.monitors import monitored
from lightning_dqn.learning.run_length import iterations_in
from lightning_dqn.reporting.glossary import GLOSSARY, OF_CALLBACKS

_OF_ROWS = ("train/", "rollout/", "time/")
"""What comes every ``log_every_n_steps``; callbacks measure the rest when they say."""

_OF_EPISODES = ("rollout/episode_return", "rollout/episode_length", "rollout/new_episode_return")
"""What comes once a training episode has ended."""


def check_first_looks(trainer: pl.Trainer, *, measures: bool) -> None:
    """Refuse callbacks of Lightning's whose metric isn't there when they ask for it.

    Args:
        trainer: about to fit, with parts of this package and Lightning's alone.
        measures: a callback of this package is there that logs metrics.

    Raises:
        ValueError: naming the metric, and what to do instead.
    """
    known = [key for key in _keys_that_come(trainer) if measures or key not in OF_CALLBACKS]
    for callback, key in monitored(trainer.callbacks):  # type: ignore[attr-defined]
        if getattr(callback, "strict", True):  # else it may be missing
            _check_monitor(type(callback).__name__, key, known)
            if not trainer.fast_dev_run:  # type: ignore[attr-defined]  # then nobody looks
                _check_first_look(trainer, callback, key)


def check_looks_at_episodes(trainer: Any, *, after_training: bool) -> None:
    """Refuse to go on to a callback that now asks for returns, where no episode has ended yet.

    How long an episode takes nobody knows before.

    Args:
        trainer: in a fit, at the end of an evaluation or of an epoch.
        after_training: at the end of an epoch.

    Raises:
        ValueError: naming the metric, and what to do instead.
    """
    if trainer.state.fn != "fit" or trainer.sanity_checking or trainer.fast_dev_run:
        return
    for callback, key in monitored(trainer.callbacks):
        is_optional = not getattr(callback, "strict", True)
        if key not in _OF_EPISODES or is_optional or key in trainer.callback_metrics:
            continue
        at_epochs_end = getattr(callback, "_check_on_train_epoch_end", False)
        epochs = _epochs_until_look(trainer, callback)
        if epochs and at_epochs_end == after_training and (trainer.current_epoch + 1) % epochs == 0:
            later = "pass strict=False, " if isinstance(callback, EarlyStopping) else ""
            raise ValueError(
                f"{type(callback).__name__}(monitor={key!r}): looks at the end of epoch "
                f"{trainer.current_epoch}, and no training episode had ended by the newest row; "
                f"{later}make epochs longer (env_steps_per_epoch of the ReplayDataModule), or "
                "monitor 'eval/episode_return'"
            )


def _check_first_look(trainer: Any, callback: Any, key: str) -> None:
    """Refuse one that looks at an epoch's end before anything has come."""
    name, epochs = type(callback).__name__, _epochs_until_look(trainer, callback)
    data, every = getattr(trainer, "datamodule", None), trainer.check_val_every_n_epoch
    if epochs is None:
        return
    if key.startswith("eval/"):
        if isinstance(callback, EarlyStopping) and every is not None and epochs < every:
            raise ValueError(
                f"{name}(monitor={key!r}, check_on_train_epoch_end=True): looks at each epoch's "
                f"end, and an evaluation comes after {every}; leave check_on_train_epoch_end out"
            )
        return
    if data is None:
        return
    length, period = iterations_in(trainer, data.iterations_per_epoch), trainer.log_every_n_steps
    _check_measured(trainer, f"{name}(monitor={key!r})", key, epochs * length)
    if key.startswith(_OF_ROWS) and epochs * length < period:
        raise ValueError(
            f"{name}(monitor={key!r}): looks after {epochs * length} iterations, and the first row "
            f"comes after log_every_n_steps={period}; set Trainer(log_every_n_steps={length})"
        )


def _check_measured(trainer: Any, who: str, key: str, iterations: int) -> None:
    """Refuse one that looks before a callback that measures by env steps has done so.

    Where a fit goes on from another, nobody knows yet at how many env steps.
    """
    periods = [
        callback.every_n_env_steps
        for callback in trainer.callbacks
        if key.startswith(tuple(getattr(callback, "measured", ())))
    ]
    if not periods or trainer.ckpt_path is not None or trainer.lightning_module.env_steps > 0:
        return
    every, pace = min(periods), trainer.datamodule.pace
    new = iterations * pace.env_steps_per_iteration
    end = pace.warmup_env_steps + new
    if end // every == pace.warmup_env_steps // every and end % every + pace.num_envs < every:
        raise ValueError(
            f"{who}: looks after {end:,} env steps, {new:,} of them behind the warm-up, before it "
            f"is measured: every_n_env_steps={every:,}; set Diagnostics(every_n_env_steps={new})"
        )


def _epochs_until_look(trainer: Any, callback: Any) -> int | None:
    """Return after how many epochs a callback fails where its metric isn't there.

    None: not known, or never. Without an evaluation a ``ModelCheckpoint`` warns, and saves none.
    """
    if isinstance(callback, EarlyStopping) and callback._check_on_train_epoch_end:
        return 1
    every: int | None = trainer.check_val_every_n_epoch
    if every is None or trainer.limit_val_batches == 0:
        return None
    if isinstance(callback, EarlyStopping):
        return every
    return max(callback._every_n_epochs, every) if callback._every_n_epochs > 0 else None


def _keys_that_come(trainer: pl.Trainer) -> Iterator[str]:
    period: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
    for key in GLOSSARY:
        stage = key.split("/")[0]
        if stage == "eval" and trainer.limit_val_batches != 0:
            yield key
        if stage not in ("eval", "test") and period > 0:
            yield key


def _check_monitor(name: str, key: str, known: list[str]) -> None:
    patterns = [re.sub("<[a-z]+>", "[^/]+", re.escape(k)) for k in known]
    if any(re.fullmatch(pattern, key) for pattern in patterns):
        return
    stage, last_word = key.split("/")[0], key.split("/")[-1].split("_")[-1]
    alike = [k for k in known if k.startswith(f"{stage}/") and k.endswith(last_word)]
    close = alike or difflib.get_close_matches(key, known, n=1, cutoff=0.0)
    meant = f"; did you mean {close[0]}?" if close else ""
    raise ValueError(f"{name}(monitor={key!r}): nothing in this run logs that{meant}")
