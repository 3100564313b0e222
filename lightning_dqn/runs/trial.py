"""A short trial of a run in a folder of its own that goes again: how fast it is, what it takes."""

from __future__ import annotations

import copy
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf, open_dict

from lightning_dqn.runs.experiment import Experiment, prepare
from lightning_dqn.runs.lengths import warmup_of
from lightning_dqn.runs.unread import without_idle_warnings

MOST_ROWS = 20_000
"""Of the trial's ring, if that of the run is larger."""

_FIRST = 2
"""Iterations that aren't measured: memory is taken, and kernels are chosen."""

_STAYS = ("target_network", "average_network")
"""Callbacks that learning costs time with; others write, show or look."""


@dataclass
class Trial:
    """What a trial showed.

    Attributes:
        collecting: seconds of each iteration's collection.
        learning: seconds of each iteration's sampling and updates.
        warmup_env_steps: of random actions.
        warmup_seconds: that they took.
        peak_bytes: of the process, while the trial ran.
        accelerator_bytes: the most of an accelerator's memory; 0 where there is none.
        rows: of the ring that were filled.
        checkpoint_bytes: of a checkpoint with these rows.
        network_bytes: weights of all networks, the gradients, and what the optimizer keeps.
        parameters: of the network that learns.
    """

    collecting: list[float] = field(default_factory=list)
    learning: list[float] = field(default_factory=list)
    warmup_env_steps: int = 0
    warmup_seconds: float = 0.0
    peak_bytes: int = 0
    accelerator_bytes: int = 0
    rows: int = 0
    checkpoint_bytes: int = 0
    network_bytes: int = 0
    parameters: int = 0

    @property
    def collecting_seconds(self) -> float:
        """Seconds that an iteration's collection takes: the median."""
        return _median(self.collecting)

    @property
    def learning_seconds(self) -> float:
        """Seconds that an iteration's learning takes: the median."""
        return _median(self.learning)


def try_run(config: DictConfig, seconds: float) -> Trial:
    """Run the beginning of a run, and return what it showed.

    The warm-up is cut to what the first minibatches need, the ring to 20,000 rows, and nothing is
    logged, shown or kept.

    Args:
        config: of the run; it is left as it is.
        seconds: after which the trial ends, warm-up included.

    Raises:
        ConfigError: the run can't be built.
    """
    with tempfile.TemporaryDirectory(prefix="lightning_dqn_doctor_") as folder, _quiet():
        experiment = prepare(shortened(config, Path(folder)))
        clock = _Clock(experiment, seconds, Path(folder))
        experiment.trainer.callbacks.append(clock)  # type: ignore[attr-defined]
        with _threads(config.num_threads), without_idle_warnings():
            experiment.trainer.fit(experiment.module, experiment.data)
        return clock.trial


def shortened(config: DictConfig, folder: Path) -> DictConfig:
    """Return the configuration of a trial."""
    short = copy.deepcopy(config)
    with open_dict(short):
        short.run_dir, short.ckpt_path, short.env_steps = str(folder), None, None
        short.trainer.max_epochs, short.trainer.enable_progress_bar = 1, False
        short.trainer.limit_val_batches, short.trainer.num_sanity_val_steps = 0, 0
        short.logger = {}
        short.module.compile = False
        nodes = short.callbacks or {}
        short.callbacks = {name: nodes[name] for name in nodes if name in _STAYS}
        data = short.data
        data.env_steps_per_epoch = 10**9
        rows = min(int(data.replay.capacity), max(MOST_ROWS, _least_rows(short)))
        data.replay.capacity = rows
        if data.replay.get("storage") == "memmap":
            data.replay.storage, data.replay.directory = "cpu", None
        data.collection.warmup_env_steps = min(warmup_of(short), _least_rows(short) // 2)
    return short


def _least_rows(config: DictConfig) -> int:
    """Return rows that are enough for a minibatch and for several steps of all environments."""
    stack = int(config.environment.get("frame_stack", 1))
    longest = OmegaConf.select(config, "data.replay.n_step")
    n_step = longest if isinstance(longest, int) else 16
    num_envs = int(config.environment.num_envs)
    return max(4 * int(config.data.batch_size), num_envs * (stack + 2 * n_step + 8))


class _Clock(pl.Callback):
    """Measures a trial, and ends it."""

    def __init__(self, experiment: Experiment, seconds: float, folder: Path) -> None:
        self.trial = Trial()
        self._data: Any = experiment.data
        self._seconds, self._folder = seconds, folder
        self._process = psutil.Process()
        self._began = self._since = time.perf_counter()
        self._is_warm = False

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to measure."""
        self._began = self._since = time.perf_counter()
        self._data.between_iterations.append(self._before_iteration)
        self._data.after_collection.append(self._after_collection)
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any, **__: Any
    ) -> None:
        """Measure an iteration's learning, and end where there is no more time."""
        now = time.perf_counter()
        self.trial.learning.append(now - self._since)
        self.trial.peak_bytes = max(self.trial.peak_bytes, self._process.memory_info().rss)
        if now - self._began > self._seconds and len(self.trial.learning) > _FIRST:
            trainer.should_stop = True

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure what stays and what would be written."""
        module: Any = pl_module
        trial, replay = self.trial, self._data.replay
        trial.collecting, trial.learning = trial.collecting[_FIRST:], trial.learning[_FIRST:]
        trial.rows = replay.num_rows
        learned = list(module.q_network.parameters())
        [optimizer] = trainer.optimizers
        moments = [t for state in optimizer.state.values() for t in state.values()]
        tensors = [*module.parameters(), *module.buffers(), *learned, *moments]
        trial.network_bytes = sum(t.nbytes for t in tensors if isinstance(t, torch.Tensor))
        trial.parameters = sum(parameter.numel() for parameter in learned)
        if torch.cuda.is_available():
            trial.accelerator_bytes = torch.cuda.max_memory_allocated()
        trial.checkpoint_bytes = self._checkpoint(trainer)
        self._data.between_iterations.remove(self._before_iteration)
        self._data.after_collection.remove(self._after_collection)

    def _before_iteration(self) -> None:
        self._is_warm, self._since = True, time.perf_counter()

    def _after_collection(self, env_steps: int) -> None:
        now = time.perf_counter()
        if self._is_warm:
            self.trial.collecting.append(now - self._since)
            self._since = now
        else:
            self.trial.warmup_env_steps, self.trial.warmup_seconds = env_steps, now - self._began

    def _checkpoint(self, trainer: pl.Trainer) -> int:
        path = self._folder / "trial.ckpt"
        trainer.save_checkpoint(path)
        return path.stat().st_size


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what is said of a fit this short from the terminal; what goes wrong is raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    """Let torch have as many threads as the run would."""
    before = torch.get_num_threads()
    if number is not None:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _median(values: list[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2] if ordered else 0.0
