"""Gradients of several processes, averaged between the loss and clipping.

``torch.autograd.grad`` fires none of the hooks by which Lightning's strategies average gradients:
they would train as many networks as there are processes, without a word. Shapes: P parameters.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_dqn.system.ranks import Ranks, RanksApart


class Bucket:
    """One tensor in which gradients and numbers travel together, for a call costs more than bytes.

    What is not finite in one process is in none afterwards: all of them stop at the same update.

    Args:
        ranks: who average.
        parameters: what gradients belong to.
    """

    def __init__(self, ranks: Ranks, parameters: Sequence[Tensor]) -> None:
        self.ranks = ranks
        self._sizes = [parameter.numel() for parameter in parameters]
        self._bucket = torch.zeros(0)

    def average(self, gradients: Sequence[Tensor], numbers: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return gradients and numbers, float[M], as their means over all processes.

        They lie in memory that the next call writes over.
        """
        size = sum(self._sizes)
        if len(self._bucket) != size + len(numbers):
            self._bucket = torch.empty(
                size + len(numbers), dtype=torch.float32, device=numbers.device
            )
        flat = [gradient.reshape(-1).float() for gradient in gradients]
        torch.cat([*flat, numbers.float()], out=self._bucket)
        self.ranks.average(self._bucket)
        *parts, averaged = self._bucket.split([*self._sizes, len(numbers)])
        shaped = [
            part.view_as(gradient).to(gradient.dtype)
            for part, gradient in zip(parts, gradients, strict=True)
        ]
        return shaped, averaged


def check_together(ranks: Ranks, tensors: Sequence[Tensor], updates: int) -> None:
    """See that all ranks have the same network, bit for bit; they would stay apart for ever.

    Args:
        ranks: all of them.
        tensors: the parameters that learn, and what the network keeps beside them.
        updates: so far.

    Raises:
        RanksApart: they haven't; in all ranks.
    """
    if not ranks.are_several:
        return
    sums = torch.stack([tensor.detach().double().sum() for tensor in tensors])
    found = ranks.gather(sums)
    if not bool((found.nan_to_num() == found[0].nan_to_num()).all()):
        raise RanksApart(
            f"the networks of {ranks.size} ranks are no longer the same at update {updates}: "
            "a layer, after_update or a callback changes it by what one rank has alone; let it "
            "act alike in all ranks"
        )
