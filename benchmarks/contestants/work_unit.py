"""The work unit: the constants every contestant shares, and the line each one prints.

A driver that wants another size than the CartPole work unit's names it in the environment
variable `BENCHMARK_WORK_UNIT`, as JSON.

Only the standard library is imported here, so that a contestant can time its own imports.
"""

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass

VARIABLE = "BENCHMARK_WORK_UNIT"


@dataclass(frozen=True)
class WorkUnit:
    """A fixed amount of DQN work: the same totals for every contestant."""

    env_id: str = "CartPole-v1"
    env_steps: int = 60_000
    warmup_env_steps: int = 10_000
    env_steps_per_update: int = 10
    batch_size: int = 128
    hidden_sizes: tuple[int, ...] = (120, 84)
    learning_rate: float = 2.5e-4
    gamma: float = 0.99
    replay_capacity: int = 10_000
    target_every_env_steps: int = 500
    epsilon_start: float = 1.0
    epsilon_end: float = 0.05
    epsilon_decay_env_steps: int = 30_000
    value_range: tuple[float, float] = (0.0, 100.0)  # of discounted returns, for C51's atoms

    @classmethod
    def from_json(cls, text: str) -> "WorkUnit":
        """Read what `to_json` wrote; fields that it does not name are the CartPole unit's."""
        fields = json.loads(text).items()
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in fields})

    def to_json(self) -> str:
        """Return all fields, for another process."""
        return json.dumps(asdict(self))

    @property
    def learning_env_steps(self) -> int:
        """Env steps of the learning part, which is what `learning_s` times."""
        return self.env_steps - self.warmup_env_steps

    @property
    def updates(self) -> int:
        """Optimizer steps of the whole run."""
        return self.learning_env_steps // self.env_steps_per_update

    @property
    def target_every_n_updates(self) -> int:
        """The period of the hard target copy, counted in updates."""
        return self.target_every_env_steps // self.env_steps_per_update

    def epsilon(self, env_step: int) -> float:
        """Return the linear exploration rate after `env_step` env steps, warm-up included."""
        progress = min(1.0, env_step / self.epsilon_decay_env_steps)
        return self.epsilon_start + progress * (self.epsilon_end - self.epsilon_start)


WORK_UNIT = WorkUnit.from_json(os.environ.get(VARIABLE, "{}"))


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one run reports; times are wall-clock seconds."""

    name: str
    imports_s: float
    warmup_s: float  # from the end of the imports to the start of learning, without compile_s
    learning_s: float
    env_steps: int
    updates: int
    last_100_return: float
    compile_s: float = 0.0

    def print_json(self) -> None:
        """Print the result as the one JSON line that the driver reads."""
        print(json.dumps(asdict(self)), flush=True)


def last_100_return(episode_returns: Sequence[float]) -> float:
    """Return the mean of the last 100 finished training episodes, NaN if none has finished."""
    last = episode_returns[-100:]
    return sum(last) / len(last) if last else float("nan")


def argument_parser() -> argparse.ArgumentParser:
    """Return a parser with the one option that every contestant has."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    return parser
