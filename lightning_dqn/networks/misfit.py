"""Whether saved weights fit a network, found out before any of it changes."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

from torch import Tensor, nn


def misfit(network: nn.Module, tensors: Mapping[str, Tensor], *, strict: bool = True) -> str | None:
    """Say what of ``tensors`` doesn't fit a network; None: they can be loaded.

    Args:
        network: stays as it is, where torch's own loading changes all that fits before it raises.
        tensors: of a ``state_dict``.
        strict: refuse missing and unexpected names too.
    """
    try:
        deepcopy(network).load_state_dict(tensors, strict=strict)
    except RuntimeError as error:
        [what, *_] = str(error).splitlines()[1:] or [str(error)]  # behind a title
        return what.strip().rstrip(".")
    return None
