"""What a run was told to do, read off its parts."""

from __future__ import annotations

from lightning_dqn.data import ReplayDataModule
from lightning_dqn.diagnostics.doctor.rule import Facts
from lightning_dqn.dqn import DQN


def facts_of(module: DQN, data: ReplayDataModule, total_env_steps: int = 0) -> Facts:
    """Return what rules hold against what the run does.

    Args:
        module: that learns.
        data: that it learns from.
        total_env_steps: of the whole run, at which schedules are at their end.
    """
    pace, config = data.pace, data.replay_config
    is_self_play = data.environment.spec.zero_sum_turns
    return Facts(
        gamma=config.gamma_at(total_env_steps),
        max_gradient_norm=module.hparams.get("max_gradient_norm"),
        updates_per_env_step=pace.updates_per_iteration / pace.env_steps_per_iteration,
        batch_size=pace.batch_size,
        capacity=config.capacity,
        evaluates_alike=data.evaluation.environment is None and not is_self_play,
    )
