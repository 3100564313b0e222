"""What it gains that minibatches of frames arrive with the stack's axis last in memory.

    python benchmarks/frame_layout.py [--rounds 30] [--compile] [--network nature|der]

One process, one thread: a ring of 84x84 frames is sampled with and without arranging, and the
learning step of the network is timed on both in turn. Medians, and the median of paired ratios.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from lightning_dqn import DQN, EnvironmentSpec, ReplayBuffer, ReplayConfig
from lightning_dqn.networks.heads.categorical import CategoricalHead
from lightning_dqn.networks.torsos import DataEfficientCNN, NatureCNN
from lightning_dqn.replay import gathering
from lightning_dqn.transitions import Rows, Transitions

FRAMES = EnvironmentSpec((84, 84), "uint8", num_actions=6, frame_stack=4)
ROWS, BATCH = 5_000, 32
NETWORKS = {
    "nature": lambda: DQN(FRAMES, network=NatureCNN(), compile=False),
    "der": lambda: DQN(
        FRAMES,
        network=DataEfficientCNN(dueling=True, noisy=True, noisy_sigma=0.1, head_hidden=256),
        head=CategoricalHead(num_atoms=51, v_min=-10.0, v_max=10.0),
        compile=False,
    ),
}


def full_ring(least_side: int) -> ReplayBuffer:
    """Return a ring of noise whose stacks are arranged from this size on."""
    gathering.LEAST_SIDE = least_side
    ring = ReplayBuffer(FRAMES, 1, ReplayConfig(capacity=ROWS), seed=0)
    observation = np.random.default_rng(0).integers(0, 256, (ROWS, 1, 84, 84), np.uint8)
    off = np.zeros((ROWS, 1), bool)
    action, reward = np.zeros((ROWS, 1), np.int64), np.zeros((ROWS, 1), np.float32)
    ring.extend(Rows(observation, action, reward, off, off, None))
    return ring


def milliseconds(function: Callable[..., Any], *arguments: Any) -> float:
    """Return the time of one call."""
    begin = time.perf_counter()
    function(*arguments)
    return 1e3 * (time.perf_counter() - begin)


def in_turn(name: str, plain: Callable[[], Any], arranged: Callable[[], Any], rounds: int) -> None:
    """Time two functions in turn and print medians and the median ratio."""
    for function in (plain, arranged) * 3:
        function()
    pairs = [(milliseconds(plain), milliseconds(arranged)) for _ in range(rounds)]
    before, after = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"{name:8} plain {before:7.2f} ms, stack last {after:7.2f} ms, ratio {ratio:.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--network", choices=NETWORKS, default="der")
    parser.add_argument("--compile", action="store_true")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    plain, arranged = full_ring(1_000), full_ring(42)
    module = NETWORKS[chosen.network]()
    step = torch.compile(module.update.step) if chosen.compile else module.update.step

    def sampled(ring: ReplayBuffer) -> Transitions:
        return ring.sample(1, BATCH).minibatches()[0]

    in_turn("sample", lambda: sampled(plain), lambda: sampled(arranged), chosen.rounds)
    batches = sampled(plain), sampled(arranged)
    in_turn("update", lambda: step(batches[0]), lambda: step(batches[1]), chosen.rounds)
    in_turn("both", lambda: step(sampled(plain)), lambda: step(sampled(arranged)), chosen.rounds)


if __name__ == "__main__":
    main()
