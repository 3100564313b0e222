"""Print what a replay of frames takes in memory, and what a minibatch of stacks takes to draw.

    python benchmarks/frame_replay.py
    python benchmarks/frame_replay.py --python other-venv/bin/python --rows 20000 --batches 32

Every contestant holds the same transitions of 84x84 frames in stacks of 4, from 8 environments
with episodes of 400 steps, each in the layout that its own documentation advises for frames; those
that are not installed are named and left out (`pip install stable-baselines3 tianshou cpprb
torchrl`). They live in one process on one thread and take turns; medians over the turns are
printed, and the ratio is that of each turn to ours in the same turn. A minibatch is two stacks per
transition, uint8, as the library hands them out: ours with the stack's axis last in memory, as
convolutions want it, the others' would have to be copied for that.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from contestant_run import environment
from contestant_turns import say
from text_table import format_table

from lightning_dqn import EnvironmentSpec, ReplayBuffer, ReplayConfig
from lightning_dqn.transitions import NO_ACTION, Rows

SIDE, STACK, NUM_ENVS, EPISODE, NUM_ACTIONS = 84, 4, 8, 400, 6
REFERENCE = "ours"


class Contestant(Protocol):
    """Holds transitions of stacked frames."""

    def sample(self, batch_size: int) -> Any:
        """Return a minibatch in the library's own form."""


class Step:
    """One step of all environments: new frames [E, 84, 84], and which episodes ended."""

    def __init__(self, number: int, frames: np.ndarray) -> None:
        self.frames, self.number = frames, number
        self.action = np.full(NUM_ENVS, number % NUM_ACTIONS)
        self.reward = np.zeros(NUM_ENVS, np.float32)
        self.terminated = np.full(NUM_ENVS, number % EPISODE == EPISODE - 1)


def steps(num_steps: int) -> Iterator[Step]:
    """Give steps whose frames are drawn from a small store of noise: writing them is not timed."""
    store = np.random.default_rng(0).integers(0, 256, (997, NUM_ENVS, SIDE, SIDE), np.uint8)
    for number in range(num_steps):
        yield Step(number, store[number % len(store)])


def stacked(num_steps: int, axis: int) -> Iterator[tuple[Step, np.ndarray, np.ndarray]]:
    """Give steps with their stacks before and after, uint8[E, ...] with the stack on ``axis``."""
    stack = np.zeros((NUM_ENVS, STACK, SIDE, SIDE), np.uint8)
    for step in steps(num_steps):
        following = np.concatenate([stack[:, 1:], step.frames[:, None]], axis=1)
        yield step, np.moveaxis(stack, 1, axis), np.moveaxis(following, 1, axis)
        stack = np.zeros_like(stack) if step.terminated.any() else following


class Ours:
    """The ring: each frame once, stacks found when they are drawn."""

    def __init__(self, num_rows: int) -> None:
        spec = EnvironmentSpec((SIDE, SIDE), "uint8", num_actions=NUM_ACTIONS, frame_stack=STACK)
        self.ring = ReplayBuffer(spec, NUM_ENVS, ReplayConfig(capacity=num_rows))
        for step in steps(num_rows // NUM_ENVS):
            self._extend(step.frames, step.action, step.reward, step.terminated)
            if step.terminated.any():  # all at once: the final observation takes a row
                off = np.zeros(NUM_ENVS, bool)
                self._extend(step.frames, np.full(NUM_ENVS, NO_ACTION), step.reward, off)

    def _extend(self, *columns: np.ndarray) -> None:
        off = np.zeros(NUM_ENVS, bool)
        self.ring.extend(Rows(*(column[None] for column in (*columns, off)), None))

    def sample(self, batch_size: int) -> Any:
        """Draw one minibatch."""
        return self.ring.sample(1, batch_size)


class StableBaselines3:
    """SB3's buffer with its option for memory: each stack once."""

    def __init__(self, num_rows: int) -> None:
        from gymnasium.spaces import Box, Discrete
        from stable_baselines3.common.buffers import ReplayBuffer as Buffer

        self.buffer = Buffer(
            num_rows,
            Box(0, 255, (STACK, SIDE, SIDE), np.uint8),
            Discrete(NUM_ACTIONS),
            n_envs=NUM_ENVS,
            optimize_memory_usage=True,
            handle_timeout_termination=False,
        )
        infos: list[dict[str, Any]] = [{}] * NUM_ENVS
        for step, before, after in stacked(num_rows // NUM_ENVS, 1):
            self.buffer.add(before, after, step.action, step.reward, step.terminated, infos)

    def sample(self, batch_size: int) -> Any:
        """Draw one minibatch."""
        return self.buffer.sample(batch_size)


class Tianshou:
    """Tianshou's buffer, which stacks when it draws."""

    def __init__(self, num_rows: int) -> None:
        from tianshou.data import Batch, VectorReplayBuffer

        self.buffer = VectorReplayBuffer(
            num_rows, NUM_ENVS, stack_num=STACK, ignore_obs_next=True, save_only_last_obs=False
        )
        for step in steps(num_rows // NUM_ENVS):
            self.buffer.add(
                Batch(
                    obs=step.frames,
                    act=step.action,
                    rew=step.reward,
                    terminated=step.terminated,
                    truncated=np.zeros(NUM_ENVS, bool),
                    info=Batch(),
                )
            )

    def sample(self, batch_size: int) -> Any:
        """Draw one minibatch; the stacks that follow are found as its algorithms find them."""
        index = self.buffer.sample_indices(batch_size)
        return self.buffer.get(index, "obs"), self.buffer.get(self.buffer.next(index), "obs")


class Cpprb:
    """cpprb's buffer in C++ with its compression of stacks and of what follows."""

    def __init__(self, num_rows: int) -> None:
        from cpprb import ReplayBuffer as Buffer

        columns = {
            "obs": {"shape": (SIDE, SIDE, STACK), "dtype": np.uint8},
            "act": {"dtype": np.int64},
            "rew": {},
            "done": {},
        }
        self.buffer = Buffer(num_rows, columns, next_of="obs", stack_compress="obs")
        for game in range(NUM_ENVS):  # it compresses one stream of stacks
            for step, before, after in stacked(num_rows // NUM_ENVS, 3):
                self.buffer.add(
                    obs=before[game],
                    act=step.action[game],
                    rew=step.reward[game],
                    next_obs=after[game],
                    done=step.terminated[game],
                )
                if step.terminated[game]:
                    self.buffer.on_episode_end()
            self.buffer.on_episode_end()

    def sample(self, batch_size: int) -> Any:
        """Draw one minibatch."""
        return self.buffer.sample(batch_size)


class TorchRL:
    """TorchRL's buffer over tensors: each stack twice."""

    def __init__(self, num_rows: int) -> None:
        from tensordict import TensorDict
        from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer

        self.buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(num_rows))
        for step, before, after in stacked(num_rows // NUM_ENVS, 1):
            following = {
                "pixels": torch.from_numpy(after),
                "reward": torch.from_numpy(step.reward),
                "done": torch.from_numpy(step.terminated),
            }
            now = {
                "pixels": torch.from_numpy(before),
                "action": torch.from_numpy(step.action),
                "next": TensorDict(following, batch_size=[NUM_ENVS]),
            }
            self.buffer.extend(TensorDict(now, batch_size=[NUM_ENVS]))

    def sample(self, batch_size: int) -> Any:
        """Draw one minibatch."""
        return self.buffer.sample(batch_size)


CONTESTANTS: dict[str, Callable[[int], Contestant]] = {
    REFERENCE: Ours,
    "sb3": StableBaselines3,
    "tianshou": Tianshou,
    "cpprb": Cpprb,
    "torchrl": TorchRL,
}


def resident_bytes() -> int:
    """Return the memory that this process holds; Linux."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def build(num_rows: int) -> tuple[dict[str, Contestant], dict[str, int], dict[str, str]]:
    """Fill the contestants that can be imported; return bytes of each and why others can't."""
    built: dict[str, Contestant] = {}
    size: dict[str, int] = {}
    missing: dict[str, str] = {}
    for name, make in CONTESTANTS.items():
        say(f"{name}: filling {num_rows:,} rows ...")
        before = resident_bytes()
        try:
            built[name] = make(num_rows)
        except ImportError as error:
            missing[name] = str(error)
        else:
            size[name] = resident_bytes() - before
    return built, size, missing


def microseconds(contestant: Contestant, batch_size: int, calls: int) -> float:
    """Return what drawing a minibatch takes, after one that isn't timed."""
    contestant.sample(batch_size)
    begin = time.perf_counter()
    for _ in range(calls):
        contestant.sample(batch_size)
    return 1e6 * (time.perf_counter() - begin) / calls


def table(
    contestants: dict[str, Contestant], size: dict[str, int], batches: list[int], turns: int
) -> str:
    """Let all take turns and format medians."""
    head = ["contestant", "bytes per row"]
    for batch_size in batches:
        head += [f"{batch_size} stacks [us]", f"/ {REFERENCE}"]
    rows = {name: [name, f"{size[name]:,}"] for name in contestants}
    for batch_size in batches:
        calls = max(1, 256 // batch_size)
        taken: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(turns):
            for name, contestant in contestants.items():
                taken[name].append(microseconds(contestant, batch_size, calls))
        for name, own in taken.items():
            pairs = zip(own, taken[REFERENCE], strict=True)
            ratio = statistics.median(mine / reference for mine, reference in pairs)
            rows[name] += [f"{statistics.median(own):,.0f}", f"{ratio:.2f}x"]
    return format_table([head, *rows.values()])


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", help="interpreter to run all of it in; it needs torch")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--batches", type=int, nargs="+", default=[32, 256])
    parser.add_argument("--turns", type=int, default=40)
    return parser.parse_args()


def main() -> None:
    """Fill, measure and print."""
    chosen = parse_arguments()
    if chosen.python:
        batches = [str(number) for number in chosen.batches]
        command = [chosen.python, __file__, "--rows", str(chosen.rows), "--turns"]
        command += [str(chosen.turns), "--batches", *batches]
        sys.exit(subprocess.run(command, env=environment(1)).returncode)
    warnings.simplefilter("ignore")  # of peers about their own dependencies
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    built, size, missing = build(chosen.rows)
    per_row = {name: number // chosen.rows for name, number in size.items()}
    print(f"{chosen.rows:,} rows of 84x84 frames in stacks of 4")
    print(table(built, per_row, chosen.batches, chosen.turns))
    for name, reason in missing.items():
        print(f"{name}: left out, {reason}")


if __name__ == "__main__":
    main()
