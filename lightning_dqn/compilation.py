"""Whether and how the learning step is compiled."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from typing import Any, Literal

import torch

log = logging.getLogger(__name__)

Compile = bool | Literal["auto"]

PAYS_BACK_AFTER_UPDATES = 50_000
"""Below this many updates the seconds of compiling a small network are not won back."""


def compile_step(
    step: Callable[..., Any],
    mode: Compile,
    *,
    expected_updates: int | None,
    device: torch.device,
) -> Callable[..., Any]:
    """Return ``step``, compiled where that was asked for and is possible.

    Args:
        step: a function of tensors that may take gradients inside.
        mode: True, False, or ``"auto"``: where the updates of the run pay it back.
        expected_updates: of the whole run; None means without end.
        device: where the tensors lie.
    """
    if mode not in (True, False, "auto"):
        raise ValueError(f"compile={mode!r}: choose auto, true or false")
    if mode is False:
        return step
    many = expected_updates is None or expected_updates >= PAYS_BACK_AFTER_UPDATES
    if mode == "auto" and not many:
        return step
    if device.type == "cpu" and not has_cxx_compiler():
        log.warning(
            "compile=%s: no C++ compiler found (set CXX or install g++), learning runs eagerly",
            str(mode).lower(),
        )
        return step
    # Lets the compiler trace torch.autograd.grad, so that loss and gradients are one graph.
    torch._dynamo.config.trace_autograd_ops = True
    options: dict[str, Any] | None = {"cpp_wrapper": True} if device.type == "cpu" else None
    return torch.compile(step, options=options)


def has_cxx_compiler() -> bool:
    """Tell whether the compiler that torch would call on the CPU is there."""
    named = os.environ.get("CXX")
    candidates = [named] if named else ["g++", "clang++", "c++", "cl"]
    return any(shutil.which(candidate) for candidate in candidates)
