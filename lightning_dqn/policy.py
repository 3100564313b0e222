"""A network that chooses actions."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from lightning_dqn import td
from lightning_dqn.environment_spec import EnvironmentSpec
from lightning_dqn.heads import Head


class GreedyPolicy:
    """Takes the legal action of the highest value.

    Args:
        network: observation -> output, float[B, A] or float[B, A, N].
        head: reads action values from the output.
        spec: the environment's shapes and types.
    """

    def __init__(self, network: nn.Module, head: Head, spec: EnvironmentSpec) -> None:
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
        if not self.network.training:
            return self.head.q_values(self.network(batch))
        self.network.eval()
        try:
            return self.head.q_values(self.network(batch))
        finally:
            self.network.train()

    @torch.inference_mode()
    def act(
        self,
        observation: np.ndarray | Tensor,
        action_mask: np.ndarray | Tensor | None = None,
        noise: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the greedy legal actions, int64[B].

        Args:
            observation: [B, *shape], or [B, S, *shape] with frame stacks.
            action_mask: bool[B, A], True where legal, or None where all are.
            noise: float32[B, A], added to the values before the best is chosen.
        """
        q_values = self.q_values(observation)
        if noise is not None:
            q_values = q_values + torch.from_numpy(noise).to(q_values.device)
        mask = None if action_mask is None else torch.as_tensor(action_mask).to(q_values.device)
        return td.greedy_action(q_values, mask).cpu().numpy()
