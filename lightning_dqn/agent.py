"""A Q-network, copies of it, and acting with them.

Shapes: B batch, A actions, N outputs per action.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from lightning_dqn import td
from lightning_dqn.environments.factory import EnvironmentLike
from lightning_dqn.environments.observations import (
    as_batch,
    exact_action_mask,
    exact_observation,
    is_single,
)
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.networks import operations
from lightning_dqn.networks.alignment import Aligned, align
from lightning_dqn.networks.heads.head import Head
from lightning_dqn.networks.layers import draw_noise, has_noise
from lightning_dqn.networks.plain import (
    NetworkLike,
    build_network,
    from_a_file,
    head_of,
    head_to_plain,
    network_of,
    network_to_plain,
    spec_of,
    spec_to_plain,
)
from lightning_dqn.policy import GreedyPolicy
from lightning_dqn.system.seeding import seed_of, set_generator


class Agent(nn.Module):
    """Acts with a Q-network, and holds its copies; it neither learns nor depends on Lightning.

    Args:
        environment: what it acts in: anything :class:`EnvironmentFactory` takes, a factory, an
            :class:`EnvironmentSpec` or its plain values. Only shapes are read.
        network: a description such as ``MLP(hidden=[64])``, layers, or a module of your own from
            observations, as the environment gives them, to what the head reads.
        head: reads action values from the network's output.

    Attributes:
        q_network: the network that learns.
        copies: names of the copies of the Q-network.
        evaluation_network: name of the network that acts in evaluation and is exported.
        noise_user: names the random stream of exploration noise, see
            :mod:`lightning_dqn.system.seeding`; it differs between ranks.
        hyperparameters: the arguments as plain values, which build the same agent again.
    """

    def __init__(
        self,
        environment: EnvironmentLike | EnvironmentSpec | Mapping[str, Any],
        *,
        network: NetworkLike | None = None,
        head: Head | Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        described = network_of(network)
        self.spec = spec_of(environment)
        self.head = head_of(head)
        self.q_network = build_network(described, self.spec, self.head)
        self.evaluation_network = "q_network"
        self._behaviour_network = "q_network"
        self.copies: list[str] = []
        self.hyperparameters = {
            "environment": spec_to_plain(self.spec),
            "network": network_to_plain(described),
            "head": head_to_plain(self.head),
        }
        self._behaviour: GreedyPolicy | None = None
        self._behaviour_tensors: Aligned
        self.noise_user: tuple[str | int, ...] = ("noise",)
        self._noise: torch.Generator | None = None
        self._noise_state: Tensor | None = None

    @property
    def behaviour_network(self) -> str:
        """Name of the network that explores."""
        return self._behaviour_network

    @behaviour_network.setter
    def behaviour_network(self, name: str) -> None:
        if name != self._behaviour_network:
            self.forget_behaviour()
        self._behaviour_network = name

    @property
    def device(self) -> torch.device:
        """The device of the Q-network."""
        return next(self.q_network.parameters()).device

    def add_network(self, name: str) -> nn.Module:
        """Add a copy of the Q-network under ``name``, saved and moved with the agent.

        The copy isn't trained; an operation in ``after_update`` moves it.

        Raises:
            ValueError: ``name`` isn't an identifier, or is taken.
        """
        if name not in self.copies:
            if not name.isidentifier():
                raise ValueError(f"network={name!r}: a name, as 'average_network'")
            if hasattr(self, name):
                raise ValueError(f"network={name!r}: the agent has an attribute of that name")
            self.add_module(name, deepcopy(self.q_network).requires_grad_(False))
            self.copies.append(name)
        return self.get_submodule(name)

    def renew_copies(self) -> None:
        """Copy the Q-network's weights to all copies."""
        for name in self.copies:
            self.get_submodule(name).load_state_dict(self.q_network.state_dict())

    def q_values(self, observation: np.ndarray | Tensor) -> Tensor:
        """Return the evaluation network's values of all actions, float[B, A].

        For a single observation, without B, they are float[A].

        Args:
            observation: [B, *shape] or [*shape], with frame stacks [B, S, *shape] or [S, *shape],
                of any type that can be cast to the environment's without changing a value.

        Raises:
            ValueError: a cast to the environment's type would change a value, or the shape is
                wrong.
        """
        batch = exact_observation(as_batch(observation, self.spec), self.spec)
        q_values = self._policy(self.evaluation_network).q_values(batch)
        return q_values[0] if is_single(observation, self.spec) else q_values

    def act(
        self,
        observation: np.ndarray | Tensor,
        action_mask: np.ndarray | Tensor | None = None,
        noise: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the greedy legal actions, int64[B], as the environment takes them.

        The evaluation network chooses them. For a single observation, with mask and noise also
        without B, the action is int64[]: a number, which can also be an index of a table.

        Args:
            observation: [B, *shape] or [*shape], with frame stacks [B, S, *shape] or [S, *shape].
            action_mask: bool[B, A], True where legal, or None where all are.
            noise: float32[B, A], added to the values before the best is chosen.

        Raises:
            ValueError: as in :meth:`q_values`; the mask has values other than 0 and 1; the best
                value isn't finite.
        """
        batch = exact_observation(as_batch(observation, self.spec), self.spec)
        is_one = is_single(observation, self.spec)
        if action_mask is not None:
            shape = (self.spec.num_actions,) if is_one else (len(batch), self.spec.num_actions)
            action_mask = exact_action_mask(action_mask, shape)
        if is_one:
            action_mask = None if action_mask is None else action_mask[None]
            noise = None if noise is None else noise[None]
        policy = self._policy(self.evaluation_network, refuses_non_finite=True)
        actions = policy.act(batch, action_mask, noise)
        return actions[0] if is_one else actions

    def greedy_value(self, observation: Tensor, action_mask: Tensor | None = None) -> Tensor:
        """Return the online network's value of each observation's best legal action, float[M].

        Args:
            observation: [M, *shape], or [M, S, *shape] with frame stacks.
            action_mask: bool[M, A], True where legal, or None where all are.
        """
        q_values = self._policy("q_network").q_values(observation)
        mask = None if action_mask is None else action_mask.to(q_values.device)
        return td.select_action(q_values, td.greedy_action(q_values, mask))

    def behaviour_policy(self) -> GreedyPolicy:
        """Return the current behaviour network, by default the online one, as a policy.

        It acts with a copy in evaluation mode, which the next call updates, so it may act in a
        thread while networks change. Noisy layers draw their noise.
        """
        if self._behaviour is None:
            network = deepcopy(self.q_network).requires_grad_(False).eval()
            seed = seed_of(torch.initial_seed(), *self.noise_user)
            self._noise = torch.Generator(self.device).manual_seed(seed)
            set_generator(self._noise, self._noise_state)
            self._noise_state = None
            self._behaviour = GreedyPolicy(
                draw_noise(network, self._noise), self.head, self.spec, explores=has_noise(network)
            )
            source = self.get_submodule(self.behaviour_network)
            self._behaviour_tensors = align(network, source)
        operations.copy(self._behaviour_tensors)
        return self._behaviour

    def forward(self, observation: Tensor) -> Any:
        """Return the evaluation network's output, which the head reads."""
        return self.get_submodule(self.evaluation_network)(observation)

    def networks_description(self) -> dict[str, Any]:
        """Return the names of the networks and of the one that acts, as plain values."""
        return {"networks": list(self.copies), "evaluation_network": self.evaluation_network}

    def restore_networks(self, description: Mapping[str, Any]) -> None:
        """Add the networks in a :meth:`networks_description`, so that weights can be loaded."""
        for name in description["networks"]:
            self.add_network(name)
        self.evaluation_network = description["evaluation_network"]

    def keep_only_what_acts(self) -> None:
        """Drop every network but the evaluation network, which becomes the Q-network."""
        acting = self.get_submodule(self.evaluation_network).state_dict()
        self.q_network.load_state_dict(acting)
        for name in self.copies:
            delattr(self, name)
        self.copies = []
        self.evaluation_network = self.behaviour_network = "q_network"
        self.forget_behaviour()

    @classmethod
    def from_plain(
        cls,
        hyperparameters: Mapping[str, Any],
        networks: Mapping[str, Any],
        state: Mapping[str, Tensor],
    ) -> Self:
        """Build an agent from hyperparameters, a ``networks_description`` and a ``state_dict``.

        Raises:
            RuntimeError: the weights don't fit.
        """
        with from_a_file():
            agent = cls(**hyperparameters)
        agent.restore_networks(networks)
        missing, unexpected = agent.load_state_dict(state, strict=False)
        if missing or unexpected:
            raise RuntimeError(f"missing {missing}, unexpected {unexpected}")
        return agent

    @property
    def explores_by_noise(self) -> bool:
        """Whether the behaviour network has noisy layers, which explore."""
        return has_noise(self.get_submodule(self.behaviour_network))

    @property
    def noise_state(self) -> Tensor | None:
        """State of the generator of exploration noise; None if nothing has acted yet."""
        return self._noise_state if self._noise is None else self._noise.get_state()

    def restore_noise(self, state: Tensor | None) -> None:
        """Draw noise from this state on, once the behaviour policy is made again."""
        self._noise_state = state

    def forget_behaviour(self) -> None:
        """Rebuild the behaviour policy at its next use, for example on another device."""
        self._behaviour = None

    def _policy(self, network: str, *, refuses_non_finite: bool = False) -> GreedyPolicy:
        return GreedyPolicy(
            self.get_submodule(network),
            self.head,
            self.spec,
            refuses_non_finite=refuses_non_finite,
        )
