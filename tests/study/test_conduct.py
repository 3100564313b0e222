"""What ends several runs, and what doesn't."""

from __future__ import annotations

import os
import signal

import pytest

from lightning_dqn.safekeeping.signals import Stopped
from lightning_dqn.study.conduct import interrupted_when_terminated


def test_signals_that_were_ignored_stay_so() -> None:
    """As a closed terminal's under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupted_when_terminated():
            os.kill(os.getpid(), signal.SIGHUP)
            with pytest.raises(Stopped, match="SIGTERM"):
                os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
