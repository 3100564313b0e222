"""How episodes of a finished run are played: as in its own test, unless something else is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from omegaconf import OmegaConf

if TYPE_CHECKING:
    from lightning_dqn.runs.finished.finished_run import FinishedRun

Of = Literal["run"]
"""In place of a value: the one that the run's own test had."""

Epsilon = float | Literal["auto"] | Of
Limit = int | Literal["auto"] | Of | None


def as_tested(run: FinishedRun, **asked: Any) -> dict[str, Any]:
    """Return arguments of ``EvaluationConfig``; what is ``"run"`` is as the run's test had it.

    Raises:
        ValueError: the run's configuration can't be read.
    """
    tested = OmegaConf.select(run.config(), "data.evaluation") or {}
    found = {name: tested.get(name) if value == "run" else value for name, value in asked.items()}
    return {name: value for name, value in found.items() if asked[name] != "run" or name in tested}
