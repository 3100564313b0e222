"""What is learned: the loss of a minibatch and its gradients.

Shapes: B batch, A actions, N outputs per action.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lightning_dqn import td
from lightning_dqn.agent import Agent
from lightning_dqn.environments.factory import EnvironmentLike
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.learning.gradients import make_safe
from lightning_dqn.learning.targets import Munchausen
from lightning_dqn.networks.heads.head import Head
from lightning_dqn.networks.plain import head_to_plain, network_to_plain, spec_to_plain
from lightning_dqn.networks.q_network import NetworkOptions
from lightning_dqn.networks.torsos import Layer
from lightning_dqn.transitions import Transitions


class LossOutput(NamedTuple):
    """What :meth:`DQN.loss` returns.

    Attributes:
        loss: float[], what is minimised.
        td_error: float[B], target minus prediction.
        q_value: float[B], the value predicted for the chosen action.
        priority: float[B], how much there is to learn from each transition, at least 0;
            |td_error| if None.
    """

    loss: Tensor
    td_error: Tensor
    q_value: Tensor
    priority: Tensor | None = None


class LearningStep(NamedTuple):
    """What :meth:`DQN.loss_and_gradients` returns.

    Attributes:
        gradients: of every trainable parameter of ``q_network``, clipped; all zero if the loss
            or one of them was not finite.
        statistics: float[4]: loss, mean Q-value, mean |TD error|, gradient norm before clipping.
        priority: float[B].
    """

    gradients: list[Tensor]
    statistics: Tensor
    priority: Tensor


class QLearner(Agent):
    """An agent with a loss: Q-learning against a target, in every variant.

    Args:
        environment: see :class:`lightning_dqn.dqn.DQN`, as for all others.
        network: layers or a module of the user's own.
        head: reads action values from the network's output.
        options: dueling, noisy layers, normalisation.
        double: the online network chooses the next action.
        munchausen: adds the log-policy to the reward.
        target_network: value the next state by a slower copy.
        max_gradient_norm: the largest L2 norm of all gradients together.
    """

    def __init__(
        self,
        environment: EnvironmentLike | EnvironmentSpec | Mapping[str, Any],
        *,
        network: Sequence[Layer] | nn.Module | None,
        head: Head | Mapping[str, Any] | None,
        options: NetworkOptions,
        double: bool,
        munchausen: Munchausen | Mapping[str, float] | None,
        target_network: bool,
        max_gradient_norm: float | None,
    ) -> None:
        if double and not target_network:
            raise ValueError(
                "double=True: without a target network one network would choose the next action "
                "and value it; set double=False"
            )
        super().__init__(environment, network=network, head=head, options=options)
        self.uses_double_q = double
        self.uses_target_network = target_network
        self.munchausen = (
            Munchausen(**munchausen) if isinstance(munchausen, Mapping) else munchausen
        )
        self.max_gradient_norm = max_gradient_norm
        if target_network:
            self.add_network("target_network")
        self._trainable = self.trainable_parameters()
        self.save_hyperparameters(
            {
                "environment": spec_to_plain(self.spec),
                "network": network_to_plain(network),
                "head": head_to_plain(self.head),
                "double": double,
                **dataclasses.asdict(options),
                "munchausen": self.munchausen and dataclasses.asdict(self.munchausen),
                "target_network": target_network,
                "max_gradient_norm": max_gradient_norm,
            }
        )

    def loss(self, batch: Transitions) -> LossOutput:
        """Return the loss of one minibatch; override it to learn otherwise.

        Args:
            batch: columns [B, ...].
        """
        output = self.q_network(batch.observation)
        prediction = self.head.select(output, batch.action)
        with torch.no_grad():
            reward, bootstrap = self._target(batch, output)
        error = self.head.loss(prediction, reward, batch.discount, bootstrap)
        weighted = error.loss if batch.weight is None else batch.weight * error.loss
        told = (error.td_error.detach(), error.q_value.detach(), error.priority.detach())
        return LossOutput(weighted.mean(), *told)

    def loss_and_gradients(self, batch: Transitions) -> LearningStep:
        """Return gradients that are safe to apply, and what is told of the update.

        One pure function of the weights and the minibatch, compiled as a whole.
        """
        output = self.loss(batch)
        raw = torch.autograd.grad(output.loss, self._trainable)
        gradients, norm = make_safe(output.loss.detach(), raw, self.max_gradient_norm)
        size = output.td_error.abs()
        statistics = (output.loss.detach(), output.q_value.mean(), size.mean(), norm)
        return LearningStep(
            gradients,
            torch.stack([value.float() for value in statistics]),
            size if output.priority is None else output.priority,
        )

    def trainable_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the online network that learn."""
        return [p for p in self.q_network.parameters() if p.requires_grad]

    def _target(self, batch: Transitions, output: Any) -> tuple[Tensor, Any]:
        """Return the reward, with what Munchausen adds, and the next state's value.

        Args:
            batch: columns [B, ...].
            output: the online network's for ``batch.observation``.
        """
        head = self.head
        if batch.next_observation is None:  # the reward is the whole target, the discount 0
            if self.munchausen is not None:
                raise ValueError(
                    "munchausen: lambda-returns hold the greedy value of the next states already; "
                    "sample transitions from the replay ring instead"
                )
            return batch.reward, head.select(head.distribution(output), batch.action)
        network = self.get_submodule("target_network" if self.uses_target_network else "q_network")
        next_output = network(batch.next_observation)
        chooser = self.q_network(batch.next_observation) if self.uses_double_q else next_output
        next_q_values = head.q_values(chooser)
        if self.munchausen is None:
            next_action = td.greedy_action(next_q_values, batch.next_action_mask)
            return batch.reward, head.select(head.distribution(next_output), next_action)
        q_values = head.q_values(network(batch.observation))
        bonus = self.munchausen.reward_bonus(q_values, batch.action, batch.action_mask)
        following = self.munchausen.soft_next(next_q_values, batch.next_action_mask)
        reward = batch.reward + bonus + batch.discount * following.entropy_bonus
        return reward, head.mix(next_output, following.policy)
