"""An environment that fails, dies or hangs at a step, at a reset or while it is made."""

from __future__ import annotations

import os
import signal
import time
from typing import Any, Literal

import gymnasium as gym
import numpy as np

Fault = Literal["raise", "unpicklable", "exit", "kill", "terminate", "hang"]
When = Literal["step", "reset", "make"]

_MAKER = os.getpid()
"""The process that tests are in; while it is made there, an environment does not fail."""


class FaultyEnv(gym.Env[Any, Any]):
    """Episodes of 3 steps of random observations, until the fault.

    Args:
        fault: what happens; None: nothing.
        when: in which call.
        at: the first such call of that kind, counted from 0, that it happens in; a reset within
            the environment counts, as any.
    """

    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, fault: Fault | None = None, when: When = "step", at: int = 0) -> None:
        self.fault = fault
        self.when = when
        self.at = at
        self.calls = {"step": 0, "reset": 0, "make": 0}
        self.time = 0
        if os.getpid() != _MAKER:
            self._count("make")

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        self._count("reset")
        super().reset(seed=seed)
        self.time = 0
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._count("step")
        self.time += 1
        return self._observation(), 1.0, self.time == 3, False, {}

    def _observation(self) -> Any:
        return self.np_random.uniform(-1, 1, 2).astype(np.float32)

    def _count(self, call: When) -> None:
        number = self.calls[call]
        self.calls[call] += 1
        if call != self.when or number < (0 if call == "make" else self.at):
            return
        if self.fault == "raise":
            raise RuntimeError("simulator lost its licence")
        if self.fault == "unpicklable":

            class LocalError(Exception):
                """No other process knows it."""

            raise LocalError
        if self.fault == "exit":
            os._exit(3)
        if self.fault == "hang":
            time.sleep(3600)
        if self.fault in ("kill", "terminate"):
            os.kill(os.getpid(), signal.SIGKILL if self.fault == "kill" else signal.SIGTERM)
            time.sleep(10)
