"""How long the whole run is, for schedules over all of it: ``${total_env_steps:}`` and the like."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from lightning_dqn.learning.run_length import iterations_until, limited
from lightning_dqn.runs.build import ConfigError, build, default_of

if TYPE_CHECKING:
    from lightning_dqn.replay.samplers.sampler import Pace


_IS_ASKED_FOR_PACE = ContextVar("is_asked_for_pace", default=False)
"""A sampler is built for its pace alone: of its schedules, over a run whose length isn't known yet,
the lengths don't matter."""


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
        warmup_env_steps=warmup_of(config),
    )
    token = _IS_ASKED_FOR_PACE.set(True)
    try:
        sampling = build(config, "data.sampler") or UniformSampling()
    finally:
        _IS_ASKED_FOR_PACE.reset(token)
    return as_sampling(sampling).pace(asked)


def warmup_of(config: DictConfig) -> int:
    """Return the env steps before learning; where none are named, the collection's default."""
    named = config.data.collection.get("warmup_env_steps")
    if named is None:
        named = default_of(config.data.collection, "warmup_env_steps", "data.collection")
    return int(named or 0)


def total_iterations(config: DictConfig) -> int:
    """Return the iterations of the whole run, for learning-rate schedules over all of it.

    ``fast_dev_run`` is left out: it tries the code and not the schedules.

    Raises:
        ConfigError: it has no end.
    """
    return _iterations(config, pace_of(config))


def total_env_steps(config: DictConfig) -> int:
    """Return the env steps of the whole run, for schedules over all of it.

    One more step of all environments may be taken at the end.

    Raises:
        ConfigError: it has no end.
    """
    if config.get("env_steps") is not None:  # of which epochs may have been of other lengths
        return int(config.env_steps)
    if _IS_ASKED_FOR_PACE.get():
        return 1
    pace = pace_of(config)
    return pace.warmup_env_steps + _iterations(config, pace) * pace.env_steps_per_iteration


def register_lengths() -> None:
    """Let configurations ask for them."""
    for length in (total_iterations, total_env_steps):
        OmegaConf.register_new_resolver(
            length.__name__, lambda *, _root_, of=length: of(_root_), replace=True
        )


def _iterations(config: DictConfig, pace: Pace) -> int:
    trainer, epochs = config.trainer, config.trainer.max_epochs
    an_epoch = -(-int(config.data.env_steps_per_epoch) // pace.env_steps_per_iteration)
    an_epoch = limited(an_epoch, trainer.get("limit_train_batches"))
    iterations = iterations_until(epochs, int(trainer.get("max_steps", -1)), an_epoch)
    if iterations is None:
        raise ConfigError(
            f"trainer.max_epochs={epochs}: a schedule over the whole run needs its end; "
            "set max_epochs or the schedule's own length"
        )
    return iterations
