"""Q-networks as lists of layers.

A network is written as a list, in YAML or in Python, and built against the environment's
shapes: ``[{"Linear": 120}, "ReLU", {"Linear": 84}, "ReLU"]``. An entry names a class of
``torch.nn`` (or ``ChannelsFirst``); its argument is the output size alone (the input size
follows from the layer before), a list of positional arguments with the input size first, or a
mapping of keyword arguments. The head that turns features into action values is added after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lightning_dqn.environment_spec import EnvironmentSpec

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


class DuelingHead(nn.Module):
    """V + A - mean A, eq. 9 of Wang et al. 2016 (arxiv.org/abs/1511.06581), [B, A*N]."""

    def __init__(self, features: int, num_actions: int, outputs_per_action: int) -> None:
        super().__init__()
        self.value = nn.Linear(features, outputs_per_action)
        self.advantage = nn.Linear(features, num_actions * outputs_per_action)
        self.num_actions = num_actions

    def forward(self, features: Tensor) -> Tensor:
        """Return one output for each action and atom, float[B, A*N]."""
        advantage = self.advantage(features).unflatten(1, (self.num_actions, -1))
        centred = advantage - advantage.mean(dim=1, keepdim=True)
        return (self.value(features).unsqueeze(1) + centred).flatten(1)


class QNetwork(nn.Module):
    """Preprocessing, a torso built from a list of layers, and the layer of action values.

    Args:
        spec: the environment's shapes.
        layers: the torso.
        outputs_per_action: N of the head that reads the output.
        dueling: split the last layer into value and advantage.

    Raises:
        ValueError: a layer doesn't exist or doesn't fit; the message names it.
    """

    def __init__(
        self,
        spec: EnvironmentSpec,
        layers: Sequence[Layer],
        *,
        outputs_per_action: int = 1,
        dueling: bool = False,
    ) -> None:
        super().__init__()
        self.preprocess = Preprocess(spec.num_states, spec.observation_dtype == "uint8")
        example = self.preprocess(spec.example_observations(1))
        self.torso = build_layers(layers, example)
        with torch.no_grad():
            features = self.torso.eval()(example).flatten(1).shape[1]
        self.torso.train()
        outputs = spec.num_actions * outputs_per_action
        self.head: nn.Module = (
            DuelingHead(features, spec.num_actions, outputs_per_action)
            if dueling
            else nn.Linear(features, outputs)
        )
        self.output_shape = (
            (spec.num_actions,)
            if outputs_per_action == 1
            else (spec.num_actions, outputs_per_action)
        )

    def forward(self, observation: Tensor) -> Tensor:
        """Return float[B, A], or float[B, A, N] where an action has N outputs."""
        output = self.head(self.torso(self.preprocess(observation)).flatten(1))
        return output if len(self.output_shape) == 1 else output.unflatten(1, self.output_shape)


def build_layers(layers: Sequence[Layer], example: Tensor) -> nn.Sequential:
    """Build ``layers`` one on another, sizing each by the output of the one before.

    Args:
        layers: see the top of this file.
        example: float[1, ...], an observation after preprocessing.

    Raises:
        ValueError: naming the layer's position, its text and the shape that reached it.
    """
    built = nn.Sequential()
    origin = "the observation"
    for position, layer in enumerate(layers):
        name, arguments = _name_and_arguments(layer, position)
        where = f"network[{position}] {name}"
        try:
            module = _build_layer(name, arguments, example)
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


def _build_layer(name: str, arguments: Any, example: Tensor) -> nn.Module:
    kind = ChannelsFirst if name == "ChannelsFirst" else getattr(nn, name, None)
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise ValueError(f"torch.nn has no layer named {name!r}")
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
