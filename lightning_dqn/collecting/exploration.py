"""How actions stray from the best: at random, for several steps, by Boltzmann's rule.

Vectorised over environments. Shapes: E environments, A actions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from lightning_dqn.schedules import LinearSchedule, Schedule, ends
from lightning_dqn.system.numbers import keep_plain, keep_whole


@dataclass(frozen=True, kw_only=True)
class Exploration:
    """How actions stray from the best.

    Args:
        epsilon: probability of a random action, a number or a schedule over env steps.
        random_actions: False takes none after the warm-up, whatever ``epsilon``; ``"auto"``: none
            where the network explores by noise of its own.
        random_action_max_steps: a random action is held for up to so many env steps, see
            :class:`HeldActions`; 1 is plain epsilon-greedy.
        temperature: of Boltzmann exploration, a number or a schedule over env steps, in units of
            return: actions that aren't random are drawn from softmax(Q / temperature), so that
            those tried most are nearly the best; 0 takes the best.
    """

    epsilon: float | Schedule = field(default_factory=lambda: LinearSchedule(1.0, 0.05, 10_000))
    random_actions: bool | Literal["auto"] = "auto"
    random_action_max_steps: int = 1
    temperature: float | Schedule = 0.0

    def __post_init__(self) -> None:
        keep_plain(self)
        keep_whole(self, random_action_max_steps=1)
        for name, value in ends("epsilon", self.epsilon):
            if not 0 <= value <= 1:
                raise ValueError(f"{name}={value}: a probability, between 0 and 1")
        for name, value in ends("temperature", self.temperature):
            if not value >= 0:
                raise ValueError(f"{name}={value}: at least 0")
        if not isinstance(self.random_actions, bool) and self.random_actions != "auto":
            raise ValueError(f"random_actions={self.random_actions!r}: choose auto, true or false")

    def takes_random_actions(self, explores: bool) -> bool:
        """Tell whether actions are taken at random after the warm-up.

        Args:
            explores: the network that acts does so itself, by noise of its own.
        """
        return not explores if self.random_actions == "auto" else bool(self.random_actions)


def random_actions(
    num_envs: int, num_actions: int, action_mask: np.ndarray | None, generator: np.random.Generator
) -> np.ndarray:
    """Draw a uniformly random legal action for every environment, int64[E].

    Args:
        num_envs: E.
        num_actions: A.
        action_mask: bool[E, A], True where legal, or None where all are. Where none is legal
            (a finished game's final observation) any action may be drawn.
        generator: the source of chance.
    """
    if action_mask is None:
        return generator.integers(num_actions, size=num_envs)
    # The largest of i.i.d. uniform numbers over the legal actions is uniform among them.
    return np.where(action_mask, generator.random((num_envs, num_actions)), -1.0).argmax(axis=1)


def epsilon_greedy(
    greedy: np.ndarray,
    epsilon: float,
    num_actions: int,
    action_mask: np.ndarray | None,
    generator: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Replace each greedy action by a random legal one with probability ``epsilon``.

    Returns:
        The actions, int64[E], and where they were replaced, bool[E].
    """
    explores = generator.random(len(greedy)) < epsilon
    random = random_actions(len(greedy), num_actions, action_mask, generator)
    return np.where(explores, random, greedy), explores


def gumbel_noise(
    num_envs: int, num_actions: int, temperature: float, generator: np.random.Generator
) -> np.ndarray:
    """Draw what makes a greedy policy a Boltzmann policy, float32[E, A].

    The argmax of Q + temperature * Gumbel noise is distributed as softmax(Q / temperature).
    """
    noise = generator.gumbel(scale=temperature, size=(num_envs, num_actions))
    return noise.astype(np.float32)


class HeldActions:
    """Holds random actions for several steps: temporally extended epsilon-greedy.

    After Dabney et al. 2021 (arxiv.org/abs/2006.01782), but a random action lasts n steps with
    n uniform in 1..max_steps, where they draw it from a zeta distribution. Where single random
    actions cancel each other, as in MountainCar, held ones explore.
    """

    def __init__(self, num_envs: int, max_steps: int, generator: np.random.Generator) -> None:
        self._max_steps = max_steps
        self._generator = generator
        self._action = np.zeros(num_envs, np.int64)
        self._remaining = np.zeros(num_envs, np.int64)

    def apply(
        self, action: np.ndarray, explores: np.ndarray, action_mask: np.ndarray | None
    ) -> np.ndarray:
        """Return the actions to take, int64[E].

        Args:
            action: int64[E], what would be done without holding.
            explores: bool[E], where ``action`` is random and may begin to be held.
            action_mask: bool[E, A]; a held action that has become illegal is dropped.
        """
        holds = self._remaining > 0
        if action_mask is not None:
            holds &= action_mask[np.arange(len(action)), self._action]
        action = np.where(holds, self._action, action)
        begins = explores & ~holds
        more_steps = self._generator.integers(self._max_steps, size=len(action))
        self._remaining = np.where(begins, more_steps, np.where(holds, self._remaining - 1, 0))
        self._action = action
        return action

    def forget(self, ended: np.ndarray) -> None:
        """Hold nothing in the environments whose episode ended, bool[E]."""
        self._remaining[ended] = 0

    def state_dict(self) -> dict[str, Any]:
        """Return what is held, as plain values; the generator is its owner's to save."""
        return {"action": self._action.tolist(), "remaining": self._remaining.tolist()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it back."""
        self._action = np.array(state["action"], np.int64)
        self._remaining = np.array(state["remaining"], np.int64)
