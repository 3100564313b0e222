"""An environment that fails, dies, hangs or gives nonsense at a step, a reset, or in the making."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import numpy as np

Fault = Literal[
    "raise",
    "unpicklable",
    "exit",
    "kill",
    "hang",
    "hang in C",
    "nan observation",
    "nan reward",
    "scalar",
    "too long",
]
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
        once: a file that the fault makes, and while it is there no other happens, in no process.
        length: of an episode.
    """

    metadata = {"render_modes": [], "resume": "restart"}  # noqa: RUF012 (a trial would have the fault)
    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(
        self,
        fault: Fault | None = None,
        when: When = "step",
        at: int = 0,
        once: str | None = None,
        length: int = 3,
    ) -> None:
        self.fault = fault
        self.when = when
        self.at = at
        self.calls = {"step": 0, "reset": 0, "make": 0}
        self.once = once
        self.length = length
        self.time = 0
        self.gives: str | None = None
        if os.getpid() != _MAKER:
            self._count("make")

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        self.gives = None
        self._count("reset")
        super().reset(seed=seed)
        self.seed = seed
        self.time = 0
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.gives = None
        self._count("step")
        self.time += 1
        reward = np.nan if self.gives == "nan reward" else 1.0
        return self._observation(), reward, self.time == self.length, False, {}

    def _observation(self) -> Any:
        observation = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        if self.gives == "nan observation":
            observation[1] = np.nan
        if self.gives == "scalar":
            return observation[:1]
        return np.append(observation, 0.0) if self.gives == "too long" else observation

    def _count(self, call: When) -> None:
        number = self.calls[call]
        self.calls[call] += 1
        if call != self.when or number < (0 if call == "make" else self.at):
            return
        if self.once is not None:
            try:
                Path(self.once).touch(exist_ok=False)  # by the first of them alone
            except FileExistsError:
                return
        self.gives = self.fault
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
        if self.fault == "hang in C":
            ctypes.PyDLL(None).sleep(3600)  # no other thread of Python has a turn
        if self.fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(10)
