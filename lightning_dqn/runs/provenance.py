"""Where a run's numbers come from: code, versions, hardware."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path
from typing import Any

import gymnasium
import pytorch_lightning as pl
import torch

import lightning_dqn


def provenance(device: torch.device) -> dict[str, Any]:
    """Return what a run's numbers depend on beside its configuration: code and hardware."""
    modules = {
        "lightning_dqn": lightning_dqn,
        "torch": torch,
        "lightning": pl,
        "gymnasium": gymnasium,
    }
    is_cuda = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if is_cuda else device.type
    return {
        "commit": commit(),
        "versions": {key: str(module.__version__) for key, module in modules.items()},
        "hardware": {"cpu": _cpu_model(), "device": name},
    }


def clone() -> Path | None:
    """Return the clone that this code runs from; None where it is installed."""
    folder = Path(lightning_dqn.__file__).resolve().parent.parent
    return folder if (folder / ".git").exists() else None  # not a repository of the user's above


def commit() -> str | None:
    """Return the commit of the clone that this code runs from, ``-dirty`` if it was changed."""
    folder = clone()
    if folder is None:
        return None
    describe = ("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    command = ["git", "--no-optional-locks", "-C", str(folder), *describe]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _cpu_model() -> str:
    """Return the processor's name, or its architecture where the system doesn't name it."""
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
