"""A W&B run is ended, and told how: finished, failed or preempted."""

from __future__ import annotations

import signal
from typing import Any

from lightning_dqn.safekeeping.signals import Stopped

_PREEMPTIONS = (signal.SIGTERM, getattr(signal, "SIGUSR1", None))


def end_run(run: Any, error: BaseException | None, *, alert: bool) -> None:
    """End a run of W&B's.

    Args:
        run: of W&B's.
        error: that ended the training; None: it is finished.
        alert: send one, with a line about the error; a stop is none.
    """
    is_stop = isinstance(error, Stopped | KeyboardInterrupt | SystemExit)
    if error is not None and not is_stop and alert:
        why = next(iter(str(error).splitlines()), "") or "no more is known"
        run.alert(f"{run.name} failed", f"{type(error).__name__}: {why}", level="ERROR")
    if isinstance(error, Stopped) and error.number in _PREEMPTIONS:
        run.mark_preempting()
    run.finish(exit_code=_exit_status(error))


def _exit_status(error: BaseException | None) -> int:
    if error is None:
        return 0
    if isinstance(error, Stopped):
        return error.exit_status
    if isinstance(error, SystemExit) and isinstance(error.code, int):
        return error.code
    return 128 + signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
