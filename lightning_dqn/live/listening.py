"""A logger that keeps in mind what the others are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytorch_lightning.loggers import Logger

from lightning_dqn.live.desk import Desk


class ListeningLogger(Logger):
    """Notes every row for a dashboard, and writes nothing.

    Args:
        desk: whose history it is.
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk

    @property
    def name(self) -> str:
        """Its name."""
        return "live"

    @property
    def version(self) -> str:
        """None is needed."""
        return ""

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Note a row."""
        with self._desk.lock:
            self._desk.state.history.add(metrics, float(step or 0))

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Note nothing."""
