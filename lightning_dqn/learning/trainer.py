"""What a Trainer may be asked for where a DQN learns; the rest is refused before it begins."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import (
    BaseFinetuning,
    BatchSizeFinder,
    Callback,
    GradientAccumulationScheduler,
    LearningRateFinder,
    ModelCheckpoint,
    ModelPruning,
    StochasticWeightAveraging,
)
from pytorch_lightning.profilers import PyTorchProfiler
from pytorch_lightning.utilities.compile import to_uncompiled

from lightning_dqn.learning.devices import check_devices, check_shared, warn_of_slow_precision
from lightning_dqn.learning.first_looks import check_first_looks
from lightning_dqn.learning.hooks import (
    check_callback_hooks,
    check_module_hooks,
    check_super_is_called,
)
from lightning_dqn.learning.monitors import check_monitors
from lightning_dqn.learning.run_length import iterations_of
from lightning_dqn.transitions import Iteration

FROM_A_DATA_MODULE = (
    "a DQN learns from the iterations of a ReplayDataModule; pass it itself, as in "
    "trainer.fit(module, ReplayDataModule(environment))"
)

_OF_DATA = ("iterations_per_epoch", "updates_per_iteration", "sampling")

_STEPS_ITSELF = "needs Lightning's automatic optimization, and a DQN steps its optimizer itself; "

REFUSED_CALLBACKS: dict[type[Callback], str] = {
    GradientAccumulationScheduler: _STEPS_ITSELF + "a larger batch_size has the same effect",
    StochasticWeightAveraging: _STEPS_ITSELF + "take WeightAverage from lightning_dqn.callbacks",
    BaseFinetuning: (
        "what it unfreezes in a fit would not learn, for a DQN steps its optimizer itself; take "
        "FreezeLayers from lightning_dqn.callbacks"
    ),
    ModelPruning: (
        "the copies that collect and that judge would keep the weights it takes away; prune "
        "module.agent.q_network with torch.nn.utils.prune after the fit"
    ),
    LearningRateFinder: (
        "goes by the loss, which says little of a learning rate where targets move; compare the "
        "returns that several reach, and pass DQN(optimizer=...)"
    ),
    BatchSizeFinder: (
        "tries sizes of Lightning's batches, each of which is a whole iteration here; pass "
        "ReplayDataModule(batch_size=...)"
    ),
}
"""Lightning's callbacks that can't work here -> why, and what to take instead."""


def check_fit(module: Any, *, is_users: bool) -> None:
    """Refuse a fit that can't be what was asked for.

    Args:
        module: a DQN about to be fitted.
        is_users: its class is one of the user's, which may log more than a DQN.

    Raises:
        ValueError: naming what is in the way, and what to do instead.
    """
    if module._compiler_ctx is not None:
        to_uncompiled(module)
        raise ValueError(
            "torch.compile(module): a DQN compiles its learning step itself; pass the module as it "
            "is, made by DQN(compile=True)"
        )
    check_module_hooks(module)
    types = {str(one.dtype).removeprefix("torch.") for one in module.q_network.parameters()}
    if doubtful := types & {"float64", "float16", "bfloat16"}:
        raise ValueError(
            f"module: has {min(doubtful)} weights, and observations, targets and optimizer are "
            "float32; call module.float(), and pass Trainer(precision='bf16-mixed') for products "
            "of lower precision"
        )
    check_trainer(module.trainer, logs_own_metrics=is_users)
    data = getattr(module.trainer, "datamodule", None)
    check_shared(module.trainer, data, module.q_network)
    if data is None:
        return
    if lacks := [name for name in _OF_DATA if not hasattr(data, name)]:
        raise ValueError(
            f"datamodule={type(data).__name__}: has no {lacks[0]}; {FROM_A_DATA_MODULE}"
        )
    if isinstance(data, pl.LightningDataModule):
        check_super_is_called(data, pl.LightningDataModule)
    check_monitors(module.trainer.callbacks, data)
    if data.sampling.gives_whole_targets:
        module.target.refuse_whole_targets()
    if module.predictor is not None:
        module.predictor.loss.check_fit(data)


def check_evaluation(module: Any) -> None:
    """Refuse an evaluation or a prediction that can't be, before weights are cast to a precision.

    Args:
        module: a DQN about to be evaluated.

    Raises:
        ValueError: naming what is in the way.
    """
    check_devices(module.trainer)
    check_super_is_called(module)


def check_iteration(batch: object) -> None:
    """Refuse a batch that is no iteration.

    Raises:
        ValueError: naming its type.
    """
    if not isinstance(batch, Iteration):
        raise ValueError(f"a batch is a {type(batch).__name__}: {FROM_A_DATA_MODULE}")


def check_trainer(trainer: pl.Trainer, *, logs_own_metrics: bool) -> None:
    """Refuse what can't work with a module that steps its optimizer itself.

    Args:
        trainer: about to fit.
        logs_own_metrics: the module is one of the user's, which may log more than a DQN.

    Raises:
        ValueError: naming the option, and what to take instead.
    """
    check_devices(trainer)
    warn_of_slow_precision(trainer)
    _check_options(trainer)
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    for callback in callbacks:
        if getattr(callback, "_early_exit", False):  # a Tuner's own, which an error leaves there
            trainer.callbacks = [c for c in callbacks if c is not callback]  # type: ignore[attr-defined]
        _check_callback(callback)
    makers = [type(callback).__module__.partition(".")[0] for callback in callbacks]
    if logs_own_metrics or set(makers) - {"lightning_dqn", "pytorch_lightning"}:
        return  # nobody knows what the user's own parts log
    measures = any(
        maker == "lightning_dqn" and getattr(callback, "logs_metrics", True)
        for maker, callback in zip(makers, callbacks, strict=True)
    )
    check_first_looks(trainer, measures=measures)


def expected_iterations(trainer: pl.Trainer) -> int | None:
    """Return the iterations of the whole run, None if it has no set end."""
    data: Any = getattr(trainer, "datamodule", None)
    return None if data is None else iterations_of(trainer, data.iterations_per_epoch)


def _check_options(trainer: Any) -> None:
    every = trainer.check_val_every_n_epoch
    if every is not None and every < 1:
        raise ValueError(
            f"check_val_every_n_epoch={every}: at least 1; limit_val_batches=0 evaluates never"
        )
    clip, way = trainer.gradient_clip_val, trainer.gradient_clip_algorithm
    if clip is not None or way is not None:
        name, value = ("val", clip) if way is None else ("algorithm", way.value)
        raise ValueError(
            f"gradient_clip_{name}={value}: a DQN clips the gradients of each update itself; pass "
            "DQN(max_gradient_norm=...), module.max_gradient_norm on the command line"
        )
    if trainer.accumulate_grad_batches != 1:
        raise ValueError(
            f"accumulate_grad_batches={trainer.accumulate_grad_batches}: each minibatch is an "
            "update of its own; pass ReplayDataModule(batch_size=...) for larger ones, "
            "updates_per_iteration for fewer"
        )
    if trainer.overfit_batches:
        raise ValueError(
            f"overfit_batches={trainer.overfit_batches}: every iteration collects and samples "
            "anew, so none comes twice; take limit_train_batches for shorter epochs"
        )
    if isinstance(trainer.profiler, PyTorchProfiler) and trainer.profiler._record_module_names:
        raise ValueError(
            "profiler=PyTorchProfiler: its hooks on the network can't be copied with it for "
            "acting; pass PyTorchProfiler(record_module_names=False), or profiler='simple'"
        )


def _check_callback(callback: Callback) -> None:
    for kind, reason in REFUSED_CALLBACKS.items():
        if isinstance(callback, kind):
            raise ValueError(f"{type(callback).__name__}: {reason}")
    if isinstance(callback, ModelCheckpoint) and callback._train_time_interval is not None:
        raise ValueError(
            f"{type(callback).__name__}(train_time_interval={callback._train_time_interval}): "
            "Lightning looks at it only where it steps the optimizer itself, so that nothing would "
            "be saved; set every_n_train_steps, which counts iterations"
        )
    check_callback_hooks(callback)
