"""How much memory there is, and a refusal before it runs out."""

from __future__ import annotations

import shutil
from pathlib import Path

import psutil
import torch

from lightning_dqn.system import control_group

USABLE_SHARE = 0.8
"""What part of the free memory one allocation may take."""


def available_bytes(device: torch.device) -> int:
    """Return the bytes that can still be allocated on ``device``.

    On the CPU the limits of control groups count where they are lower than the machine's.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return min(psutil.virtual_memory().available, control_group.free_bytes())


def check_fits(needed_bytes: int, available: int, what: str, remedy: str) -> None:
    """Refuse what would take more than 80 % of the available memory.

    Raises:
        ValueError: with both sizes and ``remedy``.
    """
    if needed_bytes > USABLE_SHARE * available:
        raise ValueError(
            f"{what} takes {format_bytes(needed_bytes)}, but only {format_bytes(available)} "
            f"are free ({USABLE_SHARE:.0%} of it may be used): {remedy}"
        )


def available_disk_bytes(folder: Path) -> int:
    """Return the free bytes of the file system that ``folder`` is or will be on."""
    existing = next(parent for parent in [folder, *folder.absolute().parents] if parent.exists())
    return shutil.disk_usage(existing).free


def format_bytes(size: float) -> str:
    """Return ``size`` with a decimal unit, as '7.1 GB'."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"
