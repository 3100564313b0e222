"""How a key ends a run, and how one waits."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence

import pytorch_lightning as pl

from lightning_dqn.safekeeping.signals import Listener

_LOOK_SECONDS = 0.05
"""Between two looks at whether a pause is over."""


def end_run(trainer: pl.Trainer, listeners: Sequence[Listener], *, at_once: bool) -> None:
    """End a run as Ctrl-C does, from any thread.

    Args:
        trainer: of it; where nobody listens it stops behind the batch.
        listeners: to signals, who end the run where nothing is lost.
        at_once: as a second Ctrl-C does, where the run is.
    """
    for listener in listeners:
        listener.ask()
    if at_once:
        os.kill(os.getpid(), signal.SIGINT)
    elif not listeners:
        trainer.should_stop = True


def wait_while(goes_on: Callable[[], bool]) -> None:
    """Wait in the training thread, where signals are heard."""
    while goes_on():
        time.sleep(_LOOK_SECONDS)
