"""Environments that are stepped in two places at once: refused, for rows would be mixed up."""

from __future__ import annotations

from weakref import WeakSet

from gymnasium.vector import SyncVectorEnv

_MADE: WeakSet[SyncVectorEnv] = WeakSet()
"""What was made in this process and somebody may be stepping."""


def refuse_shared(environment: SyncVectorEnv, name: str) -> None:
    """Refuse environments of which one is there twice, or in others that aren't closed yet.

    Args:
        environment: was just made.
        name: how messages call it.

    Raises:
        ValueError: a function gave the same one again.
    """
    own = _parts(environment)
    if len(own) < environment.num_envs:
        raise ValueError(
            f"id={name}: gave the same environment each time, which would be stepped under "
            f"{environment.num_envs} names; let the function make a new one"
        )
    if any(own & _parts(other) for other in _MADE if not other.closed):
        raise ValueError(
            f"id={name}: gave an environment that is in use already, as in training while this one "
            "is to evaluate; let the function make a new one each time"
        )
    _MADE.add(environment)


def _parts(environment: SyncVectorEnv) -> set[int]:
    return {id(one.unwrapped) for one in environment.envs}
