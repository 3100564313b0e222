"""Settings that another setting switches off, so that nothing reads them in a run.

Each alone is right, and so nobody refuses it; who typed it should know that it does nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from omegaconf import OmegaConf
from pytorch_lightning.callbacks import EarlyStopping

from lightning_dqn.callbacks.episode_videos import EpisodeVideos
from lightning_dqn.callbacks.model_operation import ModelOperation
from lightning_dqn.callbacks.period import Period
from lightning_dqn.callbacks.promote_past_self import PromotePastSelf
from lightning_dqn.callbacks.unseen_states import UnseenStates
from lightning_dqn.callbacks.weight_average import WeightAverage
from lightning_dqn.collecting.exploration import Exploration
from lightning_dqn.dqn import DQN
from lightning_dqn.games.opponents.past_selves import pool_of
from lightning_dqn.learning.trainer import iterations_of
from lightning_dqn.networks.heads.scalar import ScalarHead
from lightning_dqn.networks.table import Table
from lightning_dqn.replay.samplers.prioritized import PrioritizedSampling
from lightning_dqn.runs.experiment import Experiment, named_callbacks
from lightning_dqn.runs.unread import Unread
from lightning_dqn.schedules import ExponentialSchedule, LinearSchedule, ends

_TARGET_NETWORK = "callbacks.target_network"
_EPSILON = "data.collection.epsilon"


def dormant(experiment: Experiment) -> Iterator[Unread]:
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
    yield from _of_operations(experiment)
    yield from _of_evaluation(experiment)
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
    promotes = any(isinstance(one, PromotePastSelf) for one in callbacks)
    if pool_of(data.environment) is not None and not promotes:
        why = "no past self joins the pool, moves are random; add +callbacks/promote_past_self="
        yield Unread(("environment.kwargs.opponent",), f"{why}default")


def _of_target(experiment: Experiment) -> Iterator[Unread]:
    target, data = experiment.module.target, experiment.data
    node = OmegaConf.select(experiment.config, _TARGET_NETWORK) or {}
    moves_target = node.get("network", "target_network") == "target_network"
    acts = node.get("evaluate", False) or node.get("collect", False)
    if not target.slow_copy and moves_target:
        yield Unread((_TARGET_NETWORK,), "module.target.slow_copy=false, so nothing is moved")
    elif data.sampling.gives_whole_targets and moves_target and not acts:
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


def _of_operations(experiment: Experiment) -> Iterator[Unread]:
    """Look at what acts on networks: whether it ever does, and whose work is evaluated."""
    evaluated = []
    for name, callback in named_callbacks(experiment):
        if not isinstance(callback, ModelOperation):
            continue
        if (never := _never(callback.period, experiment)) is not None:
            yield Unread((f"callbacks.{name}",), never)
        elif getattr(callback, "evaluate", False) and callback.applies_to(experiment.module):
            evaluated.append((isinstance(callback, WeightAverage), name))
    # A mean says that it acts when it has a snapshot, a target network when it is made.
    evaluated.sort(key=lambda one: one[0])
    for _, name in evaluated[:-1]:
        keys = (f"callbacks.{name}.evaluate",)
        yield Unread(keys, f"callbacks.{evaluated[-1][1]} acts in evaluation")


def _never(period: Period, experiment: Experiment) -> str | None:
    """Return why no period's end is one at which something is done; None where one is."""
    data = experiment.data
    first = -(-max(period.start, 1) // period.length) * period.length
    if period.until is not None and first >= period.until:
        return f"there is no multiple of {period.length:,} from start to until"
    iterations = iterations_of(experiment.trainer, data.iterations_per_epoch)
    if iterations is None:
        return None
    pace = data.pace
    length, unit = iterations * pace.updates_per_iteration, "updates"
    if period.counts_env_steps:
        length = pace.warmup_env_steps + iterations * pace.env_steps_per_iteration
        unit = "env steps"
    return f"it acts after {first:,} {unit}, and the run has {length:,}" if first > length else None


def _of_evaluation(experiment: Experiment) -> Iterator[Unread]:
    """Look at what acts after every n-th epoch."""
    trainer, module = experiment.trainer, experiment.module
    epochs, every = trainer.max_epochs, trainer.check_val_every_n_epoch or 1
    for name, callback in named_callbacks(experiment):
        key = f"callbacks.{name}"
        if isinstance(callback, EpisodeVideos | PromotePastSelf) and (epochs or -1) >= 0:
            period = callback.every_n_epochs
            if not any(n % period == n % every == 0 for n in range(1, (epochs or 0) + 1)):
                yield Unread((key,), f"it acts at every {period}th epoch, and the run has {epochs}")
        if isinstance(callback, UnseenStates):
            network = module.agent.get_submodule(module.agent.evaluation_network)
            if not isinstance(network, Table):
                yield Unread((key,), "the network is no table")


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
