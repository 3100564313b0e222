"""Print where the learning part of the CartPole work unit goes, Lightning's share included.

    python benchmarks/iteration_breakdown.py [options of contestants/ours.py]

The parts are timed from inside, which costs about a microsecond a call; what no part accounts for
is the fit loop of Lightning around `training_step` and the loader.
"""

import functools
import os
import sys
import time
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "contestants"))

import ours
import pytorch_lightning as pl
import torch

from lightning_dqn.agent import Agent
from lightning_dqn.collecting.collector import Collector
from lightning_dqn.dqn import DQN
from lightning_dqn.learning.compilation import CheckedCompiledStep
from lightning_dqn.learning.lookout import Lookout
from lightning_dqn.learning.update import Update
from lightning_dqn.replay.ring import ReplayBuffer

PARTS = {
    "collect (environments, acting)": (Collector, "collect"),
    "store rows": (ReplayBuffer, "extend"),
    "sample minibatches": (ReplayBuffer, "sample"),
    "refresh the behaviour policy": (Agent, "behaviour_policy"),
    "compiled updates": (CheckedCompiledStep, "__call__"),
    "optimizer outside of them": (Update, "apply"),
    "Lightning's step": (Update, "_count_step"),
    "report": (Lookout, "look"),
    "training step as a whole": (DQN, "training_step"),
}

seconds: dict[str, float] = defaultdict(float)


def time_part(name: str, owner: type, method: str) -> None:
    """Add up the seconds spent in a method under ``name``."""
    original = getattr(owner, method)

    @functools.wraps(original)
    def timed(*args: object, **kwargs: object) -> object:
        start = time.perf_counter()
        try:
            return original(*args, **kwargs)
        finally:
            seconds[name] += time.perf_counter() - start

    setattr(owner, method, timed)


class Watch(ours.Stopwatch):
    """Forgets what the warm-up and the first iteration took, in which learning is compiled."""

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: DQN, batch: object, batch_idx: int
    ) -> None:
        """Start counting with the second iteration."""
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        if batch_idx == 1:
            seconds.clear()
            self.counting_since = time.perf_counter()


def main() -> None:
    """Run ours once and print its parts."""
    options = ours.parse_options()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    pl.seed_everything(options.seed, verbose=False)
    module, data = ours.build(options)
    for name, (owner, method) in PARTS.items():
        time_part(name, owner, method)
    watch = Watch()
    ours.build_trainer(watch).fit(module, data)
    total = watch.learning_ended - watch.counting_since
    iterations = data.iterations_per_epoch - 1
    whole_step = seconds.pop("training step as a whole")
    inside = sum(
        s for part, s in seconds.items() if PARTS[part][0] in (CheckedCompiledStep, Update, DQN)
    )
    outside = sum(seconds.values()) - inside
    rows = dict(seconds)
    rows["minibatches, counters, after_update"] = whole_step - inside
    rows["Lightning's fit loop and what is left"] = total - whole_step - outside
    updates = iterations * data.updates_per_iteration
    print(f"{updates} updates in {iterations} iterations, {total:.2f} s")
    for part, part_s in sorted(rows.items(), key=lambda row: -row[1]):
        per_iteration = 1e3 * part_s / iterations
        print(
            f"  {part:<38} {part_s:6.3f} s {part_s / total:5.0%} {per_iteration:8.2f} ms/iteration"
        )


if __name__ == "__main__":
    main()
