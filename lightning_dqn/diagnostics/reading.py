"""From tensors to a row of numbers, by one look at where they lie."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor


def as_row(values: Mapping[str, Tensor | float]) -> dict[str, float]:
    """Return values as numbers; what is NaN, as a mean of nothing, is left out.

    All tensors are read at once, so that an accelerator is waited for a single time.

    Args:
        values: float[] or a number each.
    """
    tensors = {name: value for name, value in values.items() if isinstance(value, Tensor)}
    row = {name: float(value) for name, value in values.items() if name not in tensors}
    if tensors:
        read = torch.stack([value.detach().double() for value in tensors.values()]).tolist()
        row |= dict(zip(tensors, read, strict=True))
    return {name: row[name] for name in values if not math.isnan(row[name])}
