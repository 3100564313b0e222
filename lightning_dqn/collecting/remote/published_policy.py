"""The policy by which actors shall act, and who of them has it."""

from __future__ import annotations

from typing import Any

from lightning_dqn.collecting.remote.policy_snapshot import pack
from lightning_dqn.transitions import Policy


class PublishedPolicy:
    """Keeps the newest snapshot in Ray's object store, and hands it to each actor once.

    Args:
        ray: what stores it.
        num_actors: that may ask for it.

    Attributes:
        weights: of the newest snapshot; None: there is none.
    """

    def __init__(self, ray: Any, num_actors: int) -> None:
        self.weights: dict[str, Any] | None = None
        self._ray = ray
        self._reference: Any = None
        self._version = 0
        self._version_of = [0] * num_actors

    @property
    def is_stored(self) -> bool:
        """Whether there is one that actors can be given."""
        return self._reference is not None

    def publish(
        self, policy: Policy, env_steps: int, weights: dict[str, Any] | None = None
    ) -> None:
        """Store a policy.

        Args:
            policy: its copy acts elsewhere.
            env_steps: at which it is published.
            weights: of an older snapshot, instead of its own.
        """
        snapshot = pack(policy, env_steps)
        if weights is not None:
            snapshot = snapshot.with_weights(weights)
        self.weights = snapshot.weights()
        self._reference = self._ray.put(snapshot)
        self._version += 1

    def newer_for(self, actor: int) -> Any:
        """Return a reference to the newest snapshot; None if the actor was given it before."""
        if self._version_of[actor] == self._version:
            return None
        self._version_of[actor] = self._version
        return self._reference

    def forget(self, actor: int) -> None:
        """Take it that an actor has no policy: another one is in its place."""
        self._version_of[actor] = 0
