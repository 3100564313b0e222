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
    """Acts by a Q-network, and holds its copies; it neither learns nor knows of Lightning.

    Args:
        environment: what it acts in: anything :class:`EnvironmentFactory` takes, a factory, an
            :class:`EnvironmentSpec` or its plain values. Only shapes are read.
        network: a description as ``MLP(hidden=[64])``, layers, or a module of one's own from
            observations, as the environment gives them, to what the head reads.
        head: reads action values from the network's output.

    Attributes:
        q_network: the network that learns.
        behaviour_network: name of the network that explores.
        copies: names of the networks beside it.
        evaluation_network: name of the network that acts in evaluation and is exported.
        noise_user: who draws the noise that explores, see :mod:`lightning_dqn.system.seeding`;
            each of several ranks is another.
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
        self.behaviour_network = "q_network"
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
    def device(self) -> torch.device:
        """The device of the Q-network."""
        return next(self.q_network.parameters()).device

    def add_network(self, name: str) -> nn.Module:
        """Add a copy of the Q-network under ``name``, saved and moved with the agent.

        The copy never learns by itself; an operation in ``after_update`` moves it.

        Raises:
            ValueError: it can't be called so.
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
        """Let all copies be what the Q-network is now."""
        for name in self.copies:
            self.get_submodule(name).load_state_dict(self.q_network.state_dict())

    def q_values(self, observation: np.ndarray | Tensor) -> Tensor:
        """Return the values of all actions by the evaluation network, float[B, A].

        Of a single observation, without B, they are float[A].

        Args:
            observation: [B, *shape] or [*shape], with frame stacks [B, S, *shape] or [S, *shape],
                of any type that says the same as the environment's.

        Raises:
            ValueError: a cast to the environment's type would change a value, or the shape is
                another.
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

        The evaluation network chooses them. Of a single observation, without B, and a mask and
        noise without it, the action is int64[]: a number, by which tables too can be indexed.

        Args:
            observation: [B, *shape] or [*shape], with frame stacks [B, S, *shape] or [S, *shape].
            action_mask: bool[B, A], True where legal, or None where all are.
            noise: float32[B, A], added to the values before the best is chosen.

        Raises:
            ValueError: as with :meth:`q_values`; the mask holds something else than 0 and 1; the
                best value isn't finite, so that choosing it means nothing.
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
        """Return the behaviour network of this moment as a policy, the online one unless set.

        It acts with a copy in evaluation mode, which the next call brings up to date: so it may
        act in a thread while networks learn and move. Noisy layers draw their noise.
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
        """Add the networks of a :meth:`networks_description`, so that weights can be loaded."""
        for name in description["networks"]:
            self.add_network(name)
        self.evaluation_network = description["evaluation_network"]

    def keep_only_what_acts(self) -> None:
        """Drop every network but that of evaluation, which is the Q-network from now on."""
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
        """Build the agent of ``hyperparameters``, a ``networks_description`` and a ``state_dict``.

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
        """State of the generator whose noise explores; None where nothing has acted yet."""
        return self._noise_state if self._noise is None else self._noise.get_state()

    def restore_noise(self, state: Tensor | None) -> None:
        """Draw from this state on, when the behaviour policy is next made."""
        self._noise_state = state

    def forget_behaviour(self) -> None:
        """Make the behaviour policy anew when it is next asked for, as on another device."""
        self._behaviour = None

    def _policy(self, network: str, *, refuses_non_finite: bool = False) -> GreedyPolicy:
        return GreedyPolicy(
            self.get_submodule(network),
            self.head,
            self.spec,
            refuses_non_finite=refuses_non_finite,
        )
