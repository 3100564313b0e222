"""What callbacks go by, and where it can't tell which policy is the better one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint

from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.reporting.glossary import best_is, is_return

INSTEAD = (
    "evaluate against an opponent that stays as it is (data.evaluation.environment, "
    "EvaluationConfig(environment=...)), or go by eval/mean_regret of ExactMetrics, mode=min"
)
"""What to do where returns tell nothing."""


def monitored(callbacks: Iterable[Callback]) -> Iterator[tuple[Callback, str]]:
    """Yield the callbacks that go by a metric, with its key."""
    for callback in callbacks:
        is_kept = isinstance(callback, ModelCheckpoint) and callback.save_top_k != 0
        goes_by: str | None = getattr(callback, "monitor", None)
        if (is_kept or isinstance(callback, EarlyStopping)) and goes_by is not None:
            yield callback, goes_by


def returns_from(key: str, data: Any) -> EnvironmentFactory | None:
    """Return the environments whose returns a metric has; None: it has none, or of unknown ones.

    Args:
        key: of the glossary.
        data: a data module; of another kind than ReplayDataModule nothing is known.
    """
    name = "environment" if key.startswith("rollout/") else "evaluation_environment"
    return getattr(data, name, None) if is_return(key) else None


def sums_both_sides(key: str, data: Any) -> bool:
    """Tell whether a metric is a return of self-play; see :func:`returns_from`."""
    environment = returns_from(key, data)
    return environment is not None and environment.spec.zero_sum_turns


def check_monitors(callbacks: Iterable[Callback], data: Any) -> None:
    """Refuse callbacks that can't keep the best policy, or stop by it.

    Some go by returns of self-play, take a metric's worst for its best, or keep several
    checkpoints in one file, where a worse one replaces a better one.

    Raises:
        ValueError: naming one, and what to take instead.
    """
    callbacks = list(callbacks)
    for callback in callbacks:
        if isinstance(callback, ModelCheckpoint):
            _check_file_names(callback)
    for callback, key in monitored(callbacks):
        if sums_both_sides(key, data):
            raise ValueError(
                f"{type(callback).__name__}(monitor={key!r}): {of_both_sides(key)}; {INSTEAD}"
            )
        best, mode = best_is(key), getattr(callback, "mode", None)
        if best is not None and mode in ("min", "max") and mode != best:
            better = "higher" if best == "max" else "lower"
            raise ValueError(
                f"{type(callback).__name__}(monitor={key!r}, mode={mode!r}): goes by the worst: "
                f"this metric is better where it is {better}; pass mode={best!r} (Lightning's "
                "default is 'min')"
            )


def _check_file_names(saver: ModelCheckpoint) -> None:
    name, kept = saver.filename, saver.save_top_k
    is_numbered = getattr(saver, "_enable_version_counter", True)
    if kept not in (0, 1) and name is not None and "{" not in name and not is_numbered:
        raise ValueError(
            f"ModelCheckpoint(save_top_k={kept}, filename={name!r}): keeps one file alone, where "
            "each checkpoint replaces the one before, a better one too; set "
            "enable_version_counter=True, or a filename such as '{epoch}'"
        )


def of_both_sides(key: str) -> str:
    """Return what a return of self-play is."""
    return (
        f"in self-play {key} is the sum of both sides' rewards, the same whenever a game is decided"
    )
