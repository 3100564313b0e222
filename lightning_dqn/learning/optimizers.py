"""What a DQN learns with: one optimizer, and at most one schedule of its learning rate.

Both are refused before a run where they can't work with a module that steps them itself, and
where they aren't those that a continued run learned with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lightning_dqn.networks.normalisations import mark_normalisations

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
LRSchedulerFactory = Callable[[Optimizer], LRScheduler]

_ONCE_AN_ITERATION = {"interval": "step", "frequency": 1}
"""What Lightning's mapping of a schedule says of one that is stepped as it is here."""

_LENGTHS = ("T_max", "total_iters", "total_steps")
"""What torch's schedules call the iterations from their beginning to their end."""


class Optimization:
    """Makes optimizer and schedule anew for each fit.

    Args:
        optimizer: from parameters to a torch optimizer; None: Adam.
        lr_scheduler: from the optimizer to a torch scheduler; None: the learning rate stays.

    Raises:
        ValueError: one of them isn't a function.
    """

    def __init__(
        self, optimizer: OptimizerFactory | None, lr_scheduler: LRSchedulerFactory | None
    ) -> None:
        _check_function("optimizer", optimizer, "torch.optim.Adam, lr=1e-3")
        _check_function("lr_scheduler", lr_scheduler, "LinearLR, total_iters=1_000")
        self._make_optimizer = optimizer or partial(torch.optim.Adam, lr=1e-3, fused=True)
        self._make_lr_scheduler = lr_scheduler or None  # empty, as Hydra's instantiate has it
        self._lengths: dict[str, int] = {}

    @property
    def is_scheduled(self) -> bool:
        """Whether the learning rate has a schedule."""
        return self._make_lr_scheduler is not None

    def make(self, network: nn.Module, iterations: int | None) -> Any:
        """Return what Lightning takes: an optimizer, or both, for a run of so many iterations.

        Args:
            network: all that learns.
            iterations: of the run; None: without end.

        Raises:
            ValueError: they can't work here.
        """
        optimizer = self._make_optimizer(mark_normalisations(network).parameters())
        check_optimizer(optimizer, network)
        if self._make_lr_scheduler is None:
            return optimizer
        scheduler = self._make_lr_scheduler(optimizer)
        check_lr_scheduler(scheduler, iterations)
        config = scheduler if isinstance(scheduler, Mapping) else {"scheduler": scheduler}
        made = vars(config["scheduler"])
        self._lengths = {name: made[name] for name in _LENGTHS if name in made}
        return [optimizer], [{**config, **_ONCE_AN_ITERATION}]

    def keep_length(self, scheduler: Any) -> None:
        """Let a schedule be as long as it was made, where a checkpoint brought another length.

        Its rate is then what it would be if it had been as long from the beginning.

        Args:
            scheduler: what :meth:`make` made, with the state of a checkpoint.

        Raises:
            ValueError: it isn't known what that rate is.
        """
        brought = {name: getattr(scheduler, name) for name in self._lengths}
        if brought == self._lengths:
            return
        rates_now = getattr(scheduler, "_get_closed_form_lr", None)
        if rates_now is None:
            [(name, before), *_] = brought.items()
            raise ValueError(
                f"lr_scheduler={type(scheduler).__name__}({name}={self._lengths[name]}): the run "
                f"that ckpt_path continues has {name}={before}, and this schedule can't be of "
                "another length from there on; continue with a run as long, or with LinearLR or "
                "CosineAnnealingLR from the beginning"
            )
        vars(scheduler).update(self._lengths)
        scheduler._last_lr = rates_now()
        for group, rate in zip(scheduler.optimizer.param_groups, scheduler._last_lr, strict=True):
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate


def check_optimizers(trainer: Any, network: nn.Module, iterations: int | None) -> None:
    """Refuse what a ``configure_optimizers`` of the user's own gave that can't work here.

    Args:
        trainer: whose strategy has set up.
        network: all that learns.
        iterations: of the run; None: without end.

    Raises:
        ValueError: naming what to return instead.
    """
    optimizers = [one for one in trainer.optimizers if one.param_groups]  # Lightning's own has none
    if len(optimizers) != 1:
        raise ValueError(
            f"configure_optimizers: gives {len(optimizers) or 'no'} optimizers, and a DQN steps "
            "one; return one of all that learns, module.update.network.parameters(), in several "
            "param groups where they learn otherwise"
        )
    check_optimizer(optimizers[0], network)
    if len(trainer.lr_scheduler_configs) > 1:
        raise ValueError(
            f"configure_optimizers: gives {len(trainer.lr_scheduler_configs)} schedulers, and a "
            "DQN steps one; make one of them by torch's SequentialLR or ChainedScheduler"
        )
    for config in trainer.lr_scheduler_configs:
        settings = {name: getattr(config, name) for name in ("scheduler", *_ONCE_AN_ITERATION)}
        check_lr_scheduler(settings, iterations)


def names_of(trainer: Any) -> dict[str, str | None]:
    """Return the classes of optimizer and schedule of a Trainer, by name; {}: it has none."""
    if trainer is None or not trainer.optimizers:
        return {}
    schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
    found = {"optimizer": trainer.optimizers, "lr_scheduler": schedulers}
    return {name: type(ones[0]).__name__ if ones else None for name, ones in found.items()}


def check_same_optimizers(saved: Mapping[str, str | None], trainer: Any) -> None:
    """Refuse to go on with another optimizer or schedule than a checkpoint was saved with.

    Args:
        saved: what :func:`names_of` returned then.
        trainer: that goes on.

    Raises:
        ValueError: naming both, and what to pass.
    """
    present = names_of(trainer)
    for name, before in saved.items():
        if present[name] != before:
            remedy = f"leave {name} out"
            if before is not None:
                remedy = f"pass it, also to load_from_checkpoint, which brings none: {name}=..."
            raise ValueError(
                f"{name}={present[name]}: the run that ckpt_path continues has {before}; {remedy}. "
                "Without ckpt_path another run begins with these weights"
            )


def check_optimizer(optimizer: Optimizer, network: nn.Module) -> None:
    """Refuse an optimizer of other parameters, or that steps along other than dense gradients.

    Args:
        optimizer: what ``optimizer=`` or ``configure_optimizers`` gave.
        network: all that learns.

    Raises:
        ValueError: naming what it wants, what it lacks, or that it is none.
    """
    if not isinstance(optimizer, Optimizer):
        raise ValueError(f"optimizer: gives a {type(optimizer).__name__}, and no torch optimizer")
    wants = {torch.optim.LBFGS: "a closure", torch.optim.SparseAdam: "sparse gradients"}
    for kind, wish in wants.items():
        if isinstance(optimizer, kind):
            raise ValueError(
                f"optimizer={kind.__name__}: wants {wish}, which an update doesn't have; choose "
                "Adam, AdamW, SGD or another that steps along gradients"
            )
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    learning = dict(network.named_parameters())
    missed = [n for n, one in learning.items() if one.requires_grad and id(one) not in held]
    if missed or held - set(map(id, learning.values())):
        what = f"lacks {missed[0]}" if missed else "has parameters that nothing here learns"
        raise ValueError(
            f"optimizer={type(optimizer).__name__}: {what}; give it all parameters that it is "
            "handed, or module.update.network.parameters(), and take FreezeLayers from "
            "lightning_dqn.callbacks for what shall stay as it is"
        )


def check_lr_scheduler(scheduler: Any, iterations: int | None) -> None:
    """Refuse a schedule that follows a value, counts something else, or is over before the run.

    Args:
        scheduler: stepped once an iteration; a torch scheduler or Lightning's mapping of one.
        iterations: of the run; None: without end.

    Raises:
        ValueError: naming what to take instead.
    """
    config = scheduler if isinstance(scheduler, Mapping) else {"scheduler": scheduler}
    scheduler = config.get("scheduler")
    if not hasattr(scheduler, "step"):
        raise ValueError(
            f"lr_scheduler: gives a {type(scheduler).__name__}, and no torch scheduler; "
            "SequentialLR and ChainedScheduler make one of several"
        )
    if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
        raise ValueError(
            "lr_scheduler=ReduceLROnPlateau: it is stepped once an iteration and has no value to "
            "watch there; choose a schedule over iterations, as LinearLR or CosineAnnealingLR"
        )
    for name, meant in _ONCE_AN_ITERATION.items():
        if config.get(name, meant) != meant:
            raise ValueError(
                f"lr_scheduler[{name!r}]={config[name]!r}: it is stepped once an iteration; count "
                'iterations, and give {"scheduler": ..., "interval": "step"}, for Lightning takes '
                "'epoch' where none is named"
            )
    if isinstance(scheduler, torch.optim.lr_scheduler.CosineAnnealingLR) and scheduler.T_max < 1:
        raise ValueError(
            f"lr_scheduler=CosineAnnealingLR(T_max={scheduler.T_max}): at least 1 iteration"
        )
    if isinstance(scheduler, torch.optim.lr_scheduler.OneCycleLR):
        steps = scheduler.total_steps
        if iterations is None or iterations > steps:
            length = "has no end" if iterations is None else f"has {iterations:,} iterations"
            raise ValueError(
                f"lr_scheduler=OneCycleLR(total_steps={steps}): the run {length}, one step each"
            )


def _check_function(name: str, given: Any, example: str) -> None:
    if given and not callable(given):
        takes = "the parameters" if name == "optimizer" else "the optimizer"
        value = repr(given) if isinstance(given, str) else type(given).__name__
        raise ValueError(f"{name}={value}: is no function of {takes}; pass partial({example})")
