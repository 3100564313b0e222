"""Telling the gains and biases of normalisations from weights.

Their shape doesn't: normalised over an image they have three axes, as the weights of a Conv1d.
Who asks marks first: a copied parameter, and one that ``load_state_dict(assign=True)`` puts in its
place, has no mark.
"""

from __future__ import annotations

from torch import Tensor, nn

_KINDS = (
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
    nn.modules.batchnorm._NormBase,  # BatchNorm and InstanceNorm
)


def mark_normalisations(network: nn.Module) -> nn.Module:
    """Return the network, its normalisations' parameters marked for :func:`is_of_normalisation`."""
    for layer in network.modules():
        if isinstance(layer, _KINDS):
            for parameter in layer.parameters(recurse=False):
                parameter.is_of_normalisation = True  # type: ignore[attr-defined]
    return network


def is_of_normalisation(parameter: Tensor) -> bool:
    """Tell whether a parameter was marked."""
    return getattr(parameter, "is_of_normalisation", False)
