"""How long the whole run is, for schedules over all of it: ``${total_env_steps:}`` and the like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from lightning_dqn.runs.build import ConfigError, build

if TYPE_CHECKING:
    from lightning_dqn.replay.samplers.sampler import Pace


def pace_of(config: DictConfig) -> Pace:
    """Return in what steps a run collects and learns, before anything of it is built."""
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
        warmup_env_steps=int(data.collection.get("warmup_env_steps", 0)),
    )
    return as_sampling(build(config, "data.sampler") or UniformSampling()).pace(asked)


def total_iterations(config: DictConfig) -> int:
    """Return the iterations of the whole run, for learning-rate schedules over all of it."""
    per_iteration = pace_of(config).env_steps_per_iteration
    return _total_epochs(config) * -(-int(config.data.env_steps_per_epoch) // per_iteration)


def total_env_steps(config: DictConfig) -> int:
    """Return the env steps of the whole run, for schedules over all of it."""
    if config.get("env_steps") is not None:  # of which epochs may have been of other lengths
        return int(config.env_steps)
    warmup = int(config.data.collection.get("warmup_env_steps", 0))
    return warmup + _total_epochs(config) * int(config.data.env_steps_per_epoch)


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
