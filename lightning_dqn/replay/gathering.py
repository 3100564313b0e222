"""Reading transitions out of the ring, into memory that is used again.

Shapes: B transitions, S stacked frames.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.replay.reading import Cells, Chain, follow_chain, stacked_cells
from lightning_dqn.transitions import Transitions


class Gathering:
    """Gathers what belongs to the starts of transitions.

    Fresh memory costs far more than the reading, so each output is kept for the next call of the
    same size.

    Args:
        spec: of the rows.
        generator: draws the lengths of chains, where they are a range.
        device: that the ring lies on.
    """

    def __init__(
        self, spec: EnvironmentSpec, generator: torch.Generator, device: torch.device
    ) -> None:
        self._spec = spec
        self._generator = generator
        self._device = device
        self._outputs: dict[str, Tensor] = {}

    def transitions(
        self, ring: Cells, cells: Tensor, gamma: float, n_step: int | tuple[int, int]
    ) -> Transitions:
        """Return the transitions that start in ``cells``, int64[B] -> [B, ...]."""
        reward, discount, last = self._chain(ring, cells, gamma, n_step)
        has_mask = self._spec.has_action_mask
        return Transitions(
            observation=self.observations(ring, cells),
            action=self._gather(ring, "action", cells),
            reward=reward,
            discount=discount,
            next_observation=self.observations(ring, last, "next_observation"),
            next_action_mask=self._gather(ring, "action_mask", last, "next") if has_mask else None,
            action_mask=self._gather(ring, "action_mask", cells) if has_mask else None,
        )

    def observations(self, ring: Cells, cells: Tensor, output: str = "observation") -> Tensor:
        """Return observations, [B, *shape] or [B, S, *shape] oldest frame first.

        Args:
            ring: what is read.
            cells: int64[B].
            output: name of the memory that they are written to.
        """
        stack = self._spec.frame_stack
        if stack == 1:
            return self._gather(ring, "observation", cells, output)
        index = stacked_cells(ring, cells, stack).flatten()
        return self._gather(ring, "observation", index, output).unflatten(0, (-1, stack))

    def _chain(
        self, ring: Cells, cells: Tensor, gamma: float, n_step: int | tuple[int, int]
    ) -> Chain:
        """Follow the actions in ``cells`` for as many steps as a transition spans."""
        shortest, longest = (n_step, n_step) if isinstance(n_step, int) else n_step
        length: int | Tensor = longest
        if shortest < longest:
            length = torch.randint(
                shortest, longest + 1, cells.shape, generator=self._generator, device=self._device
            )
        # An int times a bool tensor would be an int64 tensor.
        return follow_chain(ring, cells, float(gamma), longest, length)

    def _gather(self, ring: Cells, name: str, cells: Tensor, output: str | None = None) -> Tensor:
        column = ring.columns[name]
        key = output or name
        size = (len(cells), *column.shape[1:])
        kept = self._outputs.get(key)
        if kept is None or kept.shape != size:
            kept = self._outputs[key] = torch.empty(size, dtype=column.dtype, device=self._device)
        return torch.index_select(column, 0, cells, out=kept)
