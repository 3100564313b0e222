"""Q-networks built from lists of layers, see :mod:`lightning_dqn.networks.torsos`.

Shapes: B batch, A actions, N outputs per action.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.networks.heads.head import Head
from lightning_dqn.networks.heads.scalar import ScalarHead
from lightning_dqn.networks.layers import ChannelsFirst, Planes, Preprocess, Scalars
from lightning_dqn.networks.residual import GridMaxPool2d, ResidualStage
from lightning_dqn.networks.self_prediction import Renormalise
from lightning_dqn.networks.torsos import Layer, NetworkOptions
from lightning_dqn.system.faults import first_line

_SIZED_BY_INPUT = {
    "Linear": "in_features",
    "Conv1d": "in_channels",
    "Conv2d": "in_channels",
    "ResidualStage": "in_channels",
}
_OWN_KINDS = {
    kind.__name__: kind for kind in (ChannelsFirst, GridMaxPool2d, Renormalise, ResidualStage)
}
_TAKE_IMAGES = ("Conv2d", ResidualStage.__name__)
_SHAPED_BY_INPUT = {"LayerNorm"}
_COLOURS = (1, 3, 4)
"""Channels of what is surely an image: gray, coloured or with an opacity, and no side as short."""
_LEAST_SIDE = 5


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
        self.preprocess: nn.Module = Preprocess(spec.num_states, spec.observation_dtype == "uint8")
        if _lacks_channels(spec.stacked_shape, layers):
            self.preprocess = nn.Sequential(self.preprocess, Planes())
        if spec.stacked_shape == () and spec.num_states is None:
            self.preprocess = nn.Sequential(self.preprocess, Scalars())
        _check_channels(spec.stacked_shape, layers)
        observation = spec.example_observations(1)
        example = self.preprocess(observation)
        self.torso = build_layers(layers, example, options)
        with torch.no_grad():
            features = self.torso.eval()(example).flatten(1).shape[1]
        self.torso.train()
        refuse_if_changed(observation, "the first of its layers")
        self.head = head.decoder(
            features, spec.num_actions, dueling=options.dueling, linear=options.head_linear
        )

    def forward(self, observation: Tensor) -> Any:
        """Return what the head reads: float[B, A], float[B, A, N] or quantiles."""
        return self.head(self.torso(self.preprocess(observation)).flatten(1))


def refuse_if_changed(observation: Tensor, by: str) -> None:
    """Refuse a network that writes into what it is given, which others read after it.

    Args:
        observation: an example, new when the network took it; one made in inference mode doesn't
            count its changes.
        by: what took it.
    """
    if not observation.is_inference() and observation._version:
        raise ValueError(
            f"network: {by} changes the observations in place, which others read after it; leave "
            "inplace=True away there, and write x = 2 * x, not x *= 2"
        )


def build_layers(
    layers: Sequence[Layer], example: Tensor, options: NetworkOptions | None = None
) -> nn.Sequential:
    """Build ``layers`` in a row, sizing each by the output of the one before.

    Args:
        layers: see the top of :mod:`lightning_dqn.networks.torsos`.
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
            text = first_line(error)
            raise ValueError(
                f"{where}{_as_call(arguments)} doesn't fit: {origin} gives it the shape {shape} "
                f"({text})"
            ) from error
        built.append(module.train())
        if options.layer_norm and name in _SIZED_BY_INPUT:
            built.append(nn.LayerNorm(output.shape[1:]))
        example, origin = output, where
    return built


def _lacks_channels(shape: tuple[int, ...], layers: Sequence[Layer]) -> bool:
    """Tell whether a convolution gets an image without an axis of channels, or with one too many.

    Args:
        shape: of an observation.
        layers: the torso.
    """
    return len(shape) in (2, 4) and bool(layers) and _first_of(layers) in _TAKE_IMAGES


def _check_channels(shape: tuple[int, ...], layers: Sequence[Layer]) -> None:
    """Refuse convolutions that would take an image's rows for its channels, and run all the same.

    Args:
        shape: of an observation.
        layers: the torso.
    """
    if len(shape) not in (3, 4) or not layers:
        return
    name = _first_of(layers)
    shape = shape[-3:]  # of a frame
    *sides, channels = shape if name != ChannelsFirst.__name__ else (*shape[1:], shape[0])
    takes_images = name in (*_TAKE_IMAGES, ChannelsFirst.__name__)
    if takes_images and channels in _COLOURS and min(sides) >= _LEAST_SIDE:
        image = f"network[0] {name}: the observations are images {list(shape)}, channels "
        if name == ChannelsFirst.__name__:
            raise ValueError(f"{image}first already; leave this layer out (take NatureCNN, Impala)")
        raise ValueError(
            f"{image}last, and it takes them first; set EnvironmentFactory(image={{'channels': "
            "'first'}) (environment.image.channels=first), or begin with the layer 'ChannelsFirst'"
        )


def _first_of(layers: Sequence[Layer]) -> str:
    name, _ = _name_and_arguments(layers[0], 0)
    return name


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
    kind: Any = _OWN_KINDS.get(name) or getattr(nn, name, None)
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
