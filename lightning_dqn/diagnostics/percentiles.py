"""A distribution as a few numbers, which every logger can draw."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

OF_MANY = (5, 25, 50, 75, 95)

LEAST = 5
"""Numbers below which a distribution isn't told."""


def percentiles(
    name: str, values: Tensor, which: Sequence[int] = OF_MANY, *, least: int = LEAST
) -> dict[str, Tensor]:
    """Return percentiles of numbers, each under its name, as ``td_error_p95``.

    Between two numbers they are interpolated linearly. A healthy run's move slowly and stay in
    their order of size; a tail that runs away from the median is a few transitions' doing.

    Args:
        name: of what they are percentiles of.
        values: of any shape.
        which: from 0 to 100.
        least: numbers that there must be.

    Returns:
        float[] each; empty where ``values`` holds less than ``least``.
    """
    if values.numel() < least:
        return {}
    precise = values.flatten() if values.dtype == torch.float64 else values.flatten().float()
    points = torch.tensor(which, dtype=precise.dtype, device=precise.device) / 100
    found = torch.quantile(precise, points).unbind()
    return {f"{name}_p{share}": value for share, value in zip(which, found, strict=True)}
