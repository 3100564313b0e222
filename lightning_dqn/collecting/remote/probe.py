"""Asks now and then whether Ray itself is alive.

Where its control service has died, calls to living actors go on and new actors never come; after
60 s Ray ends the process without an exception. So it is asked in a thread, which such a question
may hold, and the run ends by itself within that minute, with its state saved.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from lightning_dqn.system.faults import RunFault

PERIOD_SECONDS = 5.0
PATIENCE_SECONDS = 10.0
"""How long an answer, of a fraction of a millisecond, may take on a machine that is busy."""


class RayLost(RunFault):
    """Ray itself has died."""


class Probe:
    """Asks in a thread until it is closed.

    Args:
        ask: returns where Ray is alive; it may hang, or raise, where it isn't.
        period: seconds between two questions.
        patience: seconds that an answer may take.
    """

    def __init__(
        self,
        ask: Callable[[], object],
        *,
        period: float = PERIOD_SECONDS,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._ask, self._period, self._patience = ask, period, patience
        self._asked_at: float | None = None
        self._failure: str | None = None
        self._closing = threading.Event()
        threading.Thread(target=self._go, name="ray-probe", daemon=True).start()

    @property
    def fault(self) -> RayLost | None:
        """What to raise where Ray has died; None where it lives."""
        asked_at = self._asked_at
        is_late = asked_at is not None and time.monotonic() - asked_at > self._patience
        if self._failure is None and not is_late:
            return None
        how = self._failure or f"hasn't answered for {self._patience:.0f} s"
        return RayLost(
            f"Ray's control service {how}: no actor could be replaced, and Ray would end this "
            "process; begin Ray anew and continue the run"
        )

    def close(self) -> None:
        """Ask no more; a question that hangs is left alone."""
        self._closing.set()

    def _go(self) -> None:
        while not self._closing.wait(self._period):
            self._asked_at = time.monotonic()
            try:
                self._ask()
            except Exception as error:  # whatever Ray raises there
                if not self._closing.is_set():
                    self._failure = f"fails ({type(error).__name__})"
                return
            self._asked_at = None
