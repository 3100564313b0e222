"""Whether and how the learning step is compiled."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Literal

import torch
from torch.utils._pytree import tree_leaves

from lightning_dqn.system.startup import uncollected

log = logging.getLogger(__name__)

Compile = bool | Literal["auto"]
Step = Callable[[Any], Any]
"""From a minibatch to tensors in tuples and lists."""

PAYS_BACK_AFTER_UPDATES = 50_000
"""Below this many updates the seconds of compiling a small network are not won back."""

DISTRIBUTIONAL_PAYS_BACK_AFTER_UPDATES = 4_000
"""The same where every action has many outputs: uncompiled, each update then takes ten times as
long, for its large temporaries."""


def compile_step(
    step: Step,
    mode: Compile,
    *,
    expected_updates: int | None,
    device: torch.device,
    pays_back_after: int = PAYS_BACK_AFTER_UPDATES,
) -> Step:
    """Return ``step``, compiled where that was asked for and is possible.

    Args:
        step: from a minibatch to tensors; may take gradients and draw random numbers inside.
        mode: True, False, or ``"auto"``: where the updates of the run pay it back.
        expected_updates: of the whole run; None means without end.
        device: where the tensors lie.
        pays_back_after: updates.
    """
    if not isinstance(mode, bool) and mode != "auto":
        raise ValueError(f"compile={mode!r}: choose auto, true or false")
    if not is_wanted(mode, expected_updates, pays_back_after):
        return step
    if device.type == "cpu" and not has_cxx_compiler():
        log.warning("no C++ compiler found (install g++ or set CXX): learning runs uncompiled")
        return step
    return CheckedCompiledStep(step, device)


def pays_back_after(is_distributional: bool) -> int:
    """Return the updates after which compiling has paid.

    Args:
        is_distributional: every action has many outputs.
    """
    return DISTRIBUTIONAL_PAYS_BACK_AFTER_UPDATES if is_distributional else PAYS_BACK_AFTER_UPDATES


def is_wanted(
    mode: Compile, expected_updates: int | None, pays_back_after: int = PAYS_BACK_AFTER_UPDATES
) -> bool:
    """Return whether a run of so many updates is to be compiled; None means without end."""
    many = expected_updates is None or expected_updates >= pays_back_after
    return mode is True or (mode == "auto" and many)


class CheckedCompiledStep:
    """A compiled step that is held against the uncompiled one on its first minibatch.

    If it can't be compiled, or gives other numbers, the uncompiled one is used and one line
    says so.
    """

    def __init__(self, step: Step, device: torch.device) -> None:
        # Lets the compiler trace torch.autograd.grad, so that loss and gradients are one graph.
        with uncollected():
            torch._dynamo.config.trace_autograd_ops = True
            # A sweep trains many networks in one process; beyond its limit it would stop compiling.
            torch._dynamo.config.recompile_limit = max(64, torch._dynamo.config.recompile_limit)
        # Random numbers are those that the uncompiled step would draw: else the check would fail.
        options: dict[str, Any] = {"fallback_random": True}
        if device.type == "cpu":
            options["cpp_wrapper"] = True
        self._eager = step
        self._step: Step = torch.compile(step, options=options)
        self._is_checked = False
        self._device = device

    def __call__(self, batch: Any) -> Any:
        """Return what the step returns."""
        if not self._is_checked:
            self._check(batch)
        return self._step(batch)

    def _check(self, batch: Any) -> None:
        self._is_checked = True
        with same_draws(self._device):
            expected = self._eager(batch)
        try:
            with uncollected(), same_draws(self._device):
                found = self._step(batch)
        except Exception as error:
            # Whatever a compiler may throw: learning goes on without it.
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            log.warning("compiling failed, learning runs uncompiled: %s", reason)
            self._step = self._eager
            return
        if not _agree(expected, found):
            log.warning("the compiled step disagrees with the uncompiled one, which is used")
            self._step = self._eager


def same_draws(device: torch.device) -> AbstractContextManager[None]:
    """Leave torch's random state, the device's too, afterwards as it was before."""
    if device.type == "cpu":
        return torch.random.fork_rng(devices=[])
    return torch.random.fork_rng(devices=[device], device_type=device.type)


def has_cxx_compiler() -> bool:
    """Tell whether the compiler that torch would call on the CPU is there."""
    default = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    return shutil.which(os.environ.get("CXX", default)) is not None


def _agree(expected: Any, found: Any) -> bool:
    """Tell whether all tensors are equal up to the rounding of their precision."""
    pairs = zip(tree_leaves(expected), tree_leaves(found), strict=True)
    low = torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda")
    relative = 5e-2 if low else 1e-3
    for one, other in pairs:
        scale = float(one.abs().max().nan_to_num(0.0))
        if not torch.allclose(one, other, rtol=relative, atol=relative * scale, equal_nan=True):
            return False
    return True
