"""Which checkpoint of a run counts as its best."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from lightning_dqn.data import ReplayDataModule
from lightning_dqn.games.opponents.past_selves import GROWING, pool_of
from lightning_dqn.learning.monitors import INSTEAD, of_both_sides, returns_from, sums_both_sides

BEST = "callbacks.best_checkpoint"


def take_last_for_best(config: DictConfig, data: ReplayDataModule) -> str | None:
    """Keep no best checkpoint where returns can't tell which it is, so that the last one counts.

    Args:
        config: of a run; changed in place.
        data: built from it.

    Returns:
        A line that says so; None where the best is kept as was asked for.
    """
    best = OmegaConf.select(config, BEST)
    if not best or not best.get("save_top_k", 1):
        return None
    why = _why_not(str(best.get("monitor")), data)
    if why is None:
        return None
    OmegaConf.update(config, f"{BEST}.save_top_k", 0, force_add=True)
    return f"{BEST}: {why}, so the last checkpoint counts as the best; {INSTEAD}"


def _why_not(monitor: str, data: ReplayDataModule) -> str | None:
    """Return why a metric doesn't tell the better one of two checkpoints; None where it may."""
    if sums_both_sides(monitor, data):
        return of_both_sides(monitor)
    if pool_of(returns_from(monitor, data)) is not None:
        return f"{monitor} is against {GROWING}"
    return None
