"""The parts of a network that sees images: its encoder, and what reads the encoder's latents."""

from __future__ import annotations

from typing import Literal, get_args

from torch import nn

Part = Literal["encoder", "after_encoder"]
"""The encoder is all in front of the first Flatten or linear layer, in the order of definition."""


def check_part(part: Part | None) -> None:
    """Refuse what is no part.

    Raises:
        ValueError: with what there is.
    """
    if part is not None and part not in get_args(Part):
        raise ValueError(f"part={part!r}: choose {' or '.join(get_args(Part))}, or None for both")


def names_of_part(model: nn.Module, part: Part | None) -> list[str]:
    """Return the names of the modules of a part, of all for None."""
    check_part(part)
    modules = list(model.named_modules())
    ends = (n for n, (_, one) in enumerate(modules) if isinstance(one, nn.Flatten | nn.Linear))
    end = next(ends, len(modules))
    chosen = {None: modules, "encoder": modules[:end], "after_encoder": modules[end:]}[part]
    return [name for name, _ in chosen]
