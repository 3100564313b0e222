"""What a DQN is built from, and the plain values that build it again.

Plain values (numbers, text, lists, mappings) are what a checkpoint may hold: they load without
running code.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from torch import nn

from lightning_dqn.environments.factory import EnvironmentFactory, EnvironmentLike
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.networks.heads.categorical import CategoricalHead
from lightning_dqn.networks.heads.head import Head
from lightning_dqn.networks.heads.quantile import (
    ImplicitQuantileHead,
    ProposedQuantileHead,
    QuantileHead,
)
from lightning_dqn.networks.heads.scalar import ScalarHead
from lightning_dqn.networks.keras_network import KerasNetwork, check_backend, is_keras
from lightning_dqn.networks.modes import in_evaluation_mode
from lightning_dqn.networks.normalisations import mark_normalisations
from lightning_dqn.networks.q_network import QNetwork, refuse_if_changed
from lightning_dqn.networks.table import build_table, is_table
from lightning_dqn.networks.torsos import MLP, Layer, Layers, Network, NetworkOptions
from lightning_dqn.system.faults import first_line

_IS_SAVED: ContextVar[bool] = ContextVar("is_saved", default=False)


@contextmanager
def from_a_file() -> Iterator[None]:
    """Refuse an environment's ``module:Name`` inside, at which its module would be imported."""
    token = _IS_SAVED.set(True)
    try:
        yield
    finally:
        _IS_SAVED.reset(token)


def spec_of(environment: EnvironmentLike | EnvironmentSpec | Mapping[str, Any]) -> EnvironmentSpec:
    """Return the shapes of an environment, whatever way it is given.

    Raises:
        ValueError: a file names an environment that would import a module.
    """
    if isinstance(environment, EnvironmentSpec):
        return environment
    if _IS_SAVED.get() and isinstance(environment, str) and ":" in environment:
        raise ValueError(
            f"environment={environment!r}: no module is imported because a file names it; hand the "
            f"environment over, as in DQN.load_from_checkpoint(path, environment={environment!r})"
        )
    if isinstance(environment, Mapping):
        shape = tuple(environment["observation_shape"])
        return EnvironmentSpec(**{**environment, "observation_shape": shape})
    return EnvironmentFactory.of(environment).spec


def spec_to_plain(spec: EnvironmentSpec) -> dict[str, Any]:
    """Return the fields of ``spec``; :func:`spec_of` takes them back."""
    return {**dataclasses.asdict(spec), "observation_shape": list(spec.observation_shape)}


def head_of(head: Head | Mapping[str, Any] | None) -> Head:
    """Return a head, whatever way it is given.

    Raises:
        ValueError: it is none, or the name that stands for one of the user's own in a checkpoint.
    """
    if head is None:
        return ScalarHead()
    if isinstance(head, str):
        raise ValueError(
            f"head={head!r} is the name of a head of your own, if of any; pass a head itself, as "
            "head=CategoricalHead(...); where a checkpoint has it, "
            f"DQN.load_from_checkpoint(path, head={head}(...))"
        )
    if isinstance(head, Mapping):
        return head_from_plain(head)
    if not isinstance(head, Head):
        raise ValueError(f"head={head!r}: expected a Head, as CategoricalHead()")
    if isinstance(head, nn.Module) and any(True for _ in head.parameters()):
        raise ValueError(
            f"head={type(head).__name__}: has weights, which nothing would learn; make them in its "
            "decoder(), which is a part of the network"
        )
    return head


NetworkLike = Network | nn.Module | Sequence[Layer] | Mapping[str, Any]
"""A network's description, layers alone, plain values, or a module of the user's own."""


def network_of(network: NetworkLike | None) -> Network | nn.Module:
    """Return what the Q-network is built from, or the user's own module, whatever way it is given.

    Raises:
        ValueError: it is none, or the name that stands for a module of the user's own in a
            checkpoint.
    """
    if network is None:
        return MLP()
    if isinstance(network, str):
        raise ValueError(
            f"network={network!r} is the name of a module of your own, if of any; pass "
            "network=MLP(...), a list of layers or a module itself; where a checkpoint has "
            f"it, DQN.load_from_checkpoint(path, network={network}(...))"
        )
    if is_keras(network):
        check_backend(network)
    if isinstance(network, Network | nn.Module):
        return network
    if isinstance(network, Mapping):
        options = {name: value for name, value in network.items() if name != "layers"}
        layers = network.get("layers")
        return MLP(**options) if layers is None else Layers(layers=layers, **options)
    if not isinstance(network, Sequence):
        raise ValueError(f"network={network!r}: expected layers, as MLP(), a list or a module")
    return Layers(layers=network)


def build_network(network: Network | nn.Module, spec: EnvironmentSpec, head: Head) -> nn.Module:
    """Return the Q-network: a table, built from layers, or the user's own after a look at it.

    Raises:
        ValueError: it doesn't fit the environment.
    """
    if isinstance(network, nn.Module):
        name = type(network).__name__
        if is_keras(network):
            network = _from_keras(network, spec)
        _check_own_network(network, name, spec, head)
        return mark_normalisations(network)
    layers = network.layer_list()
    if is_table(layers):
        return build_table(spec, layers, head, network)
    return mark_normalisations(QNetwork(spec, layers, head=head, options=network))


def network_to_plain(network: Network | nn.Module) -> dict[str, Any] | str:
    """Return a network's description as plain values, a module of the user's own as its name."""
    if isinstance(network, nn.Module):
        return type(network).__name__
    options = {f.name: getattr(network, f.name) for f in dataclasses.fields(NetworkOptions)}
    return {"layers": _plain(network.layer_list()), **options}


def made_plain(saved: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return hyper-parameters as a checkpoint may hold them.

    A subclass that calls ``save_hyperparameters()`` saves the arguments as they were given, as
    ``network=MLP()``. Optimizers and schedules are code, which no checkpoint of a DQN holds.

    Args:
        saved: as they were given; what is plain, or isn't an argument of a DQN, stays.
        own: the DQN's, as plain values.
    """
    return {
        name: value if name not in own or _is_plain(value) else own[name]
        for name, value in saved.items()
        if name not in ("optimizer", "lr_scheduler") or _is_plain(value)
    }


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_plain, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or type(value) in (bool, int, float, str)


def _from_keras(model: nn.Module, spec: EnvironmentSpec) -> KerasNetwork:
    example = spec.example_observations(2)
    try:
        return KerasNetwork(model, example)
    except Exception as error:  # what a layer raises is up to the layer
        text = first_line(error)
        raise ValueError(
            f"network={type(model).__name__} doesn't take observations of the shape "
            f"{tuple(example.shape)} and type {example.dtype}, as the environment gives them: "
            f"{text}"
        ) from error


def _check_own_network(network: nn.Module, name: str, spec: EnvironmentSpec, head: Head) -> None:
    inside = [path for path, part in network.named_modules() if is_keras(part)]
    if inside:
        raise ValueError(
            f"network={name}: its {inside[0]} is a Keras layer, whose copies have other names for "
            "their weights; hand the Keras model over by itself"
        )
    observation = spec.example_observations(2)
    with torch.no_grad(), in_evaluation_mode(network):
        try:
            output = network(observation)
        except Exception as error:  # what a network of the user's own raises is up to it
            raise ValueError(
                f"network={name} doesn't take observations of the shape {tuple(observation.shape)} "
                f"and type {observation.dtype}, as the environment gives them: {error}"
            ) from error
        refuse_if_changed(observation, name)
        try:
            found = tuple(head.q_values(output).shape)
        except Exception as error:  # likewise
            raise ValueError(
                f"network={name}: {type(head).__name__} can't read its output, a "
                f"{type(output).__name__}: {first_line(error)}"
            ) from error
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise ValueError(f"network={name} has no parameter that could learn")
    if found != (2, spec.num_actions):
        raise ValueError(
            f"network={name} gives the shape {found} for 2 observations; expected "
            f"{(2, spec.num_actions)}, a value for each of the {spec.num_actions} actions"
        )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(entry) for entry in value]
    return value.item() if isinstance(value, np.generic) else value


_HEADS = {
    kind.__name__: kind
    for kind in (
        ScalarHead,
        CategoricalHead,
        QuantileHead,
        ImplicitQuantileHead,
        ProposedQuantileHead,
    )
}


def head_to_plain(head: Head) -> dict[str, Any] | str:
    """Return a head of the package as plain values, one of the user's own as its name."""
    name = type(head).__name__
    if _HEADS.get(name) is not type(head):
        return name
    return {name: dataclasses.asdict(head)}


def head_from_plain(plain: Mapping[str, Any]) -> Head:
    """Make the head that :func:`head_to_plain` described.

    Raises:
        ValueError: no head has that name.
    """
    [(name, arguments)] = plain.items()
    if name not in _HEADS:
        raise ValueError(f"head={name!r}: choose one of {sorted(_HEADS)}")
    return _HEADS[name](**arguments)
