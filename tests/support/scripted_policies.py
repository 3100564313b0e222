"""Policies and learners that act as a test says, and remember what they were shown.

Shapes: E environments, A actions.
"""

from __future__ import annotations

import threading

import numpy as np
import torch
from torch import Tensor


class LastLegalAction:
    """Takes the last legal action."""

    def __init__(self, num_actions: int = 4, *, explores: bool = False) -> None:
        self.num_actions = num_actions
        self.explores = explores
        self.observations: list[np.ndarray] = []
        self.masks: list[np.ndarray | None] = []

    def act(
        self,
        observation: np.ndarray,
        action_mask: np.ndarray | None = None,
        noise: np.ndarray | None = None,
    ) -> np.ndarray:
        self.observations.append(observation)
        self.masks.append(action_mask)
        if action_mask is None:
            return np.full(len(observation), self.num_actions - 1)
        return self.num_actions - 1 - action_mask[:, ::-1].argmax(axis=1)


class NearlyEqual:
    """Always prefers action 2, by a little, and keeps the noise it was given."""

    def __init__(self) -> None:
        self.noise: list[np.ndarray | None] = []

    def act(
        self,
        observation: np.ndarray,
        action_mask: np.ndarray | None = None,
        noise: np.ndarray | None = None,
    ) -> np.ndarray:
        self.noise.append(noise)
        values = np.array([0.0, 0.0, 0.1, 0.0], np.float32)
        values = values if noise is None else values + noise
        return np.broadcast_to(values, (len(observation), 4)).argmax(axis=1)


class ScriptedLearner:
    """A learner whose weights are a number: the action that it takes everywhere.

    Attributes:
        action: may be changed, as an update changes weights.
        asked_in: the threads in which it was asked for its behaviour policy.
        env_steps: that it has learned from.
        acted_in: the threads in which its behaviour policies acted.
    """

    def __init__(self, action: int = 3, *, explores: bool = False) -> None:
        self.action = action
        self.explores_by_itself = explores
        self.env_steps = 0
        self.asked_in: list[str] = []
        self.acted_in: list[str] = []

    def behaviour_policy(self) -> ActionOfAMoment:
        self.asked_in.append(threading.current_thread().name)
        return ActionOfAMoment(self)

    def act(
        self,
        observation: np.ndarray,
        action_mask: np.ndarray | None = None,
        noise: np.ndarray | None = None,
    ) -> np.ndarray:
        return np.full(len(observation), self.action)

    def greedy_value(self, observation: Tensor, action_mask: Tensor | None = None) -> Tensor:
        return torch.zeros(len(observation))


class ActionOfAMoment:
    """Takes the action that its learner had when it was asked."""

    def __init__(self, learner: ScriptedLearner) -> None:
        self.action = learner.action
        self.explores = learner.explores_by_itself
        self.acted_in = learner.acted_in

    def act(
        self,
        observation: np.ndarray,
        action_mask: np.ndarray | None = None,
        noise: np.ndarray | None = None,
    ) -> np.ndarray:
        self.acted_in.append(threading.current_thread().name)
        return np.full(len(observation), self.action)
