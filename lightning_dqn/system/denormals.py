"""Numbers too small for full precision, below 1.2e-38 in float32, are taken as zero on the CPU.

Adam's moments fill with them where gradients are sparse, and a step along such moments takes
several times as long.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

_BYTES_OF_ENVIRONMENT = 256
"""More than the floating-point environment (C's ``fenv_t``) takes on any machine."""


class FlushDenormals(pl.Callback):
    """Takes denormal numbers as zero during a fit, and afterwards as it was before.

    In this thread and in all that compute for it: a process that goes on after training computes
    again as its other libraries expect.
    """

    logs_metrics = False

    def __init__(self) -> None:
        self._has_changed = False

    def on_fit_start(self, *_: Any) -> None:
        """Begin."""
        if not are_flushed():
            flush_denormals(True)
            self._has_changed = True

    def teardown(self, *_: Any, **__: Any) -> None:
        """Leave it as it was."""
        if self._has_changed:
            flush_denormals(False)
            self._has_changed = False

    def on_exception(self, *_: Any) -> None:
        """Likewise: no teardown follows."""
        self.teardown()


def are_flushed() -> bool:
    """Tell whether this thread takes denormal numbers as zero."""
    return sys.float_info.min / 2 == 0.0


def flush_denormals(is_on: bool) -> None:
    """Take denormal numbers as zero or not, in this thread and those that compute for it.

    The processor keeps that for each thread. Threads that are started later take it over from
    this one; those that OpenMP has started already must be told. Without effect where the
    processor can't.
    """
    if torch.set_flush_denormal(is_on):
        for library in sorted(Path(torch.__file__).parent.glob("lib/libgomp*")):
            _share_with_threads(ctypes.CDLL(str(library)))


def _share_with_threads(openmp: ctypes.CDLL) -> None:
    """Give OpenMP's threads the floating-point environment of this one.

    ``GOMP_parallel(function, argument, threads, flags)`` calls ``function(argument)`` in each
    thread; here that is C's own ``fesetenv``.
    """
    try:
        c = ctypes.CDLL(None)
        get, set_, parallel = c.fegetenv, c.fesetenv, openmp.GOMP_parallel
    except (OSError, AttributeError):  # another system, another library
        return
    environment = ctypes.create_string_buffer(_BYTES_OF_ENVIRONMENT)
    get(environment)
    parallel.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    parallel.restype = None
    function = ctypes.cast(set_, ctypes.c_void_p)
    parallel(function, ctypes.addressof(environment), torch.get_num_threads(), 0)
