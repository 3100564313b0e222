"""Which vector instructions the compiler of torch may use, asked without starting processes."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def asked_in_this_process() -> Iterator[None]:
    """Let torch's compiler try small libraries in this process, instead of one each in a new one.

    For each set of instructions it wants to know whether a library that uses them loads, and
    starts an interpreter for each, up to ten times 0.2 s, in every process and though nothing was
    left to compile. Loading runs nothing of the library. Only Linux loads them without importing
    torch first; elsewhere, and where a release of torch asks otherwise, all stays as it is.
    """
    from torch._inductor import cpu_vec_isa

    kind: Any = cpu_vec_isa.VecISA
    asked = getattr(kind, "_probe_load", None)
    if asked is None or sys.platform != "linux":
        yield
        return
    kind._probe_load = lambda _, path: loads(path)
    try:
        yield
    finally:
        kind._probe_load = asked


def loads(path: str) -> bool:
    """Tell whether a shared library loads into this process."""
    try:
        ctypes.CDLL(path)
    except OSError:
        return False
    return True
