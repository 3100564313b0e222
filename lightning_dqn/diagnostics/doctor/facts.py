"""What a run was told to do, read off its parts."""

from __future__ import annotations

from lightning_dqn.data import ReplayDataModule
from lightning_dqn.diagnostics.doctor.rule import Facts
from lightning_dqn.dqn import DQN
from lightning_dqn.schedules import Schedule, ends


def facts_of(module: DQN, data: ReplayDataModule) -> Facts:
    """Return what rules hold against what the run does.

    Args:
        module: that learns.
        data: that it learns from.
    """
    pace, config = data.pace, data.replay_config
    is_self_play = data.environment.spec.zero_sum_turns
    return Facts(
        gamma=_largest_gamma(config.gamma),
        max_gradient_norm=module.hparams.get("max_gradient_norm"),
        updates_per_env_step=pace.updates_per_iteration / pace.env_steps_per_iteration,
        batch_size=pace.batch_size,
        capacity=config.capacity,
        evaluates_alike=data.evaluation.environment is None and not is_self_play,
        num_envs=data.environment.num_envs,
        trains_both_sides=is_self_play,
        evaluates_both_sides=data.evaluation_environment.spec.zero_sum_turns,
    )


def _largest_gamma(gamma: float | Schedule) -> float | None:
    """Return the discount of the longest horizon there is; None of a function of the user's own."""
    return max((value for _, value in ends("gamma", gamma)), key=abs, default=None)
