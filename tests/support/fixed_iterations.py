"""Training data that follows from the module's counters, and callbacks that look on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from lightning_dqn import DQN
from lightning_dqn.callbacks import ModelOperation
from lightning_dqn.transitions import Iteration, Transitions


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread, which is fastest for networks as small as these."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class FixedIterations:
    """Iterations of U updates and 2U env steps: a continued run gets what the unbroken one would.

    Its length is counted per epoch.
    """

    def __init__(self, module: DQN, *, length: int = 3, updates: int = 4, batch: int = 8) -> None:
        self.module = module
        self.length = length
        self.updates = updates
        self.batch = batch

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Iteration]:
        for _ in range(self.length):
            new = 2 * self.updates
            yield Iteration(self._transitions(), self.module.env_steps + new, new, 0.1, [])

    def _transitions(self) -> Transitions:
        generator = torch.Generator().manual_seed(self.module.updates)
        size = (self.updates, self.batch)
        shape = (*size, *self.module.spec.stacked_shape)
        return Transitions(
            observation=torch.randn(shape, generator=generator),
            action=torch.randint(self.module.spec.num_actions, size, generator=generator),
            reward=torch.randn(size, generator=generator),
            discount=torch.full(size, 0.9),
            next_observation=torch.randn(shape, generator=generator),
            next_action_mask=None,
        )


class Do(ModelOperation):
    """Calls a function after every update, or less often."""

    def __init__(self, function: Callable[[DQN], Any], **when: Any) -> None:
        super().__init__(**when)
        self.function = function

    def operate(self, module: DQN) -> None:
        self.function(module)


class Diary(Do):
    """Notes the weights of a network after every update."""

    def __init__(self, network: str = "q_network") -> None:
        self.weights: list[dict[str, Tensor]] = []
        super().__init__(
            lambda module: self.weights.append(state(module.agent.get_submodule(network)))
        )
        self.network = network

    def join(self, module: DQN) -> None:
        self.weights.append(state(module.agent.get_submodule(self.network)))

    def changes(self, name: str) -> list[int]:
        """Return the updates of this fit after which the tensor ``name`` was another."""
        pairs = zip(self.weights, self.weights[1:], strict=False)
        return [
            update
            for update, (before, after) in enumerate(pairs, start=1)
            if not torch.equal(before[name], after[name])
        ]


def state(network: nn.Module) -> dict[str, Tensor]:
    """Return a copy of all tensors."""
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def vector(network: nn.Module) -> Tensor:
    """Return a copy of all parameters in one."""
    return parameters_to_vector(network.parameters()).detach().clone()


def still(parameters: Any) -> torch.optim.Optimizer:
    """Return an optimizer that moves nothing: what changes was changed by an operation."""
    return torch.optim.SGD(parameters, lr=0.0)


def moments(module: DQN) -> dict[str, dict[str, Tensor]]:
    """Return copies of what the optimizer remembers, by the parameters' names."""
    optimizer: Any = module.optimizers()
    return {
        name: {
            k: v.clone() for k, v in optimizer.optimizer.state.get(p, {}).items() if v is not None
        }
        for name, p in module.q_network.named_parameters()
    }
