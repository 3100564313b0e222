"""Q-networks as lists of layers.

A network is written as a list, in YAML or in Python, and built against the environment's
shapes: ``[{"Linear": 120}, "ReLU", {"Linear": 84}, "ReLU"]``. An entry names a class of
``torch.nn`` (or ``ChannelsFirst``); its argument is the output size alone (the input size
follows from the layer before), a list of positional arguments with the input size first, or a
mapping of keyword arguments. The head that turns features into action values is added after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lightning_dqn.environment_spec import EnvironmentSpec
from lightning_dqn.heads import Head, ScalarHead
from lightning_dqn.layers import LinearFactory, NoisyLinear

Layer = str | Mapping[str, Any]

_SIZED_BY_INPUT = {"Linear": "in_features", "Conv1d": "in_channels", "Conv2d": "in_channels"}
_SHAPED_BY_INPUT = {"LayerNorm"}


def mlp(hidden: Sequence[int] = (256, 256), activation: str = "ReLU") -> list[Layer]:
    """Return the layers of a perceptron with ``hidden`` units in each layer."""
    return ["Flatten", *(layer for size in hidden for layer in ({"Linear": int(size)}, activation))]


def layer_list(layers: Sequence[Layer]) -> list[Layer]:
    """Return ``layers`` as they are: how a configuration names a network of the user's own."""
    return list(layers)


def minatar_cnn() -> list[Layer]:
    """Return the torso of Young & Tian 2019 (arxiv.org/abs/1903.03176) for 10x10xC images."""
    conv = {"Conv2d": {"out_channels": 16, "kernel_size": 3}}
    return ["ChannelsFirst", conv, "ReLU", "Flatten", {"Linear": 128}, "ReLU"]


def nature_cnn() -> list[Layer]:
    """Return the torso of Mnih et al. 2015 for stacks of 84x84 frames, [S, 84, 84]."""
    sizes = ((32, 8, 4), (64, 4, 2), (64, 3, 1))
    convs: list[Layer] = []
    for channels, kernel, stride in sizes:
        conv = {"out_channels": channels, "kernel_size": kernel, "stride": stride}
        convs += [{"Conv2d": conv}, "ReLU"]
    return [*convs, "Flatten", {"Linear": 512}, "ReLU"]


class ChannelsFirst(nn.Module):
    """Move the last axis before the image: [B, H, W, C] -> [B, C, H, W].

    Frame stacks [B, S, H, W, C] become [B, S*C, H, W].
    """

    def forward(self, image: Tensor) -> Tensor:
        """Return ``image`` with its channels first."""
        image = image.movedim(-1, -3)
        return image.flatten(1, -3) if image.ndim > 4 else image


class Preprocess(nn.Module):
    """Turn observations as the environment gives them into floats.

    uint8 is divided by 255, bool becomes 0 or 1, a discrete state becomes one-hot (of each
    frame of a stack, side by side), floats stay.
    """

    def __init__(self, num_states: int | None, is_uint8: bool) -> None:
        super().__init__()
        self.num_states = num_states
        self.is_uint8 = is_uint8

    def forward(self, observation: Tensor) -> Tensor:
        """Return float[B, ...]."""
        if self.num_states is not None:
            states = torch.arange(self.num_states, device=observation.device)
            one_hot = (observation.unsqueeze(-1) == states).to(torch.get_default_dtype())
            return one_hot.flatten(1)
        if self.is_uint8:
            return observation.to(torch.get_default_dtype()) / 255
        return observation if observation.is_floating_point() else observation.float()


@dataclass(frozen=True)
class NetworkOptions:
    """How a list of layers becomes a Q-network, whatever the list.

    Args:
        dueling: split the last layer into value and advantage.
        noisy: linear layers of torso and head are noisy ones.
        noisy_sigma: their initial noise.
        layer_norm: normalise the output of every linear layer and convolution of the torso.
    """

    dueling: bool = False
    noisy: bool = False
    noisy_sigma: float = 0.5
    layer_norm: bool = False

    @property
    def linear(self) -> LinearFactory:
        """Return what makes linear layers."""
        return partial(NoisyLinear, sigma=self.noisy_sigma) if self.noisy else nn.Linear


class QNetwork(nn.Module):
    """Preprocessing, a torso built from a list of layers, and the layers of action values.

    Args:
        spec: the environment's shapes.
        layers: the torso.
        head: makes the last layers and reads their output.
        options: dueling, noisy layers, normalisation.

    Raises:
        ValueError: a layer doesn't exist or doesn't fit; the message names it.
    """

    def __init__(
        self,
        spec: EnvironmentSpec,
        layers: Sequence[Layer],
        *,
        head: Head | None = None,
        options: NetworkOptions | None = None,
    ) -> None:
        super().__init__()
        head, options = head or ScalarHead(), options or NetworkOptions()
        self.preprocess = Preprocess(spec.num_states, spec.observation_dtype == "uint8")
        example = self.preprocess(spec.example_observations(1))
        self.torso = build_layers(layers, example, options)
        with torch.no_grad():
            features = self.torso.eval()(example).flatten(1).shape[1]
        self.torso.train()
        self.head = head.decoder(
            features, spec.num_actions, dueling=options.dueling, linear=options.linear
        )

    def forward(self, observation: Tensor) -> Any:
        """Return what the head reads: float[B, A], float[B, A, N] or quantiles."""
        return self.head(self.torso(self.preprocess(observation)).flatten(1))


def build_layers(
    layers: Sequence[Layer], example: Tensor, options: NetworkOptions | None = None
) -> nn.Sequential:
    """Build ``layers`` one on another, sizing each by the output of the one before.

    Args:
        layers: see the top of this file.
        example: float[1, ...], an observation after preprocessing.
        options: noisy layers, normalisation.

    Raises:
        ValueError: naming the layer's position, its text and the shape that reached it.
    """
    options = options or NetworkOptions()
    built = nn.Sequential()
    origin = "the observation"
    for position, layer in enumerate(layers):
        name, arguments = _name_and_arguments(layer, position)
        where = f"network[{position}] {name}"
        try:
            module = _build_layer(name, arguments, example, options)
            with torch.no_grad():
                output = module.eval()(example)
            if not isinstance(output, Tensor):
                raise TypeError(f"it returns a {type(output).__name__}, not a tensor")
        except Exception as error:  # what a layer raises is up to the layer
            shape = list(example.shape[1:])
            text = (str(error) or type(error).__name__).splitlines()[0]
            raise ValueError(
                f"{where}{_as_call(arguments)} doesn't fit: {origin} gives it the shape {shape} "
                f"({text})"
            ) from error
        built.append(module.train())
        if options.layer_norm and name in _SIZED_BY_INPUT:
            built.append(nn.LayerNorm(output.shape[1:]))
        example, origin = output, where
    return built


def _name_and_arguments(layer: Layer, position: int) -> tuple[str, Any]:
    if isinstance(layer, str):
        return layer, None
    if isinstance(layer, Mapping) and len(layer) == 1:
        return next(iter(layer.items()))
    raise ValueError(
        f"network[{position}]={layer!r}: a layer is a name like 'ReLU' or one name with its "
        "arguments like {'Linear': 120}"
    )


def _build_layer(name: str, arguments: Any, example: Tensor, options: NetworkOptions) -> nn.Module:
    kind: Any = ChannelsFirst if name == "ChannelsFirst" else getattr(nn, name, None)
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise ValueError(f"torch.nn has no layer named {name!r}")
    if kind is nn.Linear:
        kind = options.linear
    if arguments is None:
        return kind(example.shape[1:]) if name in _SHAPED_BY_INPUT else kind()
    if isinstance(arguments, Mapping):
        size = _SIZED_BY_INPUT.get(name)
        inferred = {size: example.shape[1]} if size and size not in arguments else {}
        if size == "in_features" and inferred:
            inferred = {size: example.shape[-1]}
        return kind(**inferred, **{str(key): _tupled(value) for key, value in arguments.items()})
    if isinstance(arguments, Sequence) and not isinstance(arguments, str):
        return kind(*map(_tupled, arguments))
    if name in _SIZED_BY_INPUT:
        return kind(example.shape[-1], arguments)
    return kind(arguments)


def _tupled(value: Any) -> Any:
    """Return a list as a tuple: some layers of torch take sizes in no other form."""
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    return tuple(map(_tupled, value)) if is_list else value


def _as_call(arguments: Any) -> str:
    if arguments is None:
        return "()"
    if isinstance(arguments, Mapping):
        return f"({', '.join(f'{key}={value}' for key, value in arguments.items())})"
    if isinstance(arguments, Sequence) and not isinstance(arguments, str):
        return f"({', '.join(map(str, arguments))})"
    return f"({arguments})"
