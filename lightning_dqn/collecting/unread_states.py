"""What is said where a checkpoint must do without the environments' state."""

from __future__ import annotations

from lightning_dqn.environments.state import UnknownStateError
from lightning_dqn.system.ranks import warn


class UnreadStates:
    """Warns once of states that can't be read, though they could be when they were tried.

    Args:
        name: how messages call the environment.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._has_told = False

    def tell(self, error: UnknownStateError) -> None:
        """Say what it means to a run that goes on from the checkpoint."""
        if self._has_told:
            return
        self._has_told = True
        warn(
            f"{self._name}: its state can't be saved by now ({error}): in a run continued from "
            "this checkpoint open episodes end as truncated; to have them continued, let the "
            "environment keep less, or write state_dict() and load_state_dict(state) for it"
        )
