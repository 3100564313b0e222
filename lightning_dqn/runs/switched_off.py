"""Settings that another setting switches off, so that nothing reads them in a run.

Each alone is right, and so nobody refuses it; who typed it should know that it does nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from omegaconf import OmegaConf
from pytorch_lightning.callbacks import EarlyStopping

from lightning_dqn.collecting.exploration import Exploration
from lightning_dqn.dqn import DQN
from lightning_dqn.games.opponents.past_selves import pool_of
from lightning_dqn.networks.heads.scalar import ScalarHead
from lightning_dqn.replay.samplers.prioritized import PrioritizedSampling
from lightning_dqn.runs.experiment import Experiment, named_callbacks
from lightning_dqn.runs.unread import Unread
from lightning_dqn.schedules import ExponentialSchedule, LinearSchedule, ends

_TARGET_NETWORK = "callbacks.target_network"
_EPSILON = "data.collection.epsilon"


def switched_off(experiment: Experiment) -> Iterator[Unread]:
    """Yield what nothing reads in a run, and why.

    Args:
        experiment: the run, built and rehearsed.
    """
    yield from _of_sampler(experiment)
    yield from _of_replay(experiment)
    yield from _of_exploration(experiment)
    yield from _of_actors(experiment.data.collection)
    yield from _of_environment(experiment)
    yield from _of_target(experiment)
    yield from _of_network(experiment)
    yield from _of_callbacks(experiment)
    yield from _of_ends(experiment)


_OF_PACE = {
    "data.batch_size": "batch_size",
    "data.updates_per_iteration": "updates_per_iteration",
    "data.env_steps_per_iteration": "env_steps_per_iteration",
    "data.replay.capacity": "capacity",
    "data.replay.n_step": "n_step",
    "data.collection.warmup_env_steps": "warmup_env_steps",
}
"""Keys that a sampler may set itself -> their fields of a pace."""


def _of_sampler(experiment: Experiment) -> Iterator[Unread]:
    data, name = experiment.data, type(experiment.data.sampling).__name__
    for key, field in _OF_PACE.items():
        value = getattr(data.pace, field)
        if value is None:
            yield Unread((key,), f"{name} has targets of its own")
        elif isinstance(value, int) and value != OmegaConf.select(experiment.config, key):
            yield Unread((key,), f"{name} sets it to {value}")
    if isinstance(data.sampling, PrioritizedSampling) and data.sampling.alpha == 0:
        keys = ("data.sampler.beta", "data.sampler.epsilon", "data.collection.initial_priorities")
        yield Unread(keys, "by data.sampler.alpha=0 all priorities are alike")


def _of_replay(experiment: Experiment) -> Iterator[Unread]:
    module, trainer = experiment.module, experiment.trainer
    if type(module) is DQN and module.self_prediction is None:
        yield Unread(("data.replay.sequence_length",), "without module/self_prediction")
    storage = experiment.data.replay_config.storage
    if storage == "accelerator" and trainer.strategy.root_device.type == "cpu":
        yield Unread(("data.replay.storage",), "the device that learns is the CPU")


def _of_exploration(experiment: Experiment) -> Iterator[Unread]:
    exploration, agent = experiment.data.collection, experiment.module.agent
    if not isinstance(exploration, Exploration):
        return
    schedule = exploration.epsilon
    if not exploration.takes_random_actions(agent.explores_by_noise):
        why = "noisy layers explore instead, both do by data.collection.random_actions=true"
        if exploration.random_actions is False:
            why = "of data.collection.random_actions=false"
        yield Unread((_EPSILON, "data.collection.apex_alpha"), why)
        return
    values = [value for _, value in ends("epsilon", schedule)]
    if values and min(values) == 1:
        by_greedy = ("data.collection.temperature", f"{_TARGET_NETWORK}.collect")
        yield Unread(by_greedy, f"all actions are random, by {_EPSILON}")
    warmup = experiment.data.pace.warmup_env_steps
    if isinstance(schedule, LinearSchedule | ExponentialSchedule):
        end = getattr(schedule, "after", 0) + schedule.duration
        if end <= warmup:
            line = (f"{_EPSILON}.start", f"{_EPSILON}.duration", f"{_EPSILON}.after")
            why = f"epsilon falls until env step {end:,}, and actions are random until {warmup:,}"
            yield Unread(line, f"{why}, the warm-up's end")


def _of_actors(collection: Any) -> Iterator[Unread]:
    if getattr(collection, "num_actors", None) == 1:
        yield Unread(("data.collection.apex_alpha",), "there is one actor")
    if getattr(collection, "synchronous", False):
        keys = ("data.collection.block_rows", "data.collection.blocks_ahead")
        yield Unread(keys, "actors send what is asked for, by data.collection.synchronous=true")


def _of_environment(experiment: Experiment) -> Iterator[Unread]:
    data, callbacks = experiment.data, experiment.trainer.callbacks  # type: ignore[attr-defined]
    if data.environment.vectorization != "async":
        of_workers = ("environment.worker_timeout", "environment.max_worker_restarts")
        why = "no environment works in a process (environment.vectorization=async)"
        yield Unread(of_workers, why)
    if data.evaluation.environment is not None:
        number = ("data.evaluation.environment.num_envs",)
        yield Unread(number, "evaluation plays in data.evaluation.num_envs of them")
    fills = any(getattr(one, "fills_past_selves", False) for one in callbacks)
    if pool_of(data.environment) is not None and not fills:
        why = "no past self joins the pool, moves are random; add +callbacks/promote_past_self="
        yield Unread(("environment.kwargs.opponent",), f"{why}default")


def _of_target(experiment: Experiment) -> Iterator[Unread]:
    target, data = experiment.module.target, experiment.data
    node = OmegaConf.select(experiment.config, _TARGET_NETWORK) or {}
    moves_target = node.get("network", "target_network") == "target_network"
    acts = node.get("evaluate", False) or node.get("collect", False)
    if target.slow_copy and data.sampling.gives_whole_targets and moves_target and not acts:
        keys = ("module.target.slow_copy", _TARGET_NETWORK)
        name = type(data.sampling).__name__
        yield Unread(keys, f"{name} has its targets from the network that learns")
    if target.munchausen is not None and target.munchausen.alpha == 0:
        yield Unread(("module.target.munchausen.lower_bound",), "of alpha=0")


def _of_network(experiment: Experiment) -> Iterator[Unread]:
    agent, config = experiment.module.agent, experiment.config
    if isinstance(agent.head, ScalarHead) and agent.head.error == "mse":
        yield Unread(("module.head.huber_threshold",), "of error=mse")
    if OmegaConf.select(config, "module.network.noisy") is False:
        yield Unread(("module.network.noisy_sigma",), "of module.network.noisy=false")


def _of_callbacks(experiment: Experiment) -> Iterator[Unread]:
    """Ask those of this package, each of which knows what would keep it from its work."""
    for name, callback in named_callbacks(experiment):
        unread = getattr(callback, "unread", None)
        for key, why in () if unread is None else unread(experiment.trainer, experiment.module):
            yield Unread((f"callbacks.{name}.{key}".removesuffix("."),), why)


def _of_ends(experiment: Experiment) -> Iterator[Unread]:
    """Look at what goes by a metric: which checkpoint is kept, and when the run ends."""
    best = OmegaConf.select(experiment.config, "callbacks.best_checkpoint") or {}
    if best.get("save_top_k", 1) == 0 and experiment.note is None:  # which says why else
        keys = ("callbacks.best_checkpoint.monitor", "callbacks.best_checkpoint.mode")
        yield Unread(keys, "of save_top_k=0, by which the last weights count")
    trainer = experiment.trainer
    epochs, every = trainer.max_epochs, trainer.check_val_every_n_epoch or 1
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if not isinstance(callback, EarlyStopping) or epochs is None or epochs < 0:
            continue
        evaluations = epochs // every
        thresholds = (callback.stopping_threshold, callback.divergence_threshold)
        if evaluations - 1 <= callback.patience and thresholds == (None, None):
            keys = ("callbacks.early_stopping", "callbacks=early_stopping")
            yield Unread(
                keys,
                f"it waits for {callback.patience} evaluations without improvement, and the run "
                f"has {evaluations}",
            )
