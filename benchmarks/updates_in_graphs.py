"""Time an update of the CartPole work unit: one by one, in graphs of K, and its products alone.

    python benchmarks/updates_in_graphs.py [--sizes 1,5] [--rounds 40] [--preset rainbow]

All take turns in one process, on the same minibatches; what counts is processor time, of which
other work on the machine takes less than of wall time. Ratios are medians over the rounds, each
of a pair of neighbours, with the interval that holds the middle half of them.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "contestants"))

import ours
import torch
from text_table import format_table
from work_unit import WORK_UNIT

from lightning_dqn import DQN
from lightning_dqn.learning.blocks import Blocks, Counts
from lightning_dqn.learning.compilation import CheckedCompiledStep
from lightning_dqn.learning.optimizer_layout import OptimizerLayout
from lightning_dqn.learning.optimizer_step import OptimizerStep
from lightning_dqn.transitions import Transitions

UPDATES = 20
"""Of a turn, before the clock is read again."""

Turn = Callable[[], None]


def minibatches() -> list[Transitions]:
    """Draw minibatches of the work unit's shapes."""
    random = torch.Generator().manual_seed(0)
    shape = (UPDATES, WORK_UNIT.batch_size)
    return Transitions(
        observation=torch.randn(*shape, 4, generator=random),
        action=torch.randint(2, shape, generator=random),
        reward=torch.ones(shape),
        discount=torch.full(shape, WORK_UNIT.gamma),
        next_observation=torch.randn(*shape, 4, generator=random),
        next_action_mask=None,
    ).minibatches()


def one_by_one(module: DQN, batches: Sequence[Transitions]) -> Turn:
    """Return updates of a compiled step, after each the optimizer's."""
    update = module.update
    optimizer = module.make_optimizers(None)
    step = CheckedCompiledStep(update.step, module.device)
    apply = OptimizerStep(OptimizerLayout(optimizer, update.parameters))

    def turn() -> None:
        for batch in batches:
            apply(step(batch).gradients)

    return turn


def in_graphs(module: DQN, batches: Sequence[Transitions], size: int) -> Turn:
    """Return updates by graphs of so many."""
    update = module.update
    layout = OptimizerLayout(module.make_optimizers(None), update.parameters)
    blocks = Blocks(update.step, layout, most=size, device=module.device)
    parts = [batches[start : start + size] for start in range(0, UPDATES, size)]
    counts = [Counts(1, 1)] * size

    def turn() -> None:
        for part in parts:
            blocks(part, counts, [])

    return turn


def products_alone(module: DQN) -> Turn:
    """Return the matrix products of forward, target and backward passes of its layers."""
    rows = torch.randn(WORK_UNIT.batch_size, 512)
    products = []
    matrices = [p.detach() for p in module.q_network.parameters() if p.ndim == 2]
    for place, weight in enumerate(matrices):
        outputs, inputs = weight.shape
        x, g = rows[:, :inputs].contiguous(), rows[:, :outputs].contiguous()
        products += [(x, weight.T)] * 2 + [(g.T, x)]
        products += [(g, weight)] if place else []
    into = [torch.empty(len(a), b.shape[1]) for a, b in products]

    @torch.no_grad()
    def turn() -> None:
        for _ in range(UPDATES):
            for (a, b), out in zip(products, into, strict=True):
                torch.mm(a, b, out=out)

    return turn


def timed(turn: Turn) -> float:
    """Return the processor time of an update in microseconds."""
    start = time.process_time()
    turn()
    return 1e6 * (time.process_time() - start) / UPDATES


def main() -> None:
    """Compile, let all take turns, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="1,5")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--preset")
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    torch.manual_seed(0)
    sys.argv = sys.argv[:1] + (["--preset", options.preset] if options.preset else [])
    module, _ = ours.build(ours.parse_options())
    batches = minibatches()
    turns = {"one by one": one_by_one(module, batches)}
    for size in map(int, options.sizes.split(",")):
        turns[f"{size} in a graph"] = in_graphs(module, batches, size)
    turns["matrix products alone"] = products_alone(module)
    compiled_s = {name: timed(turn) * UPDATES / 1e6 for name, turn in turns.items()}
    times: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(options.rounds):
        for name, turn in turns.items():
            times[name].append(timed(turn))
    rows = [("way", "us an update, best", "median", "ratio to one by one", "first turn s")]
    for name, own in times.items():
        ratios = [a / b for a, b in zip(own, times["one by one"], strict=True)]
        low, middle, high = statistics.quantiles(ratios)
        ratio = f"{middle:.2f} ({low:.2f}-{high:.2f})"
        best, median, first = f"{min(own):.0f}", f"{statistics.median(own):.0f}", compiled_s[name]
        rows.append((name, best, median, ratio, f"{first:.1f}"))
    print(format_table(rows))
    print(f"processor time; load of the machine {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
