"""A policy on its way to actors: what it is made of, and its numbers apart.

Whatever can be pickled may travel, of any network. Tensors go beside the pickle, so that newer
weights of the same policy are copied into the one that is there.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from typing import Any, NamedTuple

import cloudpickle
import numpy as np
import torch
from torch import Tensor, nn

from lightning_dqn.system.seeding import seed_of
from lightning_dqn.transitions import Policy


class PolicySnapshot(NamedTuple):
    """A policy of one moment.

    Attributes:
        structure: all but the tensors.
        tensors: the bytes of each, uint8[N].
        noise: states of the generators that it draws from, uint8[N] each.
        env_steps: taken by the moment.
    """

    structure: bytes
    tensors: list[np.ndarray]
    noise: list[np.ndarray]
    env_steps: int

    def weights(self) -> dict[str, Any]:
        """Return the numbers and their moment, as plain values and tensors."""
        tensors = [torch.from_numpy(one) for one in self.tensors]
        return {"tensors": tensors, "env_steps": self.env_steps}

    def with_weights(self, weights: Mapping[str, Any]) -> PolicySnapshot:
        """Return the same policy as it was when :meth:`weights` was told."""
        tensors = [one.numpy() for one in weights["tensors"]]
        return self._replace(tensors=tensors, env_steps=weights["env_steps"])


def pack(policy: Policy, env_steps: int) -> PolicySnapshot:
    """Return a policy as it is now; what updates do to it later changes nothing.

    Raises:
        ValueError: a part of it can't be pickled.
    """
    stream = io.BytesIO()
    packer = _Packer(stream)
    try:
        packer.dump(policy)
    except Exception as error:  # whatever a network of the user's own raises
        raise ValueError(
            f"the policy {type(policy).__name__} can't be sent to actors: {error}; make what it "
            "holds picklable, or collect in this process"
        ) from error
    return PolicySnapshot(stream.getvalue(), packer.tensors, packer.noise, env_steps)


class PolicyReceiver:
    """Unpacks snapshots.

    Args:
        seed: of the policy's own noise; None: it goes on where the sender's stood.
    """

    def __init__(self, seed: int | None) -> None:
        self.policy: Policy | None = None
        self._seed = seed
        self._structure = b""
        self._tensors: list[Tensor] = []
        self._generators: list[torch.Generator] = []
        self._noise_to_take: list[Tensor] | None = None

    def open(self, snapshot: PolicySnapshot) -> Policy:
        """Return the policy, the same object as before where only numbers have changed."""
        if self.policy is None or snapshot.structure != self._structure:
            unpacker = _Unpacker(snapshot, self._seed)
            self.policy = unpacker.load()
            self._structure = snapshot.structure
            self._tensors, self._generators = unpacker.tensors, unpacker.generators
            self._take_noise()
        else:
            with torch.no_grad():
                for tensor, sent in zip(self._tensors, snapshot.tensors, strict=True):
                    tensor.copy_(_tensor(sent, tensor.dtype, tensor.shape))
        assert self.policy is not None
        return self.policy

    def noise(self) -> list[Tensor]:
        """Return the states of the generators that the policy draws from."""
        if self._noise_to_take is not None:
            return self._noise_to_take
        return [generator.get_state() for generator in self._generators]

    def restore_noise(self, states: list[Tensor]) -> None:
        """Draw from these states on, when there is a policy."""
        self._noise_to_take = states
        self._take_noise()

    def _take_noise(self) -> None:
        if self.policy is None or self._noise_to_take is None:
            return
        for generator, state in zip(self._generators, self._noise_to_take, strict=False):
            generator.set_state(state)
        self._noise_to_take = None


class _Packer(cloudpickle.Pickler):
    """Pickles all but tensors and generators, which it keeps."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream)
        self.tensors: list[np.ndarray] = []
        self.noise: list[np.ndarray] = []
        self._known: dict[int, tuple[Any, ...]] = {}
        self._kept: list[Any] = []

    def persistent_id(self, part: Any) -> tuple[Any, ...] | None:
        """Return what stands for a tensor or a generator in the pickle."""
        if not isinstance(part, Tensor | torch.Generator):
            return None
        if id(part) not in self._known:
            self._kept.append(part)  # or another might get its id
            self._known[id(part)] = self._keep(part)
        return self._known[id(part)]

    def _keep(self, part: Any) -> tuple[Any, ...]:
        if isinstance(part, torch.Generator):
            self.noise.append(part.get_state().cpu().numpy())
            return ("generator", len(self.noise) - 1, part.device.type)
        plain = part.detach().cpu().contiguous()
        self.tensors.append(plain.reshape(-1).view(torch.uint8).numpy().copy())
        is_parameter = isinstance(part, nn.Parameter)
        return ("tensor", len(self.tensors) - 1, part.dtype, tuple(part.shape), is_parameter)


class _Unpacker(pickle.Unpickler):
    """Puts tensors and generators back, on the CPU."""

    def __init__(self, snapshot: PolicySnapshot, seed: int | None) -> None:
        super().__init__(io.BytesIO(snapshot.structure))
        self._snapshot, self._seed = snapshot, seed
        self._tensors: dict[int, Tensor] = {}
        self._generators: dict[int, torch.Generator] = {}

    @property
    def tensors(self) -> list[Tensor]:
        """Those of the snapshot, in its order."""
        return [self._tensors[index] for index in range(len(self._snapshot.tensors))]

    @property
    def generators(self) -> list[torch.Generator]:
        """Likewise."""
        return [self._generators[index] for index in range(len(self._snapshot.noise))]

    def persistent_load(self, name: tuple[Any, ...]) -> Any:
        """Return what a name stands for."""
        kind, index, *how = name
        if kind == "generator":
            if index not in self._generators:
                self._generators[index] = self._generator(index, *how)
            return self._generators[index]
        if index not in self._tensors:
            dtype, shape, is_parameter = how
            tensor = _tensor(self._snapshot.tensors[index], dtype, shape).clone()
            self._tensors[index] = (
                nn.Parameter(tensor, requires_grad=False) if is_parameter else tensor
            )
        return self._tensors[index]

    def _generator(self, index: int, device: str) -> torch.Generator:
        generator = torch.Generator()
        if self._seed is None and device == "cpu":
            generator.set_state(torch.from_numpy(self._snapshot.noise[index].copy()))
        else:
            generator.manual_seed(seed_of(self._seed or 0, "noise", index))
        return generator


def _tensor(sent: np.ndarray, dtype: torch.dtype, shape: tuple[int, ...] | torch.Size) -> Tensor:
    """Return bytes as a tensor of their own."""
    if sent.size == 0:
        return torch.empty(shape, dtype=dtype)
    return torch.from_numpy(sent.copy()).view(dtype).reshape(shape)
