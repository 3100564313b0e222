"""What a Trainer may be asked for where a DQN learns; the rest is refused before it begins."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

import pytorch_lightning as pl
from pytorch_lightning.callbacks import (
    Callback,
    EarlyStopping,
    GradientAccumulationScheduler,
    ModelCheckpoint,
    StochasticWeightAveraging,
)

from lightning_dqn.reporting.glossary import GLOSSARY, OF_CALLBACKS

SUPPORTED_PRECISIONS = ("32-true", "bf16-mixed")


def check_trainer(trainer: pl.Trainer, *, logs_own_metrics: bool) -> None:
    """Refuse what can't work with a module that steps its optimizer itself.

    Args:
        trainer: about to fit.
        logs_own_metrics: the module is one of the user's, which may log more than a DQN.

    Raises:
        ValueError: naming the option, and what to take instead.
    """
    if trainer.world_size > 1:
        raise ValueError(f"devices={trainer.world_size}: DQN learns on one device")
    if trainer.precision not in SUPPORTED_PRECISIONS:
        choice = " or ".join(SUPPORTED_PRECISIONS)
        raise ValueError(f"precision={trainer.precision}: choose {choice}")
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    for callback in callbacks:
        _check_callback(callback)
    makers = [type(callback).__module__.partition(".")[0] for callback in callbacks]
    if logs_own_metrics or set(makers) - {"lightning_dqn", "pytorch_lightning"}:
        return  # nobody knows what the user's own parts log
    measures = any(
        maker == "lightning_dqn" and getattr(callback, "logs_metrics", True)
        for maker, callback in zip(makers, callbacks, strict=True)
    )
    known = [key for key in _keys_that_come(trainer) if measures or key not in OF_CALLBACKS]
    for name, key in _monitored(callbacks):
        _check_monitor(name, key, known)


def _check_callback(callback: Callback) -> None:
    remedies = {
        GradientAccumulationScheduler: "a larger batch_size has the same effect",
        StochasticWeightAveraging: "take WeightAverage from lightning_dqn.callbacks",
    }
    for kind, remedy in remedies.items():
        if isinstance(callback, kind):
            raise ValueError(
                f"{kind.__name__}: needs Lightning's automatic optimization, and a DQN steps its "
                f"optimizer itself; {remedy}"
            )


def _monitored(callbacks: list[Callback]) -> Iterator[tuple[str, str]]:
    for callback in callbacks:
        is_strict = isinstance(callback, EarlyStopping) and callback.strict
        if is_strict or isinstance(callback, ModelCheckpoint):
            key = callback.monitor  # type: ignore[attr-defined]
            if key is not None:
                yield type(callback).__name__, key


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
