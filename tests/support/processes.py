"""The command line in processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SHORT = (
    "trainer.max_epochs=1",
    "trainer.accelerator=cpu",
    "data.env_steps_per_epoch=256",
    "data.collection.warmup_env_steps=64",
    "data.evaluation.num_envs=2",
    "data.evaluation.test_episodes_per_env=1",
    "module.network.hidden=[8]",
    "trainer.log_every_n_steps=1",
)


def command(
    *arguments: str, cwd: Path, module: str = "lightning_dqn", timeout: float = 120, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m <module>`` with these arguments in a folder."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )
