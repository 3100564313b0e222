"""Reading transitions out of the ring, into memory that is used again.

Shapes: B transitions, K steps to come, S stacked frames, H height, W width.
"""

from __future__ import annotations

import sys

import torch
from torch import Tensor

from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.extra_columns import NO_COLUMNS, ExtraColumns
from lightning_dqn.replay.reading import Cells, Chain, follow_chain, stacked_cells
from lightning_dqn.replay.sequences import Steps, follow_steps, sequence_frames, windows
from lightning_dqn.transitions import Transitions

LEAST_SIDE = 42
"""Of frames that are laid out as convolutions want them: below, arranging costs what it saves."""


class Gathering:
    """Gathers what belongs to the starts of transitions.

    Fresh memory costs far more than the reading, so each output is kept for the next call of the
    same size. Stacks of large frames are laid out with the stack's axis last in memory, whatever
    their shape: convolutions then learn from them a fifth to a third faster on a CPU.

    Args:
        spec: of the rows.
        generator: draws the lengths of chains, where they are a range.
        device: that the ring lies on.
        sequence_length: K, of what comes beside each transition; None: nothing does.
        extra_columns: that rows carry.
    """

    def __init__(
        self,
        spec: EnvironmentSpec,
        generator: torch.Generator,
        device: torch.device,
        sequence_length: int | None = None,
        extra_columns: ExtraColumns = NO_COLUMNS,
    ) -> None:
        self._extra = [name for name, one in extra_columns.items() if one.is_learned_from]
        self._spec = spec
        self._generator = generator
        self._device = device
        self._sequence_length = sequence_length
        self._arranges = wants_stack_last(spec)
        self._outputs: dict[str, Tensor] = {}

    def transitions(
        self, ring: Cells, cells: Tensor, gamma: float, n_step: int | tuple[int, int]
    ) -> Transitions:
        """Return the transitions that start in ``cells``, int64[B] -> [B, ...]."""
        reward, discount, last = self._chain(ring, cells, gamma, n_step)
        has_mask = self._spec.has_action_mask
        transitions = Transitions(
            observation=self.observations(ring, cells),
            action=self._gather(ring, "action", cells),
            reward=reward,
            discount=discount,
            next_observation=self.observations(ring, last, "next_observation"),
            next_action_mask=self._gather(ring, "action_mask", last, "next") if has_mask else None,
            action_mask=self._gather(ring, "action_mask", cells) if has_mask else None,
            extra=self.extra(ring, cells),
        )
        if self._sequence_length is None:
            return transitions
        return self._with_sequences(
            transitions, ring, follow_steps(ring, cells, self._sequence_length)
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
        if self._arranges:
            frames = self._gather(ring, "observation", index, "frames")
            return self._with_stack_last(frames.unflatten(0, (-1, stack)), output)
        return self._gather(ring, "observation", index, output).unflatten(0, (-1, stack))

    def extra(self, ring: Cells, cells: Tensor, output: str = "extra") -> dict[str, Tensor] | None:
        """Return the extra columns that are learned from, by name [B, ...]; None without any.

        Args:
            ring: what is read.
            cells: int64[B].
            output: name of the memory that they are written to.
        """
        if not self._extra:
            return None
        return {name: self._gather(ring, name, cells, f"{output}/{name}") for name in self._extra}

    def _with_sequences(self, transitions: Transitions, ring: Cells, steps: Steps) -> Transitions:
        """Return transitions with the steps to come beside them."""
        taken = steps.cells[:, :-1]
        action = self._gather(ring, "action", taken.flatten(), "sequence_action")
        stack = self._spec.frame_stack
        index = sequence_frames(ring, steps, stack)
        frames = self._gather(ring, "observation", index.flatten(), "sequence_observation")
        frames = frames.unflatten(0, index.shape)
        to_come = steps.cells[:, 1:]
        extra = self.extra(ring, to_come.flatten(), "sequence_extra")
        if extra is not None:
            extra = {name: one.unflatten(0, to_come.shape) for name, one in extra.items()}
        return transitions._replace(
            sequence_observation=frames if stack == 1 else windows(frames, stack),
            sequence_action=action.unflatten(0, taken.shape),
            sequence_within=steps.within,
            sequence_extra=extra,
        )

    def _with_stack_last(self, stacks: Tensor, output: str) -> Tensor:
        """Return uint8[B, S, H, W] as a view of memory [B, H, W, S]."""
        batch, depth, height, width = stacks.shape
        memory = self._memory(output, (batch, height * width, depth), stacks.dtype)
        interleave(stacks.flatten(2), memory)
        return memory.unflatten(1, (height, width)).permute(0, 3, 1, 2)

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
        kept = self._memory(output or name, (len(cells), *column.shape[1:]), column.dtype)
        return torch.index_select(column, 0, cells, out=kept)

    def _memory(self, key: str, size: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        kept = self._outputs.get(key)
        if kept is None or kept.shape != size:
            kept = self._outputs[key] = torch.empty(size, dtype=dtype, device=self._device)
        return kept


_WORDS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Number of bytes -> the dtype of a number that has as many."""


def interleave(frames: Tensor, memory: Tensor) -> None:
    """Write stacks of frames, uint8[B, S, N], into ``memory``, uint8[B, N, S].

    A pixel's two, four or eight bytes are written as one number, in less than half the time that
    it takes to place them one by one.
    """
    word = _WORDS.get(frames.shape[1])
    if word is None or sys.byteorder == "big":
        torch.stack(frames.unbind(1), dim=2, out=memory)
        return
    *lower, highest = frames.unbind(1)
    pixels = memory.view(word).squeeze(-1)
    pixels.copy_(highest)
    for frame in reversed(lower):
        torch.add(frame, pixels, alpha=256, out=pixels)


def wants_stack_last(spec: EnvironmentSpec) -> bool:
    """Tell whether stacks of frames are laid out with their axis last in memory."""
    shape = spec.observation_shape
    is_large = len(shape) == 2 and min(shape) >= LEAST_SIDE
    return spec.frame_stack > 1 and spec.observation_dtype == "uint8" and is_large
