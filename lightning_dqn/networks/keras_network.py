"""A Keras model as Q-network, where Keras runs on torch.

Keras has its own order: a copy's weights get other names, moving averages and seeds of dropout
are parameters, and layers don't ask whether the module trains. Here they are as in torch.
"""

from __future__ import annotations

import sys
from typing import Any, Self

import torch
from torch import Tensor, nn

_KERAS = ("keras", "tf_keras")


def is_keras(network: object) -> bool:
    """Tell whether something is a Keras model or layer, whatever Keras computes with."""
    return any(kind.__module__.split(".")[0] in _KERAS for kind in type(network).__mro__)


def check_backend(network: object) -> None:
    """Refuse a Keras model that doesn't compute with torch.

    Raises:
        ValueError: it says which backend is active, and how to choose torch.
    """
    if isinstance(network, nn.Module):
        return
    keras = sys.modules.get("keras")
    backend = "another one" if keras is None else keras.config.backend()
    raise ValueError(
        f"network={type(network).__name__}: Keras's backend is {backend}, and only torch learns "
        "here; set KERAS_BACKEND=torch before keras is imported"
    )


class KerasNetwork(nn.Module):
    """A Keras model with its weights as parameters and its other state as buffers.

    The weights are the model's own: what is learned or loaded here stands in it, and it is saved
    by Keras as ever. A copy (``deepcopy``) has weights of its own and computes with them by the
    same model. Names count the model's variables, as ``2_kernel``, so that those of two models
    that are built alike agree, whatever Keras calls their layers.

    Args:
        model: built here if it isn't yet.
        example: observations [B, ...], of the environment's shape and type.

    Raises:
        ValueError: Keras doesn't compute with torch, or the model doesn't take the observations.
    """

    _model: Any
    _variables: list[Any]
    _names: list[str]
    _is_copy: bool

    def __init__(self, model: Any, example: Tensor) -> None:
        super().__init__()
        check_backend(model)
        object.__setattr__(self, "_model", model)  # no module of ours: it would be walked too
        self._is_copy = False
        self._names = []
        import keras

        with keras.device(str(example.device)):  # Keras prefers an accelerator
            for variable in model.variables:
                variable.value.data = variable.value.data.to(example.device)
            with torch.no_grad():
                self._call(example, training=False)  # builds it, where it has no weights yet
            learned = {id(variable) for variable in model.trainable_variables}
            self._variables = list(model.variables)
            for index, variable in enumerate(self._variables):
                self._take(f"{index}_{variable.name}", variable.value, id(variable) in learned)

    def forward(self, observation: Tensor) -> Any:
        """Return the model's output, in torch's mode: training or evaluation."""
        return self._untraced(observation) if self._buffers else self._compute(observation)

    @torch.compiler.disable  # layers with a state are compiled anew at each call, for minutes
    def _untraced(self, observation: Tensor) -> Any:
        return self._compute(observation)

    def _compute(self, observation: Tensor) -> Any:
        if not self._is_copy:
            return self._call(observation, training=self.training)
        import keras

        own = [self.get_parameter_or_buffer(name) for name in self._names]
        values = list(zip(self._variables, own, strict=True))
        with keras.device(str(observation.device)), keras.StatelessScope(values) as scope:
            output = self._model(observation, training=self.training)
        with torch.no_grad():
            for variable, tensor in values:
                if (new := scope.get_current_value(variable)) is not tensor:
                    tensor.copy_(new)
        return output

    def get_parameter_or_buffer(self, name: str) -> Tensor:
        """Return a tensor by its name."""
        parameter = self._parameters.get(name)
        return self._buffers[name] if parameter is None else parameter  # type: ignore[return-value]

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copy = type(self).__new__(type(self))
        nn.Module.__init__(copy)
        memo[id(self)] = copy
        object.__setattr__(copy, "_model", self._model)
        copy._variables, copy._names, copy._is_copy = self._variables, [], True
        for name in self._names:
            tensor = self.get_parameter_or_buffer(name)
            value, learns = tensor.detach().clone(), name in self._parameters
            if learns:
                value = nn.Parameter(value, requires_grad=tensor.requires_grad)
            copy._take(name, value, learns)
        return copy.train(self.training)

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        """Move or cast all tensors, those of the Keras model in their place."""
        before = dict(self._buffers)
        super()._apply(fn, recurse)
        for name, buffer in before.items():
            moved = self._buffers[name]
            assert buffer is not None
            assert moved is not None
            if moved is not buffer:
                buffer.data = moved
                self._buffers[name] = buffer
        return self

    def _call(self, observation: Tensor, *, training: bool) -> Any:
        import keras

        with keras.device(str(observation.device)):
            return self._model(observation, training=training)

    def _take(self, name: str, tensor: Tensor, learns: bool) -> None:
        self._names.append(name)
        if learns:
            self.register_parameter(name, tensor)  # type: ignore[arg-type]
        else:
            self.register_buffer(name, tensor)
