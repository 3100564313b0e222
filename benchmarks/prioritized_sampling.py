"""Print what choosing a prioritised minibatch and setting its priorities again costs.

    python benchmarks/prioritized_sampling.py
    python benchmarks/prioritized_sampling.py --python other-venv/bin/python --rows 100000

Contestants that are not installed are named and left out (`pip install tianshou cpprb torchrl`).
All run on one thread in one process and take turns; medians over the turns are printed. Turns are
short and begin with a call that isn't timed, so that other programs disturb few of them. The ratios
compare within a turn. Some peers do more than choose an index, which their names say; Tianshou and
TorchRL do less, drawing points anywhere instead of one in each segment.
"""

from __future__ import annotations

import argparse
import logging
import math
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from contestant_run import environment
from contestant_turns import say
from text_table import format_table

from lightning_dqn.replay.sum_tree import SumTree

BATCH_SIZE = 256
CALLS_PER_TURN = 5
ALPHA, BETA = 0.6, 0.4
REFERENCE = "ours"


class Contestant(Protocol):
    """Holds priorities: draws ``num_updates`` minibatches at once and sets priorities again."""

    num_updates: int

    def sample(self) -> Any:
        """Return the index of the drawn rows, in the contestant's own type."""

    def update(self, index: Any, values: np.ndarray) -> None:
        """Set the priorities of these rows, float64."""


class Ours:
    """`SumTree`, minibatches of one or more updates at once, their rows too if wanted."""

    def __init__(self, priorities: np.ndarray, num_updates: int = 1, *, rows: bool = False) -> None:
        self.num_updates = num_updates
        self.tree = SumTree(len(priorities))
        self.tree.fill(0, len(priorities), torch.from_numpy(priorities))
        self.rows = torch.rand(len(priorities), 4) if rows else None

    def sample(self) -> torch.Tensor:
        """Draw, and gather."""
        index = self.tree.sample(self.num_updates, BATCH_SIZE)
        if self.rows is not None:
            self.rows.index_select(0, index)
        return index

    def update(self, index: torch.Tensor, values: np.ndarray) -> None:
        """Set."""
        self.tree.update(index, torch.from_numpy(values))


class FlatSum:
    """One cumulative sum over all priorities and one bisection: nothing to keep up to date."""

    num_updates = 1

    def __init__(self, priorities: np.ndarray) -> None:
        self.priorities = torch.from_numpy(priorities.copy())

    def sample(self) -> torch.Tensor:
        """Draw."""
        ends = self.priorities.cumsum(0)
        point = torch.rand(BATCH_SIZE, dtype=torch.float64).add_(torch.arange(BATCH_SIZE))
        return torch.searchsorted(ends, point.mul_(ends[-1] / BATCH_SIZE), right=True)

    def update(self, index: torch.Tensor, values: np.ndarray) -> None:
        """Set."""
        self.priorities[index] = torch.from_numpy(values)


class BinaryTree:
    """The paper's binary tree in a heap, each level one NumPy step for the whole minibatch."""

    num_updates = 1

    def __init__(self, priorities: np.ndarray) -> None:
        self.depth = math.ceil(math.log2(len(priorities)))
        self.first_leaf = 1 << self.depth
        self.node = np.zeros(2 * self.first_leaf)
        self.random = np.random.default_rng(0)
        self.update(np.arange(len(priorities)), priorities)

    def sample(self) -> np.ndarray:
        """Draw."""
        point = (self.random.random(BATCH_SIZE) + np.arange(BATCH_SIZE)) / BATCH_SIZE * self.node[1]
        node = np.ones(BATCH_SIZE, dtype=np.int64)
        for _ in range(self.depth):
            node *= 2
            left = self.node[node]
            goes_right = point >= left
            point -= left * goes_right
            node += goes_right
        return node - self.first_leaf

    def update(self, index: np.ndarray, values: np.ndarray) -> None:
        """Set."""
        node = index + self.first_leaf
        self.node[node] = values
        for _ in range(self.depth):
            node = node >> 1
            self.node[node] = self.node[2 * node] + self.node[2 * node + 1]


class TianshouTree:
    """Tianshou's binary tree in numba, without its buffer's arithmetic."""

    num_updates = 1

    def __init__(self, priorities: np.ndarray) -> None:
        from tianshou.data import SegmentTree

        self.tree = SegmentTree(len(priorities))
        self.tree[np.arange(len(priorities))] = priorities

    def sample(self) -> np.ndarray:
        """Draw."""
        return self.tree.get_prefix_sum_idx(np.random.rand(BATCH_SIZE) * self.tree.reduce())  # noqa: NPY002

    def update(self, index: np.ndarray, values: np.ndarray) -> None:
        """Set."""
        self.tree[index] = values


class TianshouBuffer:
    """Tianshou's buffer, asked for the index alone."""

    num_updates = 1

    def __init__(self, priorities: np.ndarray) -> None:
        from tianshou.data import Batch, PrioritizedReplayBuffer

        self.buffer = PrioritizedReplayBuffer(len(priorities), ALPHA, BETA)
        row = np.zeros(4, dtype=np.float32)
        # One row makes it draw; what it draws from is the priorities alone.
        self.buffer.add(
            Batch(obs=row, act=0, rew=0.0, terminated=False, truncated=False, obs_next=row, info={})
        )
        self.buffer.update_weight(np.arange(len(priorities)), priorities)

    def sample(self) -> np.ndarray:
        """Draw."""
        return self.buffer.sample_indices(BATCH_SIZE)

    def update(self, index: np.ndarray, values: np.ndarray) -> None:
        """Set."""
        self.buffer.update_weight(index, values)


class Cpprb:
    """cpprb's buffer in C++, which gathers rows and computes weights when it draws."""

    num_updates = 1

    def __init__(self, priorities: np.ndarray) -> None:
        from cpprb import PrioritizedReplayBuffer

        self.buffer = PrioritizedReplayBuffer(
            len(priorities), {"observation": {"shape": 4}}, alpha=ALPHA
        )
        rows = np.zeros((len(priorities), 4), dtype=np.float32)
        self.buffer.add(observation=rows, priorities=priorities)

    def sample(self) -> np.ndarray:
        """Draw."""
        return self.buffer.sample(BATCH_SIZE, BETA)["indexes"]

    def update(self, index: np.ndarray, values: np.ndarray) -> None:
        """Set."""
        self.buffer.update_priorities(index, values)


class TorchRL:
    """TorchRL's sampler over its trees in C++, which computes weights when it draws."""

    num_updates = 1

    def __init__(self, priorities: np.ndarray) -> None:
        from torchrl.data import LazyTensorStorage, PrioritizedSampler

        num_rows = len(priorities)
        self.storage = LazyTensorStorage(num_rows)
        self.storage.set(range(num_rows), torch.zeros(num_rows, 4))
        self.sampler = PrioritizedSampler(num_rows, ALPHA, BETA)
        index = torch.arange(num_rows)
        self.sampler.extend(index)
        self.sampler.update_priority(index, torch.from_numpy(priorities).float())

    def sample(self) -> torch.Tensor:
        """Draw."""
        index, _ = self.sampler.sample(self.storage, BATCH_SIZE)
        return index

    def update(self, index: torch.Tensor, values: np.ndarray) -> None:
        """Set."""
        self.sampler.update_priority(index, torch.from_numpy(values).float())


CONTESTANTS: dict[str, Callable[[np.ndarray], Contestant]] = {
    REFERENCE: Ours,
    "ours, 8 minibatches at once": lambda priorities: Ours(priorities, 8),
    "ours, 32 minibatches at once": lambda priorities: Ours(priorities, 32),
    "ours, rows of 4 floats gathered": lambda priorities: Ours(priorities, rows=True),
    "torch cumsum over all": FlatSum,
    "numpy binary tree": BinaryTree,
    "tianshou SegmentTree": TianshouTree,
    "tianshou buffer": TianshouBuffer,
    "cpprb buffer, rows, weights": Cpprb,
    "torchrl sampler, weights": TorchRL,
}


def build(priorities: np.ndarray) -> tuple[dict[str, Contestant], dict[str, str]]:
    """Build the contestants that can be imported; return why the others can't."""
    built, missing = {}, {}
    for name, make in CONTESTANTS.items():
        try:
            built[name] = make(priorities)
        except (ImportError, RuntimeError) as error:  # TorchRL's trees need a torch they match
            missing[name] = str(error)
    return built, missing


def turn(contestant: Contestant, values: np.ndarray) -> tuple[float, float]:
    """Return microseconds per minibatch of sampling and of updating, after one call to warm up."""
    num_updates = contestant.num_updates
    values = values[: num_updates * BATCH_SIZE]
    contestant.update(contestant.sample(), values)
    start = time.perf_counter()
    for _ in range(CALLS_PER_TURN):
        index = contestant.sample()
    between = time.perf_counter()
    for _ in range(CALLS_PER_TURN):
        contestant.update(index, values)
    end = time.perf_counter()
    scale = 1e6 / (CALLS_PER_TURN * num_updates)
    return (between - start) * scale, (end - between) * scale


def measure(contestants: dict[str, Contestant], num_turns: int) -> dict[str, list]:
    """Let all take turns, the first of which doesn't count."""
    random = np.random.default_rng(1)
    times: dict[str, list] = {name: [] for name in contestants}
    for number in range(num_turns + 1):
        for name, contestant in contestants.items():
            values = random.random(32 * BATCH_SIZE) + 1e-3
            took = turn(contestant, values)
            if number:
                times[name].append(took)
    return times


def table(times: dict[str, list]) -> str:
    """Format medians; the ratio is that of each turn to ours in the same turn."""
    rows = [("microseconds per minibatch", "sample", "update", "both", f"both / {REFERENCE}")]
    for name, turns in times.items():
        sample, update = (statistics.median(column) for column in zip(*turns, strict=True))
        both = statistics.median(map(sum, turns))
        pairs = zip(turns, times[REFERENCE], strict=True)
        ratio = statistics.median(sum(own) / sum(reference) for own, reference in pairs)
        rows.append((name, f"{sample:.0f}", f"{update:.0f}", f"{both:.0f}", f"{ratio:.2f}x"))
    return format_table(rows)


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", help="interpreter to run all of it in; it needs torch")
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--turns", type=int, default=150)
    return parser.parse_args()


def main() -> None:
    """Measure and print a table for each number of rows."""
    arguments = parse_arguments()
    if arguments.python:
        rows = [str(number) for number in arguments.rows]
        command = [arguments.python, __file__, "--turns", str(arguments.turns), "--rows", *rows]
        sys.exit(subprocess.run(command, env=environment(1)).returncode)
    warnings.simplefilter("ignore")  # of peers about their own dependencies
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    for num_rows in arguments.rows:
        say(f"{num_rows:,} rows ...")
        priorities = np.random.default_rng(0).random(num_rows) + 1e-3
        contestants, missing = build(priorities)
        print(f"\n{num_rows:,} rows, batch {BATCH_SIZE}")
        print(table(measure(contestants, arguments.turns)), flush=True)
    for name, reason in missing.items():
        print(f"{name}: left out, {reason}")


if __name__ == "__main__":
    main()
