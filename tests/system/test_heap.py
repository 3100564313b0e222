"""Blocks that are freed come back without being cleared page by page."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from lightning_dqn.system import heap

PROGRAM = """
import ctypes, resource
import torch
from lightning_dqn.system.heap import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        torch.ones(1_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

torch.set_num_threads(1)
ctypes.CDLL(None).mallopt(-3, 128 * 1024)  # blocks from here on are handed back
handed_back = faults()
print(keep_freed_memory())
faults()
print(handed_back, faults())
"""


def run() -> list[str]:
    """Return what the program prints: whether it was done, page faults before and after."""
    users = {name for name in os.environ if name.startswith(("MALLOC_", "GLIBC_", "LD_PRELOAD"))}
    environment = {name: value for name, value in os.environ.items() if name not in users}
    command = [sys.executable, "-c", PROGRAM]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return result.stdout.split()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's mallopt")
def test_blocks_of_megabytes_are_kept_when_they_are_freed() -> None:
    done, handed_back, kept = run()
    if done == "False":
        pytest.skip("another C library than glibc")
    assert int(handed_back) > 50
    assert int(kept) < 50


@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"])
def test_what_a_user_has_set_stays(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "131072")
    assert heap.keep_freed_memory() is False


def test_another_system_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert heap.keep_freed_memory() is False
