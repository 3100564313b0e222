"""Print how many frames a second Rainbow and PQN learn from on a GPU, with the ring in its memory.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --presets rainbow --iterations 500 --uncompiled
    python benchmarks/gpu.py --device cpu --iterations 2 --num-envs 2     # does it all run?

Pong by ALE's own emulators (`pip install '.[atari]'`), else synthetic frames of its size, whose
environments cost next to nothing. Sizes are the presets' own, but for a ring and a warm-up that
are soon full; a frame is one of the emulator's, of which an env step has four. What is timed comes
after the iterations that compile. Without the device it says so and exits with 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from text_table import format_table

from lightning_dqn.runs.compose import compose
from lightning_dqn.runs.experiment import prepare

PRESETS = ("rainbow", "pqn")
FRAMES_PER_STEP = 4
UNTIMED_ITERATIONS = 3
"""At first: they compile, and make the memory that stays."""
WARMUP_ENV_STEPS = 2_000
CAPACITY = 100_000
SYNTHETIC = "synthetic_frames:SyntheticFrames-v0"


class Stopwatch(pl.Callback):
    """Times the iterations after the first few.

    Attributes:
        seconds: that they took.
        env_steps: in them.
        updates: in them.
    """

    def __init__(self) -> None:
        """Start with nothing measured."""
        self.began = 0.0
        self.at_first = (0, 0)
        self.seconds = 0.0
        self.env_steps = self.updates = 0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Begin after the untimed ones; note the newest."""
        if batch_idx + 1 < UNTIMED_ITERATIONS:
            return
        now = (pl_module.env_steps, pl_module.updates)
        if pl_module.device.type == "cuda" and self._is_edge(trainer, batch_idx):
            torch.cuda.synchronize()  # else what is under way would count as done
        if batch_idx + 1 == UNTIMED_ITERATIONS:
            self.began, self.at_first = time.perf_counter(), now
        self.seconds = time.perf_counter() - self.began
        self.env_steps, self.updates = (b - a for a, b in zip(self.at_first, now, strict=True))

    def _is_edge(self, trainer: pl.Trainer, batch_idx: int) -> bool:
        return batch_idx + 1 in (UNTIMED_ITERATIONS, trainer.num_training_batches)


def overrides(options: argparse.Namespace, preset: str) -> list[str]:
    """Return the command line of a short run of a preset."""
    games = find_spec("ale_py") is not None and not options.synthetic
    chosen = [
        "+experiment=atari",
        f"algorithm=atari/{preset}",
        "name=gpu",
        "env_steps=null",
        "trainer.max_epochs=1",
        f"trainer.accelerator={'gpu' if options.device == 'cuda' else options.device}",
        f"module.compile={str(not options.uncompiled).lower()}",
        f"data.collection.warmup_env_steps={WARMUP_ENV_STEPS}",
        f"data.replay.capacity={CAPACITY}",
        "data.replay.storage=accelerator",
    ]
    if options.num_envs is not None:
        chosen.append(f"environment.num_envs={options.num_envs}")
    if games:
        return [*chosen, "environment.game=Pong"]
    chosen += ["environment=gymnasium", f"environment.id='{SYNTHETIC}'"]
    return [*chosen, "environment.frame_stack=4", "environment.vectorization=sync"]


def measured(options: argparse.Namespace, preset: str) -> tuple[str, ...]:
    """Run a preset and return its row."""
    with tempfile.TemporaryDirectory() as folder:
        config = compose(overrides(options, preset))
        config.run_dir = folder
        experiment = prepare(config)
        data, watch = experiment.data, Stopwatch()
        iterations = UNTIMED_ITERATIONS + options.iterations
        data.env_steps_per_epoch = iterations * data.pace.env_steps_per_iteration
        callbacks: list[Any] = experiment.trainer.callbacks
        trainer = pl.Trainer(
            accelerator=config.trainer.accelerator,
            devices=1,
            max_epochs=1,
            limit_val_batches=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
            # Those that move a network: the others only look on.
            callbacks=[c for c in callbacks if hasattr(c, "acts_in_periods")] + [watch],
        )
        trainer.fit(experiment.module, data)
    frames = FRAMES_PER_STEP * watch.env_steps / watch.seconds
    return (
        preset,
        data.environment.name,
        str(data.environment.num_envs),
        f"{frames:,.0f}",
        f"{watch.updates / watch.seconds:,.0f}",
        f"{1e3 * watch.seconds / options.iterations:.1f}",
    )


def main() -> None:
    """Measure each preset and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--presets", default=",".join(PRESETS))
    parser.add_argument("--iterations", type=int, default=200, help="that are timed")
    parser.add_argument("--num-envs", type=int, help="default: the preset's")
    parser.add_argument("--uncompiled", action="store_true")
    parser.add_argument("--synthetic", action="store_true", help="no games, where there are some")
    parser.add_argument("--device", default="cuda", help="cpu tries that it all runs")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("no GPU here: torch.cuda.is_available() is False", file=sys.stderr)
        sys.exit(1)
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    rows = [("preset", "frames of", "envs", "frames/s", "updates/s", "ms an iteration")]
    rows += [measured(options, preset) for preset in options.presets.split(",")]
    where = torch.cuda.get_device_name() if options.device == "cuda" else options.device
    print(format_table(rows))
    print(f"{where}, torch {torch.__version__}, {'un' * options.uncompiled}compiled")


if __name__ == "__main__":
    main()
