"""Which of Lightning's hooks around an update are called, and which are refused.

Lightning calls them around the one step that it knows of, the last of an iteration's U. What is
overridden is either called around every update or refused before the run, never called now and
then.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from itertools import takewhile
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch.optim import Optimizer

BeforeStep = Callable[[Optimizer], None]
"""Called with the optimizer while the gradients stand in ``.grad``."""

_STEP = "on_before_optimizer_step, which is called before every update with the gradients in place"
_AFTER = "a function in module.after_update, which is called after every update"

REFUSED_HOOKS = {
    "on_before_backward": f"override {_STEP}",
    "on_after_backward": f"override {_STEP}",
    "on_before_zero_grad": f"put {_AFTER}",
}
"""Hooks of modules and callbacks that an update has no place for -> what to do instead."""

REFUSED_MODULE_HOOKS = REFUSED_HOOKS | {
    "backward": "override DQN.loss, whose gradients are taken by torch.autograd.grad",
    "configure_gradient_clipping": (
        f"pass DQN(max_gradient_norm=...), or override {_STEP}, and change them there"
    ),
    "optimizer_step": f"pass DQN(optimizer=...), and put {_AFTER}",
    "optimizer_zero_grad": "nothing accumulates: each update sets gradients anew",
}
"""The same of modules alone."""

_OTHER_HOOKS = (
    *("setup", "teardown", "configure_callbacks"),
    *("training_step", "validation_step", "test_step"),
    *("state_dict", "load_state_dict"),
)
"""Hooks whose names don't begin with ``on_``."""


def check_callback_hooks(callback: Callback) -> None:
    """Refuse a callback with a hook that would never be called.

    Raises:
        ValueError: naming the hook, and what to do instead.
    """
    for hook, remedy in REFUSED_HOOKS.items():
        _check_hook(callback, hook, Callback, remedy)


def check_module_hooks(module: pl.LightningModule) -> None:
    """Refuse a module with a hook that would never be called, or that takes another's place.

    Raises:
        ValueError: naming the hook, and what to do instead.
    """
    for hook, remedy in REFUSED_MODULE_HOOKS.items():
        _check_hook(module, hook, pl.LightningModule, remedy)
    check_super_is_called(module)


def check_super_is_called(
    module: pl.LightningModule | pl.LightningDataModule, lightnings: type = pl.LightningModule
) -> None:
    """Refuse a user's hook in place of one of this package, whose work nothing would then do.

    Lightning's own do nothing, so that who overrides them there needn't call ``super()``.

    Args:
        module: a module or a data module.
        lightnings: the class of Lightning's that it is of.

    Raises:
        ValueError: naming the hook.
    """
    users = takewhile(lambda kind: not _is_of_package(kind), type(module).__mro__)
    ours = next((kind for kind in type(module).__mro__ if _is_of_package(kind)), lightnings)
    for kind in users:
        for hook, method in vars(kind).items():
            is_hook = hook.startswith("on_") or hook in _OTHER_HOOKS
            base = getattr(lightnings, hook, None)
            if not is_hook or base is None or getattr(ours, hook) is base:
                continue
            if not _may_call(method, hook):
                raise ValueError(
                    f"{kind.__name__}.{hook}: takes the place of what {ours.__name__} does there; "
                    f"call super().{hook}(...) in it"
                )


def hooks_before_step(module: pl.LightningModule) -> list[BeforeStep]:
    """Return what is overridden of ``on_before_optimizer_step``, in Lightning's order."""
    hook = "on_before_optimizer_step"
    trainer: Any = module.trainer
    found: list[BeforeStep] = [
        _of_callback(callback, trainer, module)
        for callback in trainer.callbacks
        if is_overridden(callback, hook, Callback)
    ]
    if is_overridden(module, hook, pl.LightningModule):
        found.append(module.on_before_optimizer_step)
    return found


def is_overridden(instance: object, hook: str, base: type) -> bool:
    """Tell whether a class below ``base``, or the instance itself, has a hook of its own."""
    own = getattr(instance, hook)
    return getattr(own, "__func__", own) is not getattr(base, hook)


def _is_of_package(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == __name__.partition(".")[0]


def _may_call(method: Any, hook: str) -> bool:
    """Tell whether a method names ``super``, or the hook; of what isn't one nobody knows."""
    code = getattr(inspect.unwrap(method) if callable(method) else None, "__code__", None)
    if code is None:
        return True
    return "__class__" in code.co_freevars or not {"super", hook}.isdisjoint(code.co_names)


def _of_callback(callback: Callback, trainer: pl.Trainer, module: pl.LightningModule) -> BeforeStep:
    return lambda optimizer: callback.on_before_optimizer_step(trainer, module, optimizer)


def _check_hook(instance: object, hook: str, base: type, remedy: str) -> None:
    if is_overridden(instance, hook, base):
        raise ValueError(
            f"{type(instance).__name__}.{hook}: would never be called, for a DQN makes its updates "
            f"itself; {remedy}"
        )
