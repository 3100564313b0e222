"""Denormal numbers are zero in every thread that computes. Each test needs a fresh process."""

from __future__ import annotations

import subprocess
import sys

SHARE = """
import torch
torch.set_num_threads(2)
small = torch.full((1 << 20,), 1e-39)  # a large tensor, so that both threads have their part

def share():  # of the numbers that were taken as zero
    return (small + 0.0 == 0).double().mean().item()
"""


def run(code: str) -> list[str]:
    finished = subprocess.run(
        [sys.executable, "-c", SHARE + code], capture_output=True, text=True, check=True
    )
    return finished.stdout.split()


def test_all_threads_flush_those_that_were_there_before_too_and_stop_again():
    code = """
from concurrent.futures import ThreadPoolExecutor
from lightning_dqn.system.denormals import are_flushed, flush_denormals
print(share(), are_flushed())
flush_denormals(True)
print(share(), are_flushed(), ThreadPoolExecutor(1).submit(share).result())
flush_denormals(False)
print(share(), are_flushed())
"""
    assert run(code) == ["0.0", "False", "1.0", "True", "1.0", "0.0", "False"]


FIT = """
import warnings
warnings.simplefilter("ignore")
import pytorch_lightning as pl
from lightning_dqn import DQN, ReplayDataModule
from lightning_dqn.system.denormals import flush_denormals

class Shares(pl.Callback):
    def on_train_batch_end(self, *_):
        if not hasattr(self, "inside"):
            self.inside = share()
        if self.fails:
            raise RuntimeError

def fit(flushes=True, fails=False):
    looks = Shares()
    looks.fails = fails
    module = DQN("CartPole-v1", network=[{"Linear": 8}])
    module.flush_denormals = flushes
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", logger=False, callbacks=[looks],
                         enable_checkpointing=False, enable_progress_bar=False,
                         enable_model_summary=False, limit_val_batches=0)
    try:
        trainer.fit(module, ReplayDataModule("CartPole-v1", env_steps_per_epoch=64))
    except RuntimeError:
        pass
    print(looks.inside, share())
"""


def test_a_fit_flushes_and_leaves_the_process_as_it_was():
    # Libraries that rely on denormal numbers would break in what the process does afterwards.
    assert run(FIT + "fit(); fit(fails=True); fit(); fit(flushes=False)") == [
        *("1.0", "0.0"),
        *("1.0", "0.0"),
        *("1.0", "0.0"),
        *("0.0", "0.0"),
    ]


def test_who_flushes_goes_on_flushing():
    assert run(FIT + "flush_denormals(True); fit()") == ["1.0", "1.0"]
