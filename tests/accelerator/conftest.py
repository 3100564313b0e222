"""Tests of what runs on a GPU; without one they are skipped, and rehearsed on the CPU if asked to.

python -m pytest tests/accelerator                    on a machine with CUDA
ACCELERATOR=cpu python -m pytest tests/accelerator    the same code without it
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode


@pytest.fixture
def device() -> torch.device:
    """The device that learns."""
    name = os.environ.get("ACCELERATOR", "cuda")
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA here; ACCELERATOR=cpu rehearses it")
    return torch.device(name, 0) if name == "cuda" else torch.device(name)


@pytest.fixture
def no_read_back(device: torch.device) -> Callable[[], AbstractContextManager[None]]:
    """A context in which waiting for the device is an error; on the CPU, reading a number is."""

    @contextmanager
    def context() -> Iterator[None]:
        if device.type != "cuda":
            with _NoItem():
                yield
            return
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")

    return context


class _NoItem(TorchDispatchMode):
    """Refuses what would read a number back, were the tensors on a GPU."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _READS:
            raise RuntimeError(f"{func} reads back")
        return func(*args, **(kwargs or {}))


_READS = {
    torch.ops.aten._local_scalar_dense.default,
    torch.ops.aten.nonzero.default,
    torch.ops.aten.masked_select.default,
}
