"""Print what an update on frames takes over its floor: compiled forward and backward passes alone.

    python benchmarks/frame_update.py [--network der|nature] [--rounds 40] [--kernels]

One process, one thread, minibatches of 32 whose stacks have their axis last in memory. The floor
has the update's passes and nothing else, each compiled: the network forward and backward on the
sum of its output, and forward alone on what follows, as often as the update does. Beside it stand
loss and gradients as they are learned from, and the whole update with the optimizer's step. They
take turns; medians, and the median of each turn's ratio to the floor. With --kernels the profiler
lists where loss and gradients go.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from frame_layout import BATCH, NETWORKS, full_ring, milliseconds
from text_table import format_table
from torch import Tensor

from lightning_dqn import DQN
from lightning_dqn.system.heap import keep_freed_memory


def floor_of(module: DQN) -> Callable[[Tensor], Any]:
    """Return the passes of an update, compiled, as a function of stacks uint8[B, 4, 84, 84]."""
    online, slow = module.q_network, module.agent.get_submodule("target_network")
    parameters = [p for p in online.parameters() if p.requires_grad]

    def passes(stacks: Tensor) -> Any:
        with torch.no_grad():
            following = [online(stacks), slow(stacks)]
        gradients = torch.autograd.grad(online(stacks).sum(), parameters)
        return gradients, [values.sum() for values in following]

    torch._dynamo.config.trace_autograd_ops = True
    return torch.compile(passes)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--network", choices=NETWORKS, default="der")
    parser.add_argument("--kernels", action="store_true")
    parser.add_argument(
        "--heap", action=argparse.BooleanOptionalAction, default=True, help="keep it"
    )
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch._inductor.config.cpp.enable_kernel_profile = chosen.kernels  # names generated ones
    torch.set_flush_denormal(True)
    if chosen.heap:
        keep_freed_memory()
    torch.manual_seed(0)
    module = NETWORKS[chosen.network]()
    batch = full_ring(42).sample(1, BATCH).minibatches()[0]
    passes, step = floor_of(module), torch.compile(module.update.step)
    module.agent.get_submodule("target_network").eval()
    parameters = module.update.parameters
    optimizer = torch.optim.Adam(parameters, lr=1e-4, eps=1.5e-4, fused=True)

    def update() -> None:
        for parameter, gradient in zip(parameters, step(batch).gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()

    turns = {
        "floor": partial(passes, batch.observation),
        "loss and gradients": partial(step, batch),
        "update": update,
    }
    times: dict[str, list[float]] = {name: [] for name in turns}
    for number in range(chosen.rounds + 5):
        for name, function in turns.items():
            taken = milliseconds(function)
            if number >= 5:
                times[name].append(taken)
    rows = [("", "ms", "least", "/ floor")]
    for name, own in times.items():
        pairs = zip(own, times["floor"], strict=True)
        ratio = statistics.median(mine / least for mine, least in pairs)
        rows.append((name, f"{statistics.median(own):.2f}", f"{min(own):.2f}", f"{ratio:.2f}x"))
    print(format_table(rows))
    if chosen.kernels:
        with torch.profiler.profile() as profile:
            for _ in range(20):
                step(batch)
        print(profile.key_averages().table("self_cpu_time_total", 15, max_name_column_width=120))


if __name__ == "__main__":
    main()
