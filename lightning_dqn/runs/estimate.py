"""What a whole run takes, by a trial of it: memory, disk and time."""

from __future__ import annotations

import math
from functools import partial
from typing import Literal, NamedTuple

from pytorch_lightning.callbacks import ModelCheckpoint

from lightning_dqn.collecting.evaluation import STEPS_WITHOUT_A_LIMIT
from lightning_dqn.diagnostics.doctor.looks import time_limit
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.learning.run_length import iterations_in, iterations_of
from lightning_dqn.replay.samplers.sampler import bytes_beside_ring
from lightning_dqn.replay.storage import batches_bytes, ring_bytes, ring_rows
from lightning_dqn.reporting.metrics_file import METRICS
from lightning_dqn.runs.experiment import Experiment
from lightning_dqn.runs.trial import Trial
from lightning_dqn.system.memory import format_bytes

_ROW_BYTES = 600
"""Of a row in metrics.csv with all that diagnostics tell; others have a third of it."""

_LOOK_ENV_STEPS = 5_000


class Line(NamedTuple):
    """A line of the estimate.

    Attributes:
        group: memory, disk or time.
        what: takes it.
        amount: as it is shown.
    """

    group: str
    what: str
    amount: str


class Times(NamedTuple):
    """Seconds of a whole run.

    Attributes:
        warmup: random actions before learning.
        training: all iterations.
        evaluation: all validations and the test, episodes as long as those of random play.
        longest_evaluation: likewise, episodes as long as they may be.
    """

    warmup: float
    training: float
    evaluation: float
    longest_evaluation: float


def estimate(experiment: Experiment, trial: Trial, episode_length: float | None) -> list[Line]:
    """Return what the run takes, a line each.

    Args:
        experiment: the run, built but not run.
        trial: of it.
        episode_length: mean in random play, in env steps; None: none ended.
    """
    times = times_of(experiment, trial, episode_length)
    return [
        *_memory(experiment, trial),
        *_disk(experiment, trial),
        *_time(times, experiment, trial),
    ]


def times_of(experiment: Experiment, trial: Trial, episode_length: float | None) -> Times:
    """Return how long the run takes; without end where the run is."""
    data, config = experiment.data, experiment.config
    pace = data.pace
    iterations = _iterations(experiment)
    rate = trial.warmup_env_steps / trial.warmup_seconds if trial.warmup_seconds else float("inf")
    training = iterations * (trial.collecting_seconds + trial.learning_seconds)
    per_env_step = trial.collecting_seconds / pace.env_steps_per_iteration
    asked = data.evaluation
    validations = asked.num_envs * asked.episodes_per_env * _evaluations(experiment)
    tests = asked.num_envs * asked.test_episodes_per_env if config.test else 0
    limit = longest_episode(data.evaluation_environment, asked.max_episode_steps)
    length = limit if episode_length is None else min(episode_length, limit)
    episodes = validations + tests
    per_episode_step = episodes * per_env_step
    return Times(
        warmup=pace.warmup_env_steps / rate,
        training=training,
        evaluation=length * per_episode_step if episodes else 0.0,
        longest_evaluation=limit * per_episode_step if episodes else 0.0,
    )


def _iterations(experiment: Experiment) -> float:
    """Return those of the whole run, inf where neither epochs nor steps end it."""
    made = iterations_of(experiment.trainer, experiment.data.iterations_per_epoch)
    return math.inf if made is None else made


def _evaluations(experiment: Experiment) -> int:
    """Return those between epochs of the whole run, one where the run is without end."""
    trainer, iterations = experiment.trainer, _iterations(experiment)
    if trainer.limit_val_batches == 0:
        return 0
    every = trainer.check_val_every_n_epoch or 1
    an_evaluation = every * iterations_in(trainer, experiment.data.iterations_per_epoch)
    return 1 if math.isinf(iterations) else int(iterations // an_evaluation)


def longest_episode(factory: EnvironmentFactory, cut: int | Literal["auto"] | None) -> int | float:
    """Return how long an evaluation's episode may be, in env steps; inf: without end.

    Args:
        factory: of the environments it plays in.
        cut: ``EvaluationConfig.max_episode_steps``.
    """
    limit = time_limit(factory)
    if cut == "auto":
        return STEPS_WITHOUT_A_LIMIT if limit is None else limit
    return min(math.inf if one is None else one for one in (cut, limit))


def _memory(experiment: Experiment, trial: Trial) -> list[Line]:
    data = experiment.data
    spec, pace = data.environment.spec, data.pace
    rows = ring_rows(data.environment.num_envs, pace.capacity)
    ring = ring_bytes(spec, data.environment.num_envs, pace.capacity, data.extra_columns)
    beside = bytes_beside_ring(data.sampling, rows)
    storage = data.replay_config.storage
    minibatches = minibatch_bytes(experiment)
    in_memory = 0 if storage == "memmap" else ring
    filled = int(ring * min(1.0, trial.rows / rows))  # is in the trial's peak already
    peak = trial.peak_bytes + max(0, in_memory + beside - filled)
    lines = [
        Line("memory", f"replay ring, {rows:,} rows ({storage})", format_bytes(ring)),
        Line("memory", "minibatches of an iteration", format_bytes(minibatches)),
        Line("memory", "networks, gradients, optimizer", format_bytes(trial.network_bytes)),
        Line("memory", "peak of the process, ring filled", format_bytes(peak)),
    ]
    if beside:
        lines.insert(1, Line("memory", "priorities beside it", format_bytes(beside)))
    if trial.accelerator_bytes:
        lines.append(Line("memory", "peak of the GPU", format_bytes(trial.accelerator_bytes)))
    return lines


def minibatch_bytes(experiment: Experiment) -> int:
    """Return the size of an iteration's minibatches."""
    data = experiment.data
    return batches_bytes(
        data.environment.spec,
        data.pace.updates_per_iteration,
        data.pace.batch_size,
        data.pace.sequence_length,
        extra_columns=data.extra_columns,
    )


def _disk(experiment: Experiment, trial: Trial) -> list[Line]:
    data = experiment.data
    size = partial(ring_bytes, data.environment.spec, data.environment.num_envs)
    ring = size(data.pace.capacity, data.extra_columns)
    filled = size(trial.rows, data.extra_columns)
    own = max(0, trial.checkpoint_bytes - filled)
    savers = experiment.trainer.checkpoint_callbacks
    kept = sum(isinstance(one, ModelCheckpoint) and one.save_top_k != 0 for one in savers)
    lines = [
        Line("disk", f"checkpoints, {kept} kept, without rows of replay", format_bytes(kept * own)),
        Line("disk", "rows of replay in or beside each of them, at most", format_bytes(ring)),
        Line("disk", METRICS, format_bytes(_log_bytes(experiment))),
    ]
    if data.replay_config.storage == "memmap":
        lines.append(Line("disk", "the ring's own file", format_bytes(ring)))
    return lines


def _log_bytes(experiment: Experiment) -> float:
    data, trainer = experiment.data, experiment.trainer
    period: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
    an_epoch = iterations_in(trainer, data.iterations_per_epoch)
    iterations = _iterations(experiment)
    iterations = an_epoch if math.isinf(iterations) else iterations
    epochs = iterations / an_epoch
    rows = iterations / max(1, period) + 2 * epochs
    looks = epochs * data.env_steps_per_epoch / _LOOK_ENV_STEPS
    return (rows / 3 + looks) * _ROW_BYTES


def _time(times: Times, experiment: Experiment, trial: Trial) -> list[Line]:
    pace = experiment.data.pace
    iteration = trial.collecting_seconds + trial.learning_seconds
    env_steps = pace.env_steps_per_iteration / iteration if iteration else 0.0
    updates = pace.updates_per_iteration / iteration if iteration else 0.0
    total = times.warmup + times.training
    return [
        Line("time", "speed", f"{env_steps:,.0f} env steps/s, {updates:,.0f} updates/s"),
        Line("time", "of which collecting", f"{_share(trial.collecting_seconds, iteration):.0%}"),
        Line("time", "warm-up", in_two_units(times.warmup)),
        Line("time", "training", in_two_units(times.training)),
        Line(
            "time",
            "evaluations and test",
            f"{in_two_units(times.evaluation)} to {in_two_units(times.longest_evaluation)}",
        ),
        Line(
            "time",
            "the whole run",
            f"{in_two_units(total + times.evaluation)} to "
            f"{in_two_units(total + times.longest_evaluation)}",
        ),
    ]


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def in_two_units(seconds: float) -> str:
    """Return a time in the two units that say most of it, as '2 h 5 min'."""
    if seconds == float("inf"):
        return "without end"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min"
