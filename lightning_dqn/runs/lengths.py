"""How long the whole run is, for schedules over all of it: ``${total_env_steps:}`` and the like."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from lightning_dqn.runs.build import ConfigError, build


def total_iterations(config: DictConfig) -> int:
    """Return the iterations of the whole run, for learning-rate schedules over all of it."""
    # A configuration is composed and printed without torch, which this file brings.
    from lightning_dqn.replay.samplers.sampler import Pace, as_sampling
    from lightning_dqn.replay.samplers.uniform import UniformSampling

    data = config.data
    asked = Pace(
        num_envs=int(config.environment.num_envs),
        frame_stack=1,
        n_step=1,
        overlap=False,
        capacity=int(data.replay.capacity),
        batch_size=int(data.batch_size),
        updates_per_iteration=int(data.updates_per_iteration),
        env_steps_per_iteration=int(data.env_steps_per_iteration),
        warmup_env_steps=0,
    )
    pace = as_sampling(build(config, "data.sampler") or UniformSampling()).pace(asked)
    iterations = -(-int(data.env_steps_per_epoch) // pace.env_steps_per_iteration)
    return _total_epochs(config) * iterations


def total_env_steps(config: DictConfig) -> int:
    """Return the env steps of the whole run, for schedules over all of it."""
    warmup = int(config.data.collection.warmup_env_steps)
    return warmup + _total_epochs(config) * int(config.data.env_steps_per_epoch)


def spread_budget(config: DictConfig) -> None:
    """Turn ``env_steps``, of the whole run, into epochs that come to it.

    Their number stays as near as can be to what ``data.env_steps_per_epoch`` says, so that there
    is an evaluation as often.

    Raises:
        ConfigError: it isn't a number of env steps, or the warm-up takes them all.
    """
    budget = config.get("env_steps")
    if budget is None:
        return
    is_whole = isinstance(budget, int | float) and float(budget).is_integer() and budget > 0
    if not is_whole or isinstance(budget, bool):
        raise ConfigError(f"env_steps={budget!r}: expected a whole number from 1, or null")
    left = int(budget) - int(config.data.collection.get("warmup_env_steps", 0))
    if left <= 0:
        raise ConfigError(
            f"env_steps={int(budget)}: the warm-up takes them all; lower "
            f"data.collection.warmup_env_steps={config.data.collection.warmup_env_steps}"
        )
    epochs = max(1, round(left / int(config.data.env_steps_per_epoch)))
    config.trainer.max_epochs = epochs
    config.data.env_steps_per_epoch = -(-left // epochs)


def register_lengths() -> None:
    """Let configurations ask for them."""
    for length in (total_iterations, total_env_steps):
        OmegaConf.register_new_resolver(
            length.__name__, lambda *, _root_, of=length: of(_root_), replace=True
        )


def _total_epochs(config: DictConfig) -> int:
    epochs = config.trainer.max_epochs
    if epochs is None or epochs < 0:
        raise ConfigError(
            f"trainer.max_epochs={epochs}: a schedule over the whole run needs its end; "
            "set max_epochs or the schedule's own length"
        )
    return int(epochs)
