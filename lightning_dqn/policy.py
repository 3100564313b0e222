"""The greedy policy of a network, as it acts in environments and in evaluation.

Shapes: B batch, M transitions, A actions, N outputs per action.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from lightning_dqn import td
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.networks.heads.head import Head
from lightning_dqn.networks.modes import in_evaluation_mode, is_training


class GreedyPolicy:
    """Takes the legal action with the highest value.

    Args:
        network: observation -> output, float[B, A] or float[B, A, N].
        head: reads action values from the output.
        spec: the environment's shapes and types.
        explores: its noisy layers draw their noise, which explores enough to collect without
            random actions.
        refuses_non_finite: raise if the value of a chosen action isn't finite.
    """

    def __init__(
        self,
        network: nn.Module,
        head: Head,
        spec: EnvironmentSpec,
        *,
        explores: bool = False,
        refuses_non_finite: bool = False,
    ) -> None:
        self.explores = explores
        self.refuses_non_finite = refuses_non_finite
        self.network = network
        self.head = head
        self.spec = spec
        self._shape = spec.stacked_shape
        self._dtype: torch.dtype = getattr(torch, spec.observation_dtype)

    @torch.inference_mode()
    def q_values(self, observation: np.ndarray | Tensor) -> Tensor:
        """Return the values of all actions, float[B, A] on the network's device.

        Args:
            observation: [B, *shape], or [B, S, *shape] with frame stacks.

        Raises:
            ValueError: the observation has another shape.
        """
        expected = self._shape
        if observation.shape[1:] != expected or observation.ndim == 0:
            raise ValueError(
                f"observation has the shape {tuple(observation.shape)}, expected "
                f"(B, {', '.join(map(str, expected))}); a single one becomes a batch by "
                "observation[None]"
            )
        device = next(self.network.parameters()).device
        batch = torch.as_tensor(observation).to(device, self._dtype)
        if self.explores or not is_training(self.network):
            return self.head.q_values(self.network(batch))
        with in_evaluation_mode(self.network):
            return self.head.q_values(self.network(batch))

    @torch.inference_mode()
    def priorities(
        self,
        observation: np.ndarray,
        action: np.ndarray,
        reward: np.ndarray,
        discount: np.ndarray,
        next_observation: np.ndarray,
        next_action_mask: np.ndarray | None,
    ) -> np.ndarray:
        """Return the transitions' priorities by the head's own error, float32[M].

        There is no target network here: this network both chooses and values the next action,
        without the noise of noisy layers. What a target adds to the reward is left out.

        Args:
            observation: [M, *shape], or [M, S, *shape] with frame stacks.
            action: int64[M].
            reward: float32[M], the discounted n-step sum.
            discount: float32[M], 0 after termination.
            next_observation: like ``observation``, n steps later.
            next_action_mask: bool[M, A], the legal actions there, or None.
        """
        head, device = self.head, next(self.network.parameters()).device
        given = [
            torch.as_tensor(one).to(device, self._dtype) for one in (observation, next_observation)
        ]
        with in_evaluation_mode(self.network):  # without a draw of noise
            output, following = map(self.network, given)
        mask = None if next_action_mask is None else torch.as_tensor(next_action_mask).to(device)
        next_action = td.greedy_action(head.q_values(following), mask)
        bootstrap = head.select(head.distribution(following), next_action)
        taken, gain, factor = (
            torch.as_tensor(one).to(device) for one in (action, reward, discount)
        )
        error = head.loss(head.select(output, taken), gain, factor, bootstrap)
        return error.priority.float().cpu().numpy()

    @torch.inference_mode()
    def act(
        self,
        observation: np.ndarray | Tensor,
        action_mask: np.ndarray | Tensor | None = None,
        noise: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the greedy legal actions, int64[B], as the environment takes them.

        Args:
            observation: [B, *shape], or [B, S, *shape] with frame stacks.
            action_mask: bool[B, A], True where legal, or None where all are.
            noise: float32[B, A], added to the values before the best is chosen.

        Raises:
            ValueError: an observation has another shape; a chosen value isn't finite and
                ``refuses_non_finite`` is set.
        """
        q_values = self.q_values(observation)
        if noise is not None:
            q_values = q_values + torch.from_numpy(noise).to(q_values.device)
        mask = None if action_mask is None else torch.as_tensor(action_mask).to(q_values.device)
        action = td.greedy_action(q_values, mask)
        if self.refuses_non_finite:
            _check_finite(td.select_action(q_values, action), mask)
        chosen = action.cpu().numpy()
        return chosen + self.spec.action_start if self.spec.action_start else chosen


def _check_finite(best: Tensor, action_mask: Tensor | None) -> None:
    """Refuse the values of the best actions, float[B], where one isn't finite."""
    finite = torch.isfinite(best)
    if action_mask is not None:
        finite |= ~action_mask.any(dim=1)
    if not bool(finite.all()):
        place = int((~finite).nonzero()[0])
        raise ValueError(
            f"the policy's best value is {best[place].item()} for observation {place} of "
            f"{len(best)}: its weights or the observation aren't finite, so no action can be "
            "chosen by them"
        )
