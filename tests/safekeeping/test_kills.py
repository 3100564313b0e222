"""Whenever a process is killed while it saves, a whole checkpoint is there."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from lightning_dqn.safekeeping.generations import previous_of
from lightning_dqn.safekeeping.reading import is_whole, read_checkpoint
from lightning_dqn.system.files import sweep_temporaries

KILLS = 20

SAVES_FOR_EVER = """
import itertools, sys
import torch
from lightning_dqn.safekeeping.checkpoint_files import SafeCheckpointIO
files = SafeCheckpointIO()
for number in itertools.count(int(sys.argv[2])):
    files.save_checkpoint({"number": number, "weights": torch.full((2_000_000,), float(number))},
                          sys.argv[1])
    print(number, flush=True)
"""


@pytest.fixture
def other_disk() -> Iterator[Path]:
    """A folder on another disk than that of temporary files, where there is one."""
    place = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=place if os.access(place, os.W_OK) else None))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.slow
def test_twenty_kills_leave_a_whole_checkpoint_each_time(other_disk, tmp_path):
    path, draw, number = other_disk / "last.ckpt", random.Random(0), 0
    left = 0
    for _ in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, "-c", SAVES_FOR_EVER, str(path), str(number)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(draw.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        told = process.stdout.read().split()
        process.wait()
        process.stdout.close()
        left += sum(one.suffix == ".tmp" for one in other_disk.iterdir())
        assert is_whole(path)
        found = read_checkpoint(path)
        assert found["number"] >= max([number, *map(int, told[-2:-1])])
        assert bool((found["weights"] == found["number"]).all())
        assert is_whole(previous_of(path))
        number = found["number"] + 1
    assert left > 0, "no kill hit a save"
    sweep_temporaries(other_disk)
    assert {one.name for one in other_disk.iterdir()} == {"last.ckpt", "last.previous.ckpt"}
    assert list(tmp_path.iterdir()) == [], "nothing went through the folder of temporary files"
    torch.load(path, weights_only=True)
